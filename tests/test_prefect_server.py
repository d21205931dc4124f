"""What is left on a real Prefect server where nobody works: runs of trainers with which others meddle, deployments."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.dispatch import MAX_DEATHS, TrainersFailedError
from flows.dispatch_local import LocalTrainers
from flows.dispatch_pool import PoolTrainers
from flows.parameters import TrainerParameters
from flows.pools import Place
from flows.recording import tag_own_run
from flows.refresh import _search
from msearch_core.config import make_config
from msearch_core.session import join
from tests.pool import Server, prefect_server
from tests.searching import finish, is_alive, under_way, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prefect_server(tmp_path_factory.mktemp("trainers"), tmp_path_factory) as made:
        made.deploy_all()
        with temporary_settings({PREFECT_API_URL: made.api}):
            yield made


def pool_trainers(run: str, count: int, deployment: str = "trainer/trainer", **parameters: Any) -> PoolTrainers:
    asked = TrainerParameters(log="gs://bucket/log", run=run)
    return PoolTrainers(asked, [Place(deployment, parameters)] * count)


def runs(server: Server, run: str) -> list[dict[str, Any]]:
    return [each for each in server.runs("trainer") if each["parameters"]["parameters"]["run"] == run]


def delete(run: dict[str, Any]) -> None:
    with get_client(sync_client=True) as client:
        client.delete_flow_run(run["id"])


def test_a_trainer_whose_run_was_deleted_is_replaced_as_long_as_there_is_hope(server: Server) -> None:
    trainers = pool_trainers("0001", 1)
    trainers.start()
    for _ in range(MAX_DEATHS):
        (gone,) = runs(server, "0001")
        delete(gone)
        trainers.tend(0)
        (new,) = runs(server, "0001")
        assert new["id"] != gone["id"]
    delete(new)
    with pytest.raises(TrainersFailedError, match=r"7 trainers died .* its flow run was deleted"):
        trainers.tend(0)
    trainers.stop()


def test_a_deleted_run_need_not_be_cancelled(server: Server) -> None:
    trainers = pool_trainers("0002", 2)
    trainers.start()
    first, second = runs(server, "0002")
    delete(first)
    trainers.stop()
    (left,) = runs(server, "0002")
    assert (left["id"], left["state_type"]) == (second["id"], "CANCELLED")


def test_trainers_too_many_leave_once_the_server_is_back(server: Server) -> None:
    trainers = pool_trainers("0003", 2)
    trainers.start()
    first, second = runs(server, "0003")
    server.process.terminate()
    finish(server.process, server.process.wait())
    wait_for(lambda: not server.answers(), "the server is away")
    trainers.resize(1)
    server.start()
    trainers.tend(0)
    states = {run["id"]: run["state_type"] for run in runs(server, "0003")}
    assert states == {first["id"]: "SCHEDULED", second["id"]: "CANCELLED"}
    trainers.stop()
    assert {run["state_type"] for run in runs(server, "0003")} == {"CANCELLED"}


def test_a_refusal_ends_the_search_in_one_line(server: Server) -> None:
    refused = pool_trainers("0004", 1, min_params="few")
    with pytest.raises(TrainersFailedError, match=r"Prefect .*min_params.*") as error:
        refused.start()
    assert "\n" not in str(error.value)
    refused.stop()


def test_a_deployment_that_is_gone_ends_the_search_in_one_line(server: Server) -> None:
    homeless = pool_trainers("0005", 1, deployment="trainer/gone")
    with pytest.raises(TrainersFailedError, match=r"trainer/gone.* msearch deploy"):
        homeless.start()


@pytest.mark.timeout(120)
def test_a_run_does_not_wait_for_a_server_that_hangs_to_take_its_tags(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def tagged() -> None:
        tag_own_run({"taken"}, logging.getLogger("test"))
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            tag_own_run({"lost"}, logging.getLogger("test"))
        finally:
            os.kill(server.process.pid, signal.SIGCONT)

    tagged()
    (run,) = server.runs("tagged")
    assert run["tags"] == ["taken"]
    assert "Prefect does not answer" in caplog.text


def test_a_refresh_heeds_sigterm_after_its_search(server: Server, tmp_path: Path) -> None:
    config = make_config(data="iris", pool="nowhere", log=str(tmp_path / "log"))

    @flow
    def refreshing() -> tuple[bool, bool]:
        before = signal.getsignal(signal.SIGTERM)
        state = _search(config, join(config, tmp_path / "cache"))
        return state.is_failed(), signal.getsignal(signal.SIGTERM) == before

    assert refreshing() == (True, True)


@pytest.mark.parametrize("joined", [False, True])
def test_a_local_trainer_that_was_told_to_leave_is_replaced_and_is_no_death(
    joined: bool, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("flows.dispatch.MAX_DEATHS", 0)
    session = join(make_config(data="iris", trials=2, steps=10_000_000, log=str(tmp_path / "log")), tmp_path / "cache")
    trainers = LocalTrainers(
        TrainerParameters(log=session.log.url, run=session.run.run, data=str(session.data), threads=1), 1
    )
    trainers.start()

    def household() -> list[int]:
        return [each.pid for each in server.place.processes() if "flows.local_trainer" in each.cmdline()]

    def hosts() -> list[Path]:
        return list(server.place.temporary.glob("msearch-host-*"))

    def tended() -> set[int]:
        trainers.tend(0)  # raises if one died
        return set(household())

    def is_ready() -> bool:
        return bool(tended() and hosts() and (under_way(tmp_path / "log") or not joined))

    try:
        wait_for(is_ready, "it is there")
        (first,) = household()
        os.kill(first, signal.SIGTERM)
        wait_for(lambda: not is_alive(first), "it is gone")
        assert not hosts()
        wait_for(lambda: tended() - {first}, "another has started")
    finally:
        trainers.stop()


def deploy(server: Server, **options: object) -> subprocess.CompletedProcess[str]:
    (server.place.folder / "refresh.json").write_text(json.dumps(options))
    return subprocess.run(
        [sys.executable, "-m", "msearch_core.cli", "deploy", "--refresh", "refresh.json"],
        cwd=server.place.folder, env=server.place.environment, capture_output=True, text=True,
    )  # fmt: skip


def logs_of(server: Server, name: str) -> list[str]:
    found = [each for each in server.ask("deployments") if each["name"] == name]
    return [each["parameters"].get("parameters", {}).get("config", {}).get("log") for each in found]


def test_another_search_does_not_take_the_place_of_one_that_is_deployed(server: Server) -> None:
    options = {"data": "gs://here/voices", "log": "gs://here/log"}
    assert deploy(server, **options).returncode == 0
    assert deploy(server, **options, trials=30).returncode == 0, "the same search may change"
    refused = deploy(server, data="gs://there/voices", log="gs://there/log")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused
    assert "refresh/voices is of the search with the log gs://here/log, not gs://there/log" in refused.stderr
    assert "give this search another name" in refused.stderr
    assert logs_of(server, "voices") == ["gs://here/log"]


def test_all_that_prefect_says_of_a_refusal_is_repeated_in_one_line(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    finish(server.place.msearch("deploy", "--pool", "new", "--type", "bogus"), 2)
    (line,) = capfd.readouterr().err.splitlines()
    assert "Unknown work pool type 'bogus'. Please choose from" in line
    assert "kubernetes, process" in line
