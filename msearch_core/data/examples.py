"""What the readers of data hand on, and what a search is given to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from msearch_core.data.problem import Task

if TYPE_CHECKING:
    import pandas as pd

    from msearch_core.data.audio import Clips
    from msearch_core.data.images import Pictures
    from msearch_core.data.sequences import Sequences

Inputs: TypeAlias = "pd.DataFrame | np.ndarray | Pictures | Sequences | Clips"
"""A table of ``n`` rows; images ``uint8`` or ``float32 (n, height, width, channels)``; or images, sequences or sound
that know how to be read."""
Values: TypeAlias = "pd.Series | np.ndarray | Sequences"
"""A target as it was found: a value an example; ``(n, labels)`` of 0 and 1; or a value for each step."""


@dataclass(frozen=True)
class Examples:
    """Examples as they were found, before it is decided what the targets mean.

    Attributes:
        inputs: ``n`` examples.
        targets: what is to be predicted, by name; empty where the examples are not labelled.
        groups: ``n`` group keys, if the examples are grouped.
        weight: ``n`` numbers, how much each example counts, if they differ in that.
        labels: by target the names of the columns of ``(n, labels)``, where they have names.
        ignored: by name what else there was, and why nothing is made of it.
    """

    inputs: Inputs
    targets: Mapping[str, Values] = field(default_factory=dict)
    groups: pd.Series | None = None
    weight: pd.Series | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RawTarget:
    """One target's values and their meaning.

    Attributes:
        name: what it is called.
        task: what the values mean.
        values: class numbers ``int32 (n,)``, labels ``float32 (n, labels)`` of 0 and 1, or numbers ``float64 (n,)``.
            With a value for each step, those of all examples one after the other.
        labels: the names of the classes or labels by number; empty for a regression.
        per_step: whether each step of a sequence has a value.
        weight: the target's share of loss and score among several.
    """

    name: str
    task: Task
    values: np.ndarray
    labels: tuple[str, ...] = ()
    per_step: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class RawData:
    """A labelled data set before it is split and preprocessed.

    Attributes:
        inputs: ``n`` examples.
        targets: what is to be predicted, at least one.
        groups: ``n`` group keys; examples of a group share a split.
        weight: ``float32 (n,)``, how much each example counts; ``None`` where all count the same.
        balance: whether the classes shall weigh the same.
        test: the held-out test examples, where the user named some.
        ignored: as in `Examples`.
    """

    inputs: Inputs
    targets: tuple[RawTarget, ...]
    groups: pd.Series | None = None
    weight: np.ndarray | None = None
    balance: bool = False
    test: RawData | None = None
    ignored: Mapping[str, str] = field(default_factory=dict)
