"""What a user should know of the data before a search spends time on it."""

from __future__ import annotations

from collections.abc import Iterator

from msearch_core.data.features import left_out, noted
from msearch_core.data.images import MAX_SIDE
from msearch_core.data.problem import Problem


def notices(problem: Problem) -> Iterator[str]:
    """What was left out of the data, and what was taken otherwise than it may be meant: a line each."""
    if unused := left_out(problem.preprocessing):
        yield f"left out of the data: {unused}"
    if taken := noted(problem.preprocessing):
        yield f"in the data: {taken}"
    if resized := problem.preprocessing.get("resized"):
        height, width, _ = problem.input_shape
        size = [f"the commonest of {resized['sizes']} sizes"] if resized["sizes"] > 1 else []
        scaled = [f"scaled down to {MAX_SIDE} a side"] if max(height, width) == MAX_SIDE else []
        yield (
            f"in the data: {resized['images']} of the images are resized to {width}x{height} pixels, "
            f"{' '.join([*size, *scaled])}; resize them beforehand for another size, or to keep their proportions"
        )
