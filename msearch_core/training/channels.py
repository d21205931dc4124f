"""What is known of a tensor's channels, and of a layer's place, while a child's graph is walked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Provenance = Literal["copied", "morphed", "fresh"]
Tensors: TypeAlias = Mapping[str, np.ndarray]
"""The weights of one layer of the parent, by what follows the layer's name in their path."""

NEW = -1
"""Stands for the source of a channel that the parent has not; what looks at it begins with a weight of zero."""


@dataclass(frozen=True)
class Channels:
    """What is known of a tensor's last axis.

    Attributes:
        source: ``int (channels,)``, the parent's channel that each channel repeats, or ``NEW``.
        size: how many channels the parent's tensor has.
        exact: whether the repeated channels hold the parent's very values.
        positive: whether no value is negative.
    """

    source: np.ndarray
    size: int
    exact: bool = True
    positive: bool = False

    @classmethod
    def same(cls, size: int, *, exact: bool = True, positive: bool = False) -> Channels:
        """Each channel is the parent's of the same number."""
        return cls(np.arange(size), size, exact, positive)

    @property
    def is_same(self) -> bool:
        """Whether each channel is the parent's of the same number."""
        return len(self.source) == self.size and bool((self.source == np.arange(self.size)).all())

    def matches(self, other: Channels) -> bool:
        """Whether both repeat the same channels."""
        return self.size == other.size and np.array_equal(self.source, other.source)


@dataclass(frozen=True)
class Place:
    """Where a layer's weights come from.

    Attributes:
        parent: the parent's weights of the layer; empty if it has no such layer.
        inserted: whether the layer belongs to a block that the parent has not.
        joined: whether the parent's layer has before it what this layer has before it.
        identity: how an inserted block can begin (`msearch_core.block.BlockFamily.morph`).
    """

    parent: Tensors
    inserted: bool = False
    joined: bool = True
    identity: str = "none"


@dataclass(frozen=True)
class Step:
    """One operation of the child with all that its rule needs.

    Attributes:
        operation: the Keras layer or operation.
        place: where its weights come from.
        inputs: what is known of its inputs.
        shapes: the inputs' shapes.
        statistics: computes mean and variance of each channel of the first input over a batch of examples.
        rng: splits outgoing weights.
    """

    operation: Any
    place: Place
    inputs: Sequence[Channels]
    shapes: Sequence[tuple[int | None, ...]]
    statistics: Callable[[], tuple[np.ndarray, np.ndarray]]
    rng: np.random.Generator


Outcome: TypeAlias = tuple[Channels, Provenance | None]
"""What is known of an operation's output, and where its weights came from, if it has any."""
