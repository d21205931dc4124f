"""Searches on a real Prefect server and work pool, as the README has them typed."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import free_port
from tests.searching import REPOSITORY, Workplace, check_budget, finish, wait_for, winners, workplace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Server:
    """A Prefect server in a workplace, with the deployments of this repository and a worker for them."""

    def __init__(self, place: Workplace, port: int) -> None:
        self.place = place
        self.api = place.environment["PREFECT_API_URL"]
        self._start("server", "start", "--host", "127.0.0.1", "--port", str(port))
        wait_for(self.answers, "the server answers")
        self.prefect("work-pool", "create", "msearch", "--type", "process")
        self.prefect("--no-prompt", "deploy", "--all", cwd=REPOSITORY)
        self._start("worker", "start", "--pool", "msearch")

    def _start(self, *arguments: str) -> None:
        command = self.place.start("prefect", *arguments, output=self.place.folder / f"{arguments[0]}.log")
        assert command.poll() is None

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=5):
                return True
        except OSError:
            return False

    def prefect(self, *arguments: str, cwd: Path | None = None) -> str:
        return finish(self.place.start("prefect", *arguments, cwd=cwd))

    def ask(self, what: str, **body: Any) -> list[dict[str, Any]]:
        """Records of a kind, such as ``flow_runs``, oldest first."""
        request = urllib.request.Request(
            f"{self.api}/{what}/filter", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return sorted(found, key=lambda record: record["created"])


@pytest.fixture
def server(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    environment = {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with workplace(tmp_path, tmp_path_factory, environment) as place:
        yield Server(place, port)
        sys.stdout.write((tmp_path / "worker.log").read_text())  # shown with a failure


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

    def ended() -> dict[str, Any] | None:
        (run,) = server.ask("flow_runs", flows={"name": {"any_": ["search"]}})
        return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    run = wait_for(ended, "the search has ended", 600)
    assert (run["state_name"], run["name"]) == ("Completed", "search-iris"), run
    check_recorded(server, log, "dispatched", 4)

    printed = place.run(
        "search", "iris", "--name", "typed", "--trials", "4", "--steps", "40", "--trainers", "2",
        "--pool", "msearch", "--log", str(place.folder / "typed"),
    )  # fmt: skip
    assert winners(place.folder / "typed")[0]["uid"] in printed
    check_recorded(server, place.folder / "typed", "typed", 4)
