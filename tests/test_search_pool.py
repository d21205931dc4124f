"""Searches on a real Prefect server and work pool, as the README has them typed."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits

from benchmarks.servers import free_port
from msearch_core.trial import from_parquet
from msearch_core.trial_log import TrialLog
from tests.pool import FINAL, Server, prefect_server
from tests.searching import check_budget, is_released, results, under_way, wait_for, winners

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


PASSWORD = "admin:planted-4f1c7d0b9a"
BUCKET_SECRET = "planted-8b2e6a55d3c1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a password, and a worker that also has the credentials of a bucket."""
    secrets = {
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_API_AUTH_STRING": PASSWORD,
        "AWS_ACCESS_KEY_ID": "msearch",
        "AWS_SECRET_ACCESS_KEY": BUCKET_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    folder = tmp_path_factory.mktemp("pool")
    with moto() as url, prefect_server(folder, tmp_path_factory, {**secrets, "AWS_ENDPOINT_URL": url}) as made:
        made.place.run("deploy")
        made.worker()
        yield made
        sys.stdout.write((folder / "worker-1.log").read_text())  # shown with a failure


@contextmanager
def moto() -> Iterator[str]:
    """A server that speaks S3's protocol, with a bucket; yields its address."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def made() -> bool:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
        except OSError:
            return False
        return True

    try:
        wait_for(made, "the bucket is there", 60)
        yield url
    finally:
        process.kill()
        process.wait()


def check_recorded(server: Server, log: Path, name: str, budget: int) -> None:
    """Assert that the server shows the search of this log: its flow runs, trials and artifacts."""
    uids = check_budget(log, budget)["uid"]
    tag = {"tags": {"all_": [f"msearch:{name}"]}}
    trainers = server.ask("flow_runs", flow_runs=tag, flows={"name": {"any_": ["trainer"]}})
    assert [run["state_name"] for run in trainers] == ["Completed"] * 2
    assert len({run["name"] for run in trainers}) == 2
    assert all(run["name"].startswith("trainer-0001") for run in trainers)
    assert all(run["work_pool_name"] == "msearch" for run in trainers)

    trials = server.ask(
        "task_runs", flow_runs={"id": {"any_": [run["id"] for run in trainers]}}, task_runs={"name": {"like_": "0001-"}}
    )
    assert sorted(run["name"].split()[0] for run in trials) == list(uids)
    assert {run["state_name"] for run in trials} == {"Completed"}

    artifacts = {artifact["key"]: artifact for artifact in server.ask("artifacts")}
    key = name.replace("_", "-")
    assert artifacts[f"progress-{key}"]["data"] == 100.0
    leaderboard = json.loads(artifacts[f"leaderboard-{key}"]["data"])
    assert leaderboard[0]["trial"] == winners(log)[-1]["uid"]
    assert len(leaderboard) == budget
    report = artifacts[f"report-{key}"]
    assert str(log / "reports/1.html") in report["description"]
    assert winners(log)[-1]["uid"] in (log / "reports/1.html").read_text()


def test_searches_on_a_work_pool(server: Server) -> None:
    place = server.place
    log = place.folder / "dispatched"
    config = {
        "data": "iris", "name": "dispatched", "trials": 4, "steps": 40, "trainers": 2, "log": str(log),
    }  # fmt: skip
    server.prefect("deployment", "run", "search/search", "--param", f"config={json.dumps(config)}")

    # Meanwhile, what cannot be searched is said in one line.
    refused = subprocess.run(
        [sys.executable, "-m", "msearch_core.cli", "search", "iris", "--pool", "nowhere", "--log", "refused"],
        cwd=place.folder, env=place.environment, capture_output=True, text=True,
    )  # fmt: skip
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert "no work pool 'nowhere'" in refused.stderr
    assert not (place.folder / "refused").exists()

    run = server.wait_for_end("search")
    assert (run["state_name"], run["name"]) == ("Completed", "search-iris"), run
    check_recorded(server, log, "dispatched", 4)

    printed = place.run(
        "search", "iris", "--name", "typed", "--trials", "4", "--steps", "40", "--trainers", "2",
        "--pool", "msearch", "--log", str(place.folder / "typed"),
    )  # fmt: skip
    assert winners(place.folder / "typed")[0]["uid"] in printed
    check_recorded(server, place.folder / "typed", "typed", 4)


def test_without_the_password_nothing_is_answered(server: Server) -> None:
    stranger = {key: value for key, value in server.place.environment.items() if "AUTH_STRING" not in key}
    refused = subprocess.run(
        [sys.executable, "-m", "prefect", "work-pool", "ls"], env=stranger, capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "401" in refused.stdout + refused.stderr
    for command in (["deploy"], ["search", "iris", "--pool", "msearch", "--log", "refused"]):
        done = subprocess.run(
            [sys.executable, "-m", "msearch_core.cli", *command],
            cwd=server.place.folder,
            env=stranger,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
        assert "PREFECT_API_AUTH_STRING" in done.stderr
    again = server.place.run("deploy")
    assert "work pool msearch is there" in again
    assert "automation up to date" in again


@pytest.mark.cluster
def test_a_search_in_a_bucket_keeps_its_secrets(server: Server) -> None:
    config = {"data": "iris", "name": "secrets", "trials": 2, "steps": 40, "log": "s3://bucket/secrets"}
    server.prefect("deployment", "run", "search/search", "--param", f"config={json.dumps(config)}")
    run = server.wait_for_end("search")
    assert run["state_name"] == "Completed", run
    objects = read_bucket(server.place.environment["AWS_ENDPOINT_URL"])
    assert any(name.startswith("results/0001-0/0001-000002") for name in objects)

    # Prefect hands a process its environment in a file, which goes with the process.
    temporary = server.place.temporary
    wait_for(lambda: not list(temporary.glob("prefect-workspace-attempt-*")), "the run's process has ended", 60)
    files = {path: path.read_bytes() for path in server.place.folder.rglob("*") if path.is_file()}
    assert any(path.name == "prefect.db" for path in files), "parameters, states and logs of all runs"
    for secret in (PASSWORD, PASSWORD.partition(":")[2], BUCKET_SECRET):
        told = [name for name, content in {**files, **objects}.items() if secret.encode() in content]
        assert not told, f"{secret} stands in {told}"


def read_bucket(url: str) -> dict[str, bytes]:
    """The objects of a log in the bucket, by name; Parquet also as its texts, since it is compressed."""
    import fsspec

    filesystem = fsspec.filesystem("s3", key="any", secret="any", client_kwargs={"endpoint_url": url})
    objects = {path.removeprefix("bucket/secrets/"): filesystem.cat_file(path) for path in filesystem.find("bucket")}
    texts = {
        f"{name} as text": from_parquet(content).to_pandas().to_csv().encode()
        for name, content in objects.items()
        if name.endswith(".parquet")
    }
    return {**objects, **texts}


@pytest.mark.cluster
def test_trainers_come_and_go_and_a_cancelled_search_takes_them_along(server: Server) -> None:
    place = server.place
    log = place.folder / "elastic"
    config = {"data": "digits", "name": "elastic", "trials": 8, "steps": 700, "trainers": 1, "log": str(log)}
    server.prefect("deployment", "run", "search/search", "--param", f"config={json.dumps(config)}")
    wait_for(lambda: under_way(log), "a trial is under way")

    # One joins by hand, and the search gets one more.
    joining = {"log": str(log), "run": "0001"}
    server.prefect("deployment", "run", "trainer/trainer", "--param", f"parameters={json.dumps(joining)}")
    assert "2 trainers" in place.run("trainers", str(log), "2")
    wait_for(lambda: len({each["owner"]["trainer"] for each in under_way(log)}) == 3, "three trainers are at work")

    # A machine is taken away.
    (leaving, *_) = under_way(log)
    psutil.Process(leaving["owner"]["pid"]).terminate()
    wait_for(lambda: not psutil.pid_exists(leaving["owner"]["pid"]), "the trainer has left", 60)
    assert is_released(log, leaving) or leaving["uid"] in results(log)

    (search,) = [run for run in server.runs("search") if f"msearch:{config['name']}" in run["tags"]]
    server.prefect("flow-run", "cancel", search["id"])

    def states() -> set[str]:
        tag = {"tags": {"all_": ["msearch:elastic"]}}
        return {run["state_type"] for run in server.ask("flow_runs", flow_runs=tag) if run["parent_task_run_id"]}

    wait_for(lambda: states() <= set(FINAL), lambda: f"the search's trainers have ended: {states()}", 120)
    (ended,) = [run for run in server.runs("search") if run["id"] == search["id"]]
    assert ended["state_type"] == "CANCELLED", ended

    # The same search goes on with what is left.
    again = {**config, "trainers": 2}
    server.prefect("deployment", "run", "search/search", "--param", f"config={json.dumps(again)}")
    assert server.wait_for_end("search")["state_name"] == "Completed"
    frame = check_budget(log, 8)
    assert frame["trainer"].nunique() >= 2
    assert "sound" in place.run("check", str(log))


@pytest.mark.cluster
def test_a_search_recurs_on_new_data(server: Server) -> None:
    place = server.place
    write_digits(place.folder / "data.npz", 400)
    options = {"data": "data.npz", "log": str(place.folder / "recurring"), "trials": 3, "steps": 60, "keep": 2}
    (place.folder / "recurring.json").write_text(json.dumps({**options, "name": "recurring", "overlap": "refuse"}))
    deploy = ["deploy", "--refresh", "recurring.json"]
    assert "deployment refresh/recurring" in place.run(*deploy)

    place.run("data-updated", "data.npz")
    wait_for(lambda: server.runs("refresh"), "the event has started a refresh", 60)
    first = server.wait_for_end("refresh")
    assert first["state_name"] == "Completed", first
    assert first["state"]["message"] == "promoted: nothing was in use"

    write_digits(place.folder / "data.npz", 1000)
    log = TrialLog(str(place.folder / "recurring"))
    place.run("data-updated", "data.npz")
    wait_for(lambda: log.refreshes()[-1].run == "0002", "the new data is searched", 400)
    frame = log.trials()
    again = frame[frame["kind"] == "rescore"]
    assert list(again["uid"]) == ["0002-r00001", "0002-r00002"]
    assert all(parents[0].startswith("0001-") for parents in again["parents"])
    new = frame[(frame["run"] == "0002") & (frame["kind"] != "rescore")]
    assert list(new["slot"]) == [1, 2, 3]
    assert [parents[0] for parents in new["parents"].iloc[:2]] != ["", ""]
    assert (new["inherited_fraction"].iloc[:2] == 1.0).all()
    record = log.refreshes()[-1]
    assert record.run == "0002"
    assert "before" in record.test or record.promoted is None

    place.run("data-updated", "data.npz")
    quiet = wait_for(lambda: nothing_new(server), "a later look finds nothing new", 200)
    assert quiet["total_run_time"] < 10
    assert "in use" in place.run("promote", str(log.store.root), "--history") or log.productions()
    assert "sound" in place.run("check", str(log.store.root))


@pytest.mark.cluster
def test_a_schedule_finds_new_data(server: Server) -> None:
    place = server.place
    write_digits(place.folder / "watched.npz", 400)
    options = {"data": "watched.npz", "log": str(place.folder / "watched"), "trials": 1, "steps": 20}
    (place.folder / "watched.json").write_text(json.dumps({**options, "name": "watched", "overlap": "refuse"}))
    place.run("deploy", "--refresh", "watched.json", "--cron", "* * * * *")
    log = TrialLog(str(place.folder / "watched"))
    wait_for(lambda: log.refreshes(), "the schedule has found the data", 300)
    write_digits(place.folder / "watched.npz", 500)
    wait_for(lambda: log.refreshes()[-1].run == "0002", "the schedule has found the new data", 300)
    place.run("deploy", "--refresh", "watched.json")  # the schedule ends


def nothing_new(server: Server) -> dict[str, Any] | None:
    """The first refresh that found nothing new, if there is one."""
    runs = server.runs("refresh")
    return next((run for run in runs if "nothing new" in ((run["state"] or {}).get("message") or "")), None)


def write_digits(path: Path, count: int) -> None:
    """The first so many of scikit-learn's digits."""
    digits = load_digits()
    temporary = path.with_name("." + path.name)
    np.savez(temporary, x=digits.images[:count, ..., np.newaxis].astype(np.uint8), y=digits.target[:count])
    temporary.replace(path)
