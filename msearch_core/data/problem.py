"""What a search is asked to solve, and the arrays it learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from msearch_core.errors import UserError
from msearch_core.space import IMAGE, SEQUENCE, VECTOR, SearchSpace

Task = Literal["classification", "multilabel", "regression"]
SPLITS = ("train", "validation", "test")
PADDED_CLASS = -1
"""Stands for the class where a sequence of labels has ended; numbers have NaN there."""


@dataclass(frozen=True)
class Target:
    """One thing to predict; it has a head of the model to itself.

    Attributes:
        name: the column's name, where the data has columns.
        task: ``classification`` (one of the labels), ``multilabel`` (any of them) or ``regression``.
        labels: their names by number; empty for a regression.
        per_step: whether each time step of a sequence has a target of its own.
        weight: the share of this target's loss and score among several.
        mean: mean of the numbers on train; 0 without numbers.
        scale: standard deviation of the numbers on train; 1 without numbers.
        class_weights: the loss of an example by its class number; empty where all weigh the same.
    """

    name: str
    task: Task
    labels: tuple[str, ...] = ()
    per_step: bool = False
    weight: float = 1.0
    mean: float = 0.0
    scale: float = 1.0
    class_weights: tuple[float, ...] = ()

    @property
    def outputs(self) -> int:
        """The width of the head: one logit a label, or one number."""
        return len(self.labels) or 1

    def true_steps(self, y: np.ndarray) -> np.ndarray:
        """Of a target for each step, which steps come before the example's end: ``bool (examples, time)``."""
        true: np.ndarray = y != PADDED_CLASS if self.task == "classification" else ~np.isnan(y)
        return true


@dataclass(frozen=True)
class Problem:
    """The targets with everything learned on the train split that a model needs besides its weights. JSON throughout.

    Attributes:
        input: the kind of tensor that an encoded example is: ``vector``, ``image`` or ``sequence``.
        input_shape: the shape of one encoded example: ``(features,)``, ``(height, width, channels)`` or
            ``(time, features)``.
        preprocessing: how raw input becomes encoded input, as learned on train.
        targets: what is to be predicted, at least one.
    """

    input: str
    input_shape: tuple[int, ...]
    preprocessing: Mapping[str, Any]
    targets: tuple[Target, ...]

    @cached_property
    def per_step(self) -> bool:
        """Whether each time step has targets of its own."""
        return any(target.per_step for target in self.targets)


@dataclass(frozen=True)
class Split:
    """Encoded examples.

    Attributes:
        x: ``float32 (examples, features)`` for vectors, ``uint8`` or ``float32 (examples, height, width, channels)``
            for images, ``float32 (examples, time, features)`` for sequences, where a step after an example's end is
            NaN throughout.
        y: by target. Class numbers ``int32 (examples,)``, labels ``float32 (examples, labels)`` of 0 and 1, or numbers
            ``float32 (examples,)`` in their own unit. A target for each step has ``(examples, time)``, with
            ``PADDED_CLASS`` or NaN after an example's end.
        weight: ``float32 (examples,)``, how much each example counts; ``None`` where all count the same.
        group: ``int64 (examples,)``, numbers of the groups that examples belong to; ``None`` where each stands for
            itself.
    """

    x: np.ndarray
    y: Mapping[str, np.ndarray]
    weight: np.ndarray | None = None
    group: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)


def fitted_space(space: SearchSpace, problem: Problem) -> SearchSpace:
    """The space for data of the problem's shape and for its targets.

    A space of vectors takes images and sequences too, flattened; a space of images takes a sequence as an image of
    one channel, whose height is time.

    Raises:
        UserError: the space needs another kind of data, or cannot give a label for each time step.
    """
    takes = {VECTOR: (VECTOR, IMAGE, SEQUENCE), IMAGE: (IMAGE, SEQUENCE), SEQUENCE: (SEQUENCE,)}[space.input]
    if problem.input not in takes:
        raise UserError(
            f"the space {space.name!r} needs {space.input} data and this is {problem.input} data; "
            f"try --space {default_space(problem)}"
        )
    if problem.per_step != (space.output == SEQUENCE):
        wanted = "a label for each time step" if problem.per_step else "one label an example"
        raise UserError(f"the space {space.name!r} does not give {wanted}; try --space {default_space(problem)}")
    shape = problem.input_shape
    if space.input != problem.input:
        shape = (*shape, 1) if space.input == IMAGE else (int(np.prod(shape)),)
    heads = tuple(target.name for target in problem.targets) if len(problem.targets) > 1 else ()
    return replace(space.for_input(shape), heads=heads)


def default_space(problem: Problem) -> str:
    """The name of the built-in space that is searched where the user names none."""
    if problem.per_step:
        return "sequence_labels"
    if problem.preprocessing.get("kind") == "audio":
        return "audio"
    return {VECTOR: "tabular", IMAGE: "image", SEQUENCE: "sequence"}[problem.input]
