"""Searches on a real Prefect server and work pool, as the README has them typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pool import Server, prefect_server
from tests.searching import check_budget, winners

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def server(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prefect_server(tmp_path, tmp_path_factory) as made:
        made.place.run("deploy")
        made.worker()
        yield made
        sys.stdout.write((tmp_path / "worker-1.log").read_text())  # shown with a failure


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
