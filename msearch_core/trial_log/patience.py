"""Waiting for a store that does not answer for a while, instead of losing what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
TOTAL_SECONDS = 900.0


def patiently(operation: Callable[[], Result], give_up: Callable[[], bool] = lambda: False) -> Result:
    """Do something with the store, again and again while it fails, with growing pauses of up to half a minute.

    Args:
        operation: may be repeated; a missing object or a missing permission is an answer, and is raised at once.
        give_up: whether to stop trying, looked at before each pause.

    Raises:
        OSError: it failed for a quarter of an hour, or the caller gave up.
    """
    began, pause = time.monotonic(), FIRST_SECONDS
    while True:
        try:
            return operation()
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            raise
        except OSError:
            if give_up() or time.monotonic() - began > TOTAL_SECONDS:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_SECONDS)
