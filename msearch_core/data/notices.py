"""What a user should know of the data before a search spends time on it."""

from __future__ import annotations

from collections.abc import Iterator

from msearch_core.data.features import left_out, noted
from msearch_core.data.problem import Problem


def notices(problem: Problem) -> Iterator[str]:
    """What was left out of the data, and what was taken otherwise than it may be meant: a line each."""
    if unused := left_out(problem.preprocessing):
        yield f"left out of the data: {unused}"
    if taken := noted(problem.preprocessing):
        yield f"in the data: {taken}"
