"""Showing work in Prefect without depending on it: the log is the truth, Prefect's states are advice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from logging import Logger
from typing import Generic, TypeVar
from uuid import UUID

from prefect import get_client
from prefect.context import FlowRunContext

from flows.prefect_api import is_there
from msearch_core.training.spec import one_line

Result = TypeVar("Result")

END_SECONDS = 120.0
"""How long a run whose work is done waits for an API that does not answer, so that its end is recorded."""


class Once(Generic[Result]):
    """Work that is done at most once, however often it is called for.

    Args:
        work: what to do.

    Attributes:
        failed: whether it was begun and raised.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self.failed = False

    def __call__(self) -> Result:
        """Do it, or return what came of it."""
        if not self._results:
            try:
                self._results.append(self._work())
            except BaseException:
                self.failed = True
                raise
        return self._results[0]


def shown(work: Callable[[], Result], show: Callable[[Callable[[], Result]], object], logger: Logger) -> Result:
    """Do a piece of work, as a task run if Prefect takes it, and without one if it does not.

    Args:
        work: what to do.
        show: does it as a task run.
        logger: told when it was not shown.

    Raises:
        Exception: what the work itself raised.
    """
    once = Once(work)
    if is_there():
        try:
            show(once)
        except Exception as error:
            if once.failed:
                raise
            logger.warning("Prefect does not take the task run: %s", one_line(error))
    else:
        logger.warning("Prefect does not answer; going on without it")
    return once()


def offered(show: Callable[[], object], what: str, logger: Logger) -> None:
    """Show something in Prefect, unless Prefect does not answer or does not take it: then the log says so.

    Args:
        show: does it.
        what: what is shown, for the log.
        logger: told when it was not shown.
    """
    if not is_there():
        logger.warning("Prefect does not answer; going on without %s", what)
        return
    try:
        show()
    except Exception as error:
        logger.warning("Prefect does not take %s: %s", what, one_line(error))


class Background:
    """Shows the state of something that goes on in Prefect, from a thread of its own.

    A server that hangs keeps a call waiting for minutes. Whoever tells the state does not wait for it: of all states
    told while a call is under way, the newest alone is shown.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: Callable[[], None] | None = None
        self._busy = False

    def show(self, work: Callable[[], None]) -> None:
        """Do this soon, in the context of the caller, in place of what still waits."""
        with self._changed:
            self._waiting = partial(copy_context().run, work)
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, daemon=True, name="msearch-background").start()

    def wait(self, seconds: float) -> bool:
        """Wait until all is shown, at most so many seconds; ``False`` if it is not."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, seconds)

    def _work(self) -> None:
        while work := self._next():
            work()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            work, self._waiting = self._waiting, None
            self._busy = work is not None
            self._changed.notify_all()
            return work


def tag_own_run(tags: set[str], logger: Logger) -> None:
    """Put tags on the flow run at hand, beside those that it has."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        run = context.flow_run
        offered(lambda: _update(run.id, tags=sorted(tags | set(run.tags))), "the tags", logger)


def _update(run: UUID, tags: list[str]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run(run, tags=tags)
