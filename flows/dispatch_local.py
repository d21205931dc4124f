"""Trainers in processes of their own on this machine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows import lifeline
from flows.dispatch import Deaths, TrainersFailedError, cores
from flows.local_trainer import REFUSED
from flows.parameters import TrainerParameters
from msearch_core.config import SearchConfig
from msearch_core.session import Session

GRACE_SECONDS = 25.0
HEAD_START_SECONDS = 8.0
MAX_LOCAL_TRAINERS = 4
"""So many run where the user gives no number and there are cores enough."""


def local_trainers(config: SearchConfig, session: Session) -> LocalTrainers:
    """As many local trainers as asked for, the cores shared among them."""
    count = config.trainers or min(cores(), MAX_LOCAL_TRAINERS)
    parameters = TrainerParameters(
        log=session.log.url,
        run=session.run.run,
        data=str(session.data),
        threads=max(1, cores() // count),
        min_params=None,
        max_params=None,
        tensorboard=config.tensorboard,
    )
    return LocalTrainers(parameters, count)


class LocalTrainers:
    """Trainers in processes of their own on this machine.

    Args:
        parameters: their work.
        count: how many.
    """

    def __init__(self, parameters: TrainerParameters, count: int) -> None:
        self.count = count
        self._parameters = parameters
        self._deaths = Deaths(count)
        self._folder = tempfile.TemporaryDirectory(prefix="msearch-trainers-")
        self._processes: list[subprocess.Popen[str] | None] = [None] * count
        self._leaving: list[subprocess.Popen[str]] = []
        self._left: set[int] = set()
        self._began = time.monotonic()

    def start(self) -> None:
        """Start those that are not running, with few cores the first one ahead of the others; see the protocol."""
        for index, process in enumerate(self._processes):
            if process is None and (index == 0 or self._may_start_all()):
                self._launch(index)

    def _may_start_all(self) -> bool:
        """Whether the others need not wait: to load TensorFlow keeps a core busy for as long as a trial may take."""
        first = self._processes[0] if self._processes else None
        waited = time.monotonic() - self._began
        return (
            cores() > 2 * self.count or waited > HEAD_START_SECONDS or (first is not None and first.poll() is not None)
        )

    def tend(self, rows: int) -> None:
        """Replace those that died; see the protocol."""
        for index, process in enumerate(self._processes):
            if process is None or process.poll() is None:
                continue
            if process.returncode == 0 and index not in self._left:
                # It found nothing left to do, which the next look at the log will most likely confirm.
                self._left.add(index)
                continue
            self._left.discard(index)
            if process.returncode != 0:  # else it was told to go, and has handed its trial back
                reason = self._last_words(index, process.returncode)
                if process.returncode == REFUSED:
                    raise TrainersFailedError(reason)
                self._deaths.count(rows, reason)
            lifeline.stop(process, 0)
            self._launch(index)

    def resize(self, count: int) -> None:
        """Change how many there are; see the protocol."""
        for process in filter(None, self._processes[count:]):
            process.terminate()
            self._leaving.append(process)
        self._left -= set(range(count, self.count))
        self._processes = [*self._processes[:count], *[None] * (count - self.count)]
        self.count = count
        self._deaths.resize(count)

    def stop(self, patience: float = 0.0) -> None:
        """Make them hand back their trials and end; see the protocol."""
        running = [*filter(None, self._processes), *self._leaving]
        deadline = time.monotonic() + patience
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            lifeline.stop(process, max(0.0, deadline - time.monotonic()))
        self._processes = [None] * len(self._processes)
        self._folder.cleanup()

    def _launch(self, index: int) -> None:
        self._processes[index] = lifeline.start(
            "flows.local_trainer", message=self._parameters.model_dump_json(), log=self._log(index)
        )

    def _log(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.log"

    def _last_words(self, index: int, code: int) -> str:
        """What a dead trainer said last; all of its words go into the search's own log."""
        words = self._log(index).read_text(errors="replace").strip()
        self._log(index).unlink()
        sys.stderr.write(f"trainer {index} ended with code {code}:\n{words}\n")
        return (words.splitlines() or [f"exit code {code}"])[-1].strip()
