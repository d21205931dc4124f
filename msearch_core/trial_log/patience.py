"""Waiting for a store that does not answer for a while, instead of losing what was done."""

from __future__ import annotations

import builtins
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from msearch_core.trial_log.store import Store

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
TOTAL_SECONDS = 900.0
LOOK_SECONDS = 1.0
"""How often a pause looks whether to give up."""


def never() -> bool:
    """Whether to give up: no."""
    return False


def patiently(operation: Callable[[], Result], give_up: Callable[[], bool] = never) -> Result:
    """Do something with the store, again and again while it fails, with growing pauses of up to half a minute.

    That it waits, and why, is logged once.

    Args:
        operation: may be repeated; a missing object or a missing permission is an answer, and is raised at once.
        give_up: whether to stop trying, looked at before and during each pause.

    Raises:
        OSError: it failed for a quarter of an hour, or the caller gave up.
    """
    began, pause = time.monotonic(), FIRST_SECONDS
    while True:
        try:
            return operation()
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            raise
        except OSError as error:
            if give_up() or time.monotonic() - began > TOTAL_SECONDS:
                raise
            if pause == FIRST_SECONDS:
                logger.warning("waiting for the log, since this failed: %s", error)
        _sleep(pause, give_up)
        pause = min(2 * pause, LONGEST_SECONDS)


def _sleep(seconds: float, give_up: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not give_up():
        time.sleep(min(left, LOOK_SECONDS))


class PatientStore(Store):
    """Another store, each of whose operations is repeated while it fails: for work that must not be done twice.

    Args:
        store: the other one.
        give_up: as for ``patiently``.
    """

    def __init__(self, store: Store, give_up: Callable[[], bool] = never) -> None:
        super().__init__(store.fs, store.root)
        self._store = store
        self._give_up = give_up

    @property
    def is_local(self) -> bool:
        """As the other one."""
        return self._store.is_local

    def create(self, name: str, data: bytes) -> bool:
        """See the base class."""
        return patiently(partial(self._store.create, name, data), self._give_up)

    def read(self, name: str) -> bytes:
        """See the base class."""
        return patiently(partial(self._store.read, name), self._give_up)

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """See the base class."""
        return patiently(partial(self._store.read_many, list(names)), self._give_up)

    def list(self, folder: str) -> list[str]:
        """See the base class."""
        return patiently(partial(self._store.list, folder), self._give_up)

    def list_many(self, folders: Iterable[str]) -> dict[str, builtins.list[str]]:
        """See the base class."""
        return patiently(partial(self._store.list_many, list(folders)), self._give_up)

    def delete(self, name: str) -> None:
        """See the base class."""
        patiently(partial(self._store.delete, name), self._give_up)
