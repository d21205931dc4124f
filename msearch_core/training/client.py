"""How a trainer uses the training host. Free of TensorFlow and Prefect."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

from msearch_core import programs

Action: TypeAlias = Literal["train", "ensemble", "count", "winner", "score", "export"]
DEFAULTS = {
    # One thread each: what runs in parallel is TensorFlow's, whose threads a spec sets.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Its own allocator keeps the memory of large tensors for the next step. The C library's gives it back after each
    # operation, and the kernel then spends as long on clearing pages as training does on sums.
    "TF_CPU_ALLOCATOR_USE_BFC": "true",
}
"""Environment variables of a training host, unless the user has set them."""
LAST_WORDS = 20
"""So many lines are told of what a host said before it died."""


@dataclass(frozen=True)
class Exit:
    """How a child ended: by itself with an exit code, 0 if all went well, or by a signal.

    Attributes:
        host_died: the child was lost with its host; it says nothing about what the child did.
    """

    exit_code: int | None = None
    signal: int | None = None
    host_died: bool = False


class Job:
    """A child of the training host."""

    def __init__(self, number: int, host: TrainingHost) -> None:
        self._number = number
        self._host = host
        self._ended = threading.Event()
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """How the child ended, or ``None`` while it runs."""
        return self._exit

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Wait for the child to end, at most ``timeout`` seconds; then as ``poll``."""
        self._ended.wait(timeout)
        return self._exit

    def signal(self, number: int) -> None:
        """Send the child a signal; without effect once it has ended."""
        if not self._ended.is_set():
            self._host._send({"id": self._number, "signal": int(number)})

    def kill(self) -> None:
        """Kill the child."""
        self.signal(signal.SIGKILL)

    def _end(self, how: Exit) -> None:
        self._exit = self._exit or how
        self._ended.set()


class TrainingHost:
    """A subprocess that owns TensorFlow and forks children for jobs. Use it as a context manager.

    It starts at once, so that TensorFlow loads while the caller does other things. A host that died is started anew
    with the next job. If it took jobs with it, the last lines of its log go to this process's standard error, since the
    log seldom outlives it.

    Args:
        log: the file that the host's and its children's standard error is appended to.
        environment: environment variables besides this process's own.
    """

    def __init__(self, log: Path, environment: dict[str, str] | None = None) -> None:
        self._log = log
        self._environment = {**DEFAULTS, **programs.environment(environment)}
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._ready = threading.Event()
        self._process = self._launch()

    def __enter__(self) -> TrainingHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The host's process id."""
        return self._process.pid

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until TensorFlow is loaded; ``False`` if it is not within ``timeout`` seconds."""
        return self._ready.wait(timeout)

    def start(self, action: Action, spec_path: Path, threads: int | None = None) -> Job:
        """Let a child do something.

        Args:
            action: ``train`` with a ``TrialSpec`` file, ``ensemble`` with an ``EnsembleSpec``, ``count`` with a
                ``CountSpec``, ``winner`` with a ``WinnerSpec``, ``score`` with a ``ScoreSpec``,
                ``export`` with an ``ExportSpec``.
            spec_path: that file.
            threads: how many it says, if a child that has done such jobs before may do this one too.
        """
        with self._lock:
            if self._process.poll() is not None:
                self._lose_jobs()
                self._process = self._launch()
            job = Job(next(self._numbers), self)
            self._jobs[job._number] = job
            again = {} if threads is None else {"threads": threads}
            self._send({"id": job._number, "action": action, "spec": str(spec_path), **again})
            return job

    def close(self) -> None:
        """End the host and with it every child."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _launch(self) -> subprocess.Popen[str]:
        self._ready.clear()
        with self._log.open("ab") as log:
            self._said = log.tell()
            process = subprocess.Popen(
                programs.command("msearch_core.training.host"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                text=True,
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read_reports, args=(process,), daemon=True)
        self._reader.start()
        return process

    def _send(self, request: dict[str, Any]) -> None:
        # A host that is gone is noticed at the end of its reports.
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            if self._process.stdin:
                self._process.stdin.write(json.dumps(request) + "\n")
                self._process.stdin.flush()

    def _read_reports(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101 (a pipe was asked for)
        for line in process.stdout:
            report = json.loads(line)
            if "ready" in report:
                self._ready.set()
                continue
            with self._lock:
                job = self._jobs.pop(report["id"], None)
            if job:
                job._end(Exit(report.get("exit_code"), report.get("signal")))
        process.stdout.close()
        process.wait()
        with self._lock:
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            if process is self._process:
                self._lose_jobs()

    def _lose_jobs(self) -> None:
        if self._jobs and self._process.returncode:
            self._tell_last_words()
        for job in self._jobs.values():
            job._end(Exit(host_died=True))
        self._jobs.clear()

    def _tell_last_words(self) -> None:
        with contextlib.suppress(OSError), self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._said)
            words = "".join(deque(log, LAST_WORDS))
            sys.stderr.write(f"the training host ended with {self._process.returncode}; its last words:\n{words}\n")
