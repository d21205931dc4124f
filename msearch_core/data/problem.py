"""What a search is asked to solve, and the arrays it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from msearch_core.errors import UserError
from msearch_core.space import IMAGE, SearchSpace

Task = Literal["classification", "regression"]
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Problem:
    """The task with everything learned on the train split that a model needs besides its weights. JSON throughout.

    Attributes:
        task: ``classification`` or ``regression``.
        input: the kind of tensor that an encoded example is, ``vector`` or ``image``.
        input_shape: the shape of one encoded example: ``(features,)`` or ``(height, width, channels)``.
        labels: class names by class number; empty for a regression.
        preprocessing: how raw input becomes encoded input, as learned on train.
        target: the name of the column to predict, where the data has columns.
        target_mean: mean of the target on train; 0 for a classification.
        target_scale: standard deviation of the target on train; 1 for a classification.
    """

    task: Task
    input: str
    input_shape: tuple[int, ...]
    labels: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    target: str | None = None
    target_mean: float = 0.0
    target_scale: float = 1.0

    @property
    def outputs(self) -> int:
        """The width of the model's head: one logit a class, or one number."""
        return len(self.labels) or 1


@dataclass(frozen=True)
class Split:
    """Encoded examples.

    Attributes:
        x: ``float32 (examples, features)`` for vectors, ``uint8`` or ``float32 (examples, height, width, channels)``
            for images.
        y: ``int32 (examples,)`` class numbers, or ``float32 (examples,)`` targets in their own unit.
    """

    x: np.ndarray
    y: np.ndarray


def fitted_space(space: SearchSpace, problem: Problem) -> SearchSpace:
    """The space for data of the problem's shape. A space of vectors takes images too, flattened.

    Raises:
        UserError: the space needs images and the data is a table.
    """
    if space.input == IMAGE and problem.input != IMAGE:
        raise UserError(f"the space {space.name!r} needs images and the data is a table; try --space tabular")
    return space.for_input(problem.input_shape) if space.input == problem.input else space
