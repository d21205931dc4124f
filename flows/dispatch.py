"""The trainers of a search: what it asks of them, wherever they run, and when it gives up on them."""

from __future__ import annotations

import os
from typing import Protocol

from msearch_core.trial_log import MAX_ATTEMPTS

MAX_DEATHS = 2 * MAX_ATTEMPTS
"""A search fails when more trainers in a row die without finishing a trial in between, for each of its trainers: a lone
one may meet two trials in a row that no trainer survives."""


class TrainersFailedError(Exception):
    """Trainers die before they get anything done."""


class Trainers(Protocol):
    """The trainers of one search.

    Attributes:
        count: how many.
    """

    count: int

    def start(self) -> None:
        """Start all of them; without effect on those that run already."""

    def tend(self, rows: int) -> None:
        """Replace those that died.

        Args:
            rows: how many trials trainers brought to an end; as long as this grows, dying ones are replaced.

        Raises:
            TrainersFailedError: they die and nothing gets done.
        """

    def resize(self, count: int) -> None:
        """Change how many there are from now on. Those that are too many hand back their trials and end."""

    def stop(self, patience: float = 0.0) -> None:
        """Make them hand back their trials and end.

        Args:
            patience: seconds in which they may end by themselves, as they do when the run is over.
        """


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Deaths:
    """Counts the trainers that died since the last finished trial."""

    def __init__(self, trainers: int) -> None:
        self.resize(trainers)
        self._rows = -1
        self._count = 0

    def resize(self, trainers: int) -> None:
        """Change the number of trainers among which they are counted."""
        self._limit = MAX_DEATHS * max(1, trainers)

    def count(self, rows: int, reason: str) -> None:
        """Take note of a death.

        Raises:
            TrainersFailedError: it was one too many.
        """
        if rows > self._rows:
            self._rows, self._count = rows, 0
        self._count += 1
        if self._count > self._limit:
            raise TrainersFailedError(f"{self._count} trainers died without finishing a trial; the last one: {reason}")
