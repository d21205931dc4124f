"""What a child of the training host does: one job, or several in a row.

The host tells it over a pipe of its own, in JSON objects, one a line:

    {"id": 1, "action": "train", "spec": "/path/spec.json", "again": true}
    {"id": 1, "signal": 10}

A signal is for one job: what arrives after the job has ended is dropped, so that it never meets the next one. When the
pipe ends, because the host died or wants no more of it, the child ends too.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Actions: TypeAlias = dict[str, Callable[[str], bool | None]]
"""What may be asked for, each with the path of its spec; ``False`` says that the process should not be used again."""

HELD_BACK = {signal.SIGUSR1, signal.SIGTERM}
"""Blocked until a job unblocks them: their default would kill a child before it has set its handlers."""


class Jobs:
    """The jobs that the host sends, one after the other: it sends one when the last was reported as done.

    Args:
        pipe: the file descriptor that they come from.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: int | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def next(self) -> dict[str, Any]:
        """Wait for the next job."""
        return self._requests.get()

    def end(self) -> None:
        """The job at hand is over: drop what signals are still on their way to it."""
        with self._lock:
            self._current = None
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        for number in HELD_BACK:
            signal.signal(number, signal.SIG_IGN)

    def _listen(self) -> None:
        main = threading.main_thread().ident or 0
        with os.fdopen(self._pipe) as lines:
            for line in lines:
                told = json.loads(line)
                with self._lock:
                    if "action" in told:
                        self._current = told["id"]
                        self._requests.put(told)
                    elif told["id"] == self._current:
                        signal.pthread_kill(main, told["signal"])
        os._exit(1)


def serve(pipe: int, done: int, actions: Actions) -> None:
    """Do what the host asks for, until a job is the last one or should be.

    Args:
        pipe: where jobs come from.
        done: where the id of each goes that ended well and may be followed by another, one a line.
        actions: what may be asked for.

    Raises:
        Exception: whatever an action raised.
    """
    jobs = Jobs(pipe)
    while True:
        job = jobs.next()
        # TensorFlow leaves the code that it generates in temporary files; whoever wrote the spec clears its folder.
        tempfile.tempdir = str(Path(job["spec"]).parent)
        usable = actions[job["action"]](job["spec"])
        if not job["again"] or usable is False:
            return
        jobs.end()
        os.write(done, f"{job['id']}\n".encode())
        _forget()


def _forget() -> None:
    """Free what the job has left behind in Keras and TensorFlow, and the counters that name layers."""
    import keras

    keras.utils.clear_session(free_memory=True)
