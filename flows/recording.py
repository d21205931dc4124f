"""Showing work in Prefect without depending on it: the log is the truth, Prefect's states are advice."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from typing import Generic, TypeVar

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


def tag_own_run(tags: set[str], logger: Logger) -> None:
    """Put tags on the flow run at hand, beside those that it has."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(context.flow_run.id, tags=sorted(tags | set(context.flow_run.tags)))
    except Exception as error:
        logger.warning("Prefect does not take the tags: %s", one_line(error))
