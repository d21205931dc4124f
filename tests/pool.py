"""A real Prefect server with work pools and workers, in a workplace of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.servers import free_port
from tests.searching import REPOSITORY, Workplace, finish, wait_for, workplace

POOL = "msearch"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Server:
    """A Prefect server in a workplace, which can be killed and started again with its database.

    Args:
        place: where.
        port: the server's port; ``PREFECT_API_URL`` of the workplace names it.
    """

    def __init__(self, place: Workplace, port: int) -> None:
        self.place = place
        self.api = place.environment["PREFECT_API_URL"]
        self._port = port
        self._workers = 0
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start the server, and wait until it answers."""
        self.process = self._background("server", "server", "start", "--host", "127.0.0.1", "--port", str(self._port))
        wait_for(self.answers, "the server answers")
        return self.process

    def worker(self, *arguments: str, pool: str = POOL) -> subprocess.Popen[str]:
        """Start a worker for a pool."""
        self._workers += 1
        name = f"worker-{self._workers}"
        return self._background(name, "worker", "start", "--pool", pool, "--name", name, *arguments)

    def _background(self, log: str, *arguments: str) -> subprocess.Popen[str]:
        process = self.place.start("prefect", *arguments, output=self.place.folder / f"{log}.log")
        assert process.poll() is None
        return process

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{self.api}/health", headers=self._credentials()), timeout=5
            ):
                return True
        except OSError:
            return False

    def _credentials(self) -> dict[str, str]:
        secret = self.place.environment.get("PREFECT_API_AUTH_STRING")
        return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"} if secret else {}

    def prefect(self, *arguments: str, cwd: Path | None = None) -> str:
        return finish(self.place.start("prefect", *arguments, cwd=cwd))

    def deploy_all(self) -> None:
        """As the README has it for those who do it by hand."""
        self.prefect("work-pool", "create", POOL, "--type", "process")
        self.prefect("--no-prompt", "deploy", "--all", cwd=REPOSITORY)

    def ask(self, what: str, **body: Any) -> list[dict[str, Any]]:
        """Records of a kind, such as ``flow_runs``, oldest first."""
        headers = {"Content-Type": "application/json", **self._credentials()}
        request = urllib.request.Request(f"{self.api}/{what}/filter", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        records: list[dict[str, Any]] = found["events"] if what == "events" else found
        return sorted(records, key=lambda record: str(record.get("created")))

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """The flow runs of a flow, oldest first."""
        return self.ask("flow_runs", flows={"name": {"any_": [flow]}})

    def wait_for_end(self, flow: str, seconds: float = 600, index: int = -1) -> dict[str, Any]:
        """Wait until a run of a flow, the newest if not given, has ended."""

        def ended() -> dict[str, Any] | None:
            run = self.runs(flow)[index]
            return run if run["state_type"] in FINAL else None

        return wait_for(ended, f"the {flow} has ended", seconds)

    def trainer_processes(self) -> list[psutil.Process]:
        """The processes of trainers that run on pools here: those that own a training host."""
        return [parent for process in self.place.processes() if (parent := _owner_of_host(process))]


def _owner_of_host(process: psutil.Process) -> psutil.Process | None:
    """The process that started a training host; the host's own children look like it."""
    try:
        owner = process.parent() if "msearch_core.training.host" in process.cmdline() else None
        return owner if owner and "msearch_core.training.host" not in owner.cmdline() else None
    except psutil.Error:
        return None


@contextmanager
def prefect_server(tmp_path: Path, factory: Any, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server in a workplace that leaves no process behind; ``factory`` is pytest's ``tmp_path_factory``."""
    port = free_port()
    variables = {
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        **(environment or {}),
    }
    with workplace(tmp_path, factory, variables) as place:
        yield Server(place, port)
