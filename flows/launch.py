"""Starting a search from the command line or the library, with all that it needs, and ending it in order.

Free of Prefect and TensorFlow: those live in the processes started here.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import platformdirs
import psutil

from flows import lifeline
from flows.prefect_api import QUIET, EmbeddedServer, api_url, need_api_url
from msearch_core.config import SearchConfig
from msearch_core.errors import UserError
from msearch_core.loading import CODE_PATH
from msearch_core.trial_log import RunRecord, TrialLog
from msearch_core.urls import expanded

STOP_SECONDS = 40.0
KEPT_LOGS = 20


@dataclass(frozen=True)
class Joined:
    """The run that a launched search works on.

    Attributes:
        log: the trial database.
        run: the run's newest budget.
        over: whether there was nothing left to do.
        notices: what to know of the data, a line each (`msearch_core.data.notices`).
    """

    log: TrialLog
    run: RunRecord
    over: bool
    notices: tuple[str, ...]


class LaunchedSearch:
    """A search at work in processes of its own. Use it as a context manager, so that none of them is left.

    Args:
        config: what to search.
        module: the main of the process that does it.
        message: what it finds on its standard input; the configuration if not given.

    Attributes:
        log_file: where the processes' own output goes.
    """

    def __init__(self, config: SearchConfig, module: str = "flows.local_search", message: str | None = None) -> None:
        if config.pool:
            need_api_url("--pool")
        self.log_file = _new_log_file()
        self._server = None if api_url() else EmbeddedServer(self.log_file)
        environment = {**(self._server.environment if self._server else QUIET), **code_path(config)}
        self._process = lifeline.start(
            module,
            message=message or config.model_dump_json(),
            log=self.log_file,
            talks=True,
            environment=environment,
        )
        self._events = self._listen()

    def __enter__(self) -> LaunchedSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        lifeline.stop(self._process, STOP_SECONDS)
        if self._server:
            self._server.stop()

    def joined(self) -> Joined:
        """Wait until the search has joined its log.

        Raises:
            UserError: what was asked for cannot be searched.
        """
        event = next(self._events)["joined"]
        log = TrialLog(event["log"])
        run = next(each for each in log.runs() if each.run == event["run"])
        return Joined(log, run, event["over"], tuple(event["notices"]))

    def is_running(self) -> bool:
        """Whether the search is still at work.

        Raises:
            UserError: the server that was brought up for it has died, and with it all that Prefect shows.
        """
        if self._server and not self._server.is_alive():
            raise UserError(
                f"Prefect's server died; the same command goes on with the search (details: {self.log_file})"
            )
        return self._process.poll() is None

    def wait(self) -> str:
        """Wait for the search to end. Returns what it says.

        Raises:
            UserError: it failed.
        """
        message = ""
        for event in self._events:
            ended = event.get("ended")
            if ended and ended["state"] not in ("Completed", "Cancelled"):
                raise UserError(f"the search failed: {ended['message']} (details: {self.log_file})")
            message = str(ended["message"]) if ended else message
        return message

    def stop(self) -> None:
        """Make the search hand back its trials and end; what is on record stays."""
        self._process.terminate()

    def _listen(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        for line in self._process.stdout:
            event = json.loads(line)
            if "refused" in event:
                raise UserError(event["refused"])
            yield event
        if self._process.wait() != 0:
            raise UserError(f"the search ended unexpectedly; details: {self.log_file}")


def code_path(config: SearchConfig) -> dict[str, str]:
    """Code that the user names by its file may be loaded: to name it is to trust it."""
    named = (config.space, config.objective, config.data, config.test)
    files = [each.partition(":")[0] for each in named if each]
    folders = [str(expanded(file).resolve().parent) for file in files if file.endswith(".py")]
    if not folders:
        return {}
    return {CODE_PATH: os.pathsep.join([*dict.fromkeys(folders), *filter(None, [os.environ.get(CODE_PATH)])])}


def _new_log_file() -> Path:
    """A file for the processes' output; the oldest ones are removed, but those of searches that go on."""
    folder = platformdirs.user_log_path("msearch")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("search-*.log"))[:-KEPT_LOGS]:
            if not _goes_on(old):
                old.unlink(missing_ok=True)
        file = folder / f"search-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        file.touch()
    except OSError:  # no home to write to
        file = Path(tempfile.mkdtemp(prefix="msearch-log-")) / "search.log"
    return file


def _goes_on(log_file: Path) -> bool:
    """Whether the process that a log file was made by is there."""
    number = log_file.stem.rpartition("-")[2]
    return number.isdigit() and psutil.pid_exists(int(number))
