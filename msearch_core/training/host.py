"""The process that owns TensorFlow: a small fork server, ``python -m msearch_core.training.host``.

It imports TensorFlow once, runs no operation, and forks one child a request, so that a trial costs no import, leaks
nothing and takes nobody with it when it crashes. Requests come in on standard input and reports go out on standard
output, one JSON object a line:

    {"id": 1, "action": "train", "spec": "/path/spec.json"}   ->   {"id": 1, "exit_code": 0} or {"id": 1, "signal": 9}
    {"id": 1, "signal": 15}                                    passes a signal on to the child

The first report is ``{"ready": true}``. When standard input ends, because the parent closed it or died, the children
are killed. When the host itself dies, each child sees the end of a pipe and ends.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from msearch_core.training.quiet import silenced

Actions: TypeAlias = dict[str, Callable[[str], None]]
# Their default would kill a child before it has set its handlers.
HELD_BACK = {signal.SIGUSR1, signal.SIGTERM}


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


class Host:
    """Forks a child a request and reports how each ended.

    Args:
        actions: what a child may do, each with the path of its spec.
        reports: the file descriptor that reports go to.
    """

    def __init__(self, actions: Actions, reports: int) -> None:
        self.actions = actions
        self.reports = reports
        self.children: dict[int, int] = {}  # process id -> request id
        self.lifeline, self.lifeline_end = os.pipe()
        self.wakeup, self.wakeup_end = os.pipe()
        for descriptor in (self.wakeup, self.wakeup_end):
            os.set_blocking(descriptor, False)
        self.unread = b""

    def serve(self) -> None:
        """Answer requests until standard input ends, then kill the children."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup_end)
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ, self._read_requests)
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
                self._fork(request)
            else:
                for process, number in self.children.items():
                    if number == request["id"]:
                        os.kill(process, request["signal"])
        return bool(data)

    def _reap(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wakeup, 512):
                pass
        for process in list(self.children):
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                code = os.waitstatus_to_exitcode(status)
                ended = {"exit_code": code} if code >= 0 else {"signal": -code}
                self._report({"id": self.children.pop(process), **ended})
        return True

    def _fork(self, request: dict[str, Any]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
        process = os.fork()
        if process == 0:
            self._be_child(request)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        self.children[process] = request["id"]

    def _be_child(self, request: dict[str, Any]) -> None:
        """Run the action and end; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nowhere = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nowhere, 0)
            for descriptor in (nowhere, self.reports, self.lifeline_end, self.wakeup, self.wakeup_end):
                os.close(descriptor)
            threading.Thread(target=_end_with, args=(self.lifeline,), daemon=True).start()
            # TensorFlow leaves the code that it generates in temporary files; whoever wrote the spec clears its folder.
            tempfile.tempdir = str(Path(request["spec"]).parent)
            self.actions[request["action"]](request["spec"])
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _end_with(lifeline: int) -> None:
    """End the process when nobody holds the pipe's other end any more."""
    os.read(lifeline, 1)
    os._exit(1)


def main() -> None:
    """Serve on standard input and output; whatever else is printed goes to standard error."""
    reports = os.dup(1)
    os.dup2(2, 1)
    actions = load_actions()
    # A collection in a child would touch, and so copy, every page that it shares with the host.
    gc.freeze()
    Host(actions, reports).serve()


if __name__ == "__main__":
    main()
