"""Running the real command line in a folder of its own, and watching what it does to its log and to the machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import psutil

from msearch_core import programs

MARKER = "MSEARCH_TEST_ID"
PATIENCE_SECONDS = 300.0
"""Long enough for a slow machine that does much else; what is waited for is normally there in a tenth of it."""
REPOSITORY = Path(__file__).resolve().parents[1]

Found = TypeVar("Found")


class Workplace:
    """A folder to run `msearch` in, whose processes can be told from all others.

    Args:
        folder: the working directory; temporary files go to ``temporary`` below it.
        cache: kept between searches, for prepared data and the Prefect server's first database.
        environment: variables besides this process's own.
    """

    def __init__(self, folder: Path, cache: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.cache = cache
        self.marker = uuid.uuid4().hex
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MSEARCH_"))}
        self.environment = {
            **inherited,
            "COLUMNS": "200",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PREFECT_HOME": str(folder / "prefect"),
            "TMPDIR": str(self.temporary),
            "XDG_CACHE_HOME": str(cache),
            "XDG_STATE_HOME": str(cache / "state"),
            MARKER: self.marker,
            **(environment or {}),
        }

    def start(self, *command: str, cwd: Path | None = None, output: Path | None = None) -> subprocess.Popen[str]:
        """Start a Python module with arguments. Its standard error is this process's own, which pytest keeps.

        Args:
            command: the module and its arguments.
            cwd: where, if not in the folder.
            output: the file that both its outputs go to, for a process that nobody listens to.
        """
        with (output or Path(os.devnull)).open("ab") as file:
            return subprocess.Popen(
                programs.command(*command),
                cwd=cwd or self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file if output else subprocess.PIPE,
                stderr=file if output else None,
                text=True,
                start_new_session=True,
            )

    def msearch(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start("msearch_core.cli", *arguments)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run `msearch` to its end and return what it printed."""
        return finish(self.msearch(*arguments), code)

    def processes(self) -> list[psutil.Process]:
        """Every process that descends from one started here, wherever it hangs by now."""
        return [process for process in psutil.process_iter() if _marker_of(process) == self.marker]

    def wait_until_gone(self) -> None:
        wait_for(lambda: not self.processes(), lambda: f"no process is left; there are {self.processes()}", 60)

    def kill(self) -> None:
        """Kill all processes at once."""
        for process in self.processes():
            _kill(process)


@contextmanager
def workplace(folder: Path, factory: Any, environment: Mapping[str, str] | None = None) -> Iterator[Workplace]:
    """A workplace that leaves no process behind; ``factory`` is pytest's ``tmp_path_factory``."""
    place = Workplace(folder, factory.getbasetemp() / "msearch-cache", environment)
    try:
        yield place
    finally:
        while place.processes():
            place.kill()


def _marker_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
        return None


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


def is_alive(process_id: int) -> bool:
    """Whether a process is there; one that is dead but that nobody has asked for is not."""
    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a command to end as expected and return what it printed."""
    output, _ = process.communicate(timeout=2 * PATIENCE_SECONDS)
    assert process.returncode == code, output
    return output


def wait_for(condition: Callable[[], Found], what: str | Callable[[], str], seconds: float = PATIENCE_SECONDS) -> Found:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s until {what if isinstance(what, str) else what()}"
        time.sleep(0.05)
    return found


def trials(log: Path) -> pd.DataFrame:
    """The sealed rows, as a user queries them."""
    return pd.read_parquet(log / "trials")


def results(log: Path) -> set[str]:
    """The uids on record."""
    return {path.stem for path in log.glob("results/*/*.parquet")}


def claims(log: Path) -> list[dict[str, Any]]:
    """Every claim ever made, lowest slot and attempt first."""
    found = [json.loads(path.read_text()) for path in log.glob("claims/*/*.json")]
    return sorted(found, key=lambda claim: (claim["uid"], claim["attempt"]))


def unfinished(log: Path) -> list[dict[str, Any]]:
    """The newest claim of each trial that is not on record."""
    newest = {claim["uid"]: claim for claim in claims(log)}
    return [claim for uid, claim in newest.items() if uid not in results(log)]


def is_released(log: Path, claim: Mapping[str, Any]) -> bool:
    """Whether a claim was handed back."""
    return any(log.glob(f"claims/*/{claim['uid']}.{claim['attempt']}.released"))


def under_way(log: Path) -> list[dict[str, Any]]:
    """The claims of trials that a living process is at."""
    return [
        claim for claim in unfinished(log) if not is_released(log, claim) and psutil.pid_exists(claim["owner"]["pid"])
    ]


def winners(log: Path) -> list[dict[str, Any]]:
    """The winners named so far, oldest first."""
    paths = sorted(log.glob("winners/*.json"), key=lambda path: int(path.stem))
    return [json.loads(path.read_text()) for path in paths]


def check_budget(log: Path, budget: int) -> pd.DataFrame:
    """Assert that each slot of the budget has exactly one row, and return the rows in the order of their slots."""
    frame = trials(log).sort_values("slot", ignore_index=True)
    assert list(frame["slot"]) == list(range(1, budget + 1))
    assert list(frame["uid"]) == [f"0001-{slot:06d}" for slot in range(1, budget + 1)]
    assert results(log) == set(frame["uid"])
    return frame
