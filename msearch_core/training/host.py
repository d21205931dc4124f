"""The process that owns TensorFlow: a small fork server, ``python -m msearch_core.training.host``.

It imports TensorFlow once, runs no operation, and forks children, so that a trial costs no import and takes nobody with
it when it crashes. Requests come in on standard input and reports go out on standard output, one JSON object a line:

    {"id": 1, "action": "train", "spec": "/path/spec.json"}   ->   {"id": 1, "exit_code": 0} or {"id": 1, "signal": 9}
    {"id": 1, "signal": 15}                                    passes a signal on to the child

A request with ``"threads": n`` may be done by a child that has done others with as many before it, which saves what
TensorFlow does in a process for the first time. Such a child is replaced after a few jobs, so that what one leaves
behind does not pile up, and after any that went wrong.

The first report is ``{"ready": true}``. When standard input ends, because the parent closed it or died, the children
are killed. When the host itself dies, each child sees the end of its pipe and ends.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import Any

from msearch_core.programs import look_here_last
from msearch_core.training.quiet import silenced
from msearch_core.training.serving import HELD_BACK, Actions, serve

MOST_JOBS = 10
"""A child is replaced after so many: each leaves some megabytes behind."""


def load_actions() -> Actions:
    """Import all that a child will use."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with silenced(2):
        import safetensors.numpy  # noqa: F401 (for the children)
        import sklearn.metrics  # noqa: F401 (for the children)

        from msearch_core.training import child, count, ensembling, exporting, score, winner
    return {
        "train": child.run,
        "ensemble": ensembling.run,
        "count": count.run,
        "winner": winner.run,
        "score": score.run,
        "export": exporting.run,
    }


@dataclass
class Child:
    """A process that works for the host.

    Attributes:
        pipe: the file descriptor that it is told its jobs by.
        threads: of the requests that it may serve one after the other; ``None`` if it serves a single one.
        job: the request at hand.
        jobs: so many were given to it.
    """

    pipe: int
    threads: int | None
    job: int | None = None
    jobs: int = 0


class Host:
    """Lets children do what is asked for and reports how each job ended.

    Args:
        actions: what a child may do.
        reports: the file descriptor that reports go to.
    """

    def __init__(self, actions: Actions, reports: int) -> None:
        self.actions = actions
        self.reports = reports
        self.children: dict[int, Child] = {}  # by process id
        self.done, self.done_end = os.pipe()
        self.wakeup, self.wakeup_end = os.pipe()
        for descriptor in (self.done, self.wakeup, self.wakeup_end):
            os.set_blocking(descriptor, False)
        self.unread = b""

    def serve(self) -> None:
        """Answer requests until standard input ends, then kill the children."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup_end)
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ, self._read_requests)
            selector.register(self.done, selectors.EVENT_READ, self._read_done)
            selector.register(self.wakeup, selectors.EVENT_READ, self._reap)
            self._report({"ready": True})
            while all(key.data() for key, _ in selector.select()):
                pass
        for process in self.children:
            os.kill(process, signal.SIGKILL)

    def _report(self, report: dict[str, Any]) -> None:
        # A parent that is gone is seen at standard input.
        with contextlib.suppress(BrokenPipeError):
            os.write(self.reports, (json.dumps(report) + "\n").encode())

    def _read_requests(self) -> bool:
        data = os.read(0, 1 << 16)
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "action" in request:
                self._start(request)
            else:
                self._pass_on(request)
        return bool(data)

    def _read_done(self) -> bool:
        lines = b""
        with contextlib.suppress(BlockingIOError):
            lines = os.read(self.done, 1 << 16)
        for number in map(int, lines.split()):
            process, child = next(each for each in self.children.items() if each[1].job == number)
            child.job = None
            self._report({"id": number, "exit_code": 0})
            if child.jobs >= MOST_JOBS:
                self._dismiss(process)
        return True

    def _reap(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wakeup, 512):
                pass
        self._read_done()  # a child may have reported a job just before it ended
        for process in list(self.children):
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                child = self.children.pop(process)
                os.close(child.pipe)
                code = os.waitstatus_to_exitcode(status)
                if child.job is not None:
                    self._report({"id": child.job, **({"exit_code": code} if code >= 0 else {"signal": -code})})
        return True

    def _pass_on(self, request: dict[str, Any]) -> None:
        for process, child in self.children.items():
            if child.job == request["id"]:
                if request["signal"] == signal.SIGKILL:
                    os.kill(process, signal.SIGKILL)
                else:
                    self._tell(child, request)

    def _start(self, request: dict[str, Any]) -> None:
        threads = request.get("threads")
        idle = {process: each for process, each in self.children.items() if each.job is None}
        child = next((each for each in idle.values() if each.threads == threads), None)
        for process, each in idle.items():
            if each is not child:
                self._dismiss(process)
        child = child or self._fork(threads)
        child.job, child.jobs = request["id"], child.jobs + 1
        self._tell(child, {**request, "again": threads is not None})

    def _tell(self, child: Child, told: dict[str, Any]) -> None:
        # A child that is gone is seen when it is reaped.
        with contextlib.suppress(BrokenPipeError):
            os.write(child.pipe, (json.dumps(told) + "\n").encode())

    def _dismiss(self, process: int) -> None:
        """End a child that waits for a job: a GPU's memory is free before the next one asks for it."""
        os.close(self.children.pop(process).pipe)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)

    def _fork(self, threads: int | None) -> Child:
        pipe, pipe_end = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        process = os.fork()
        if process == 0:
            os.close(pipe_end)
            self._be_child(pipe)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        os.close(pipe)
        self.children[process] = Child(pipe_end, threads)
        return self.children[process]

    def _be_child(self, pipe: int) -> None:
        """Do jobs and end; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nowhere = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nowhere, 0)
            # A pipe that another process holds open does not end with the host.
            others = [child.pipe for child in self.children.values()]
            for descriptor in (nowhere, self.reports, self.done, self.wakeup, self.wakeup_end, *others):
                os.close(descriptor)
            serve(pipe, self.done_end, self.actions)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def main() -> None:
    """Serve on standard input and output; whatever else is printed goes to standard error."""
    reports = os.dup(1)
    os.dup2(2, 1)
    actions = load_actions()
    look_here_last()
    # A collection in a child would touch, and so copy, every page that it shares with the host.
    gc.freeze()
    Host(actions, reports).serve()


if __name__ == "__main__":
    main()
