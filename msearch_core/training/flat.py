"""A model's trainable weights as one vector, so that an optimizer's update is traced once and not once a weight."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import keras
import numpy as np
import tensorflow as tf

VECTOR = "weights"
"""The vector's name, with which the names of the optimizer's variables for it begin."""


class FlatWeights:
    """One variable that holds all trainable weights in a row, for the optimizer to update.

    The model goes on using its own variables: they are copied in before training steps begin (`gather`) and out after
    each update (`scatter`).

    Args:
        variables: the weights, ``float32`` of any shape.

    Attributes:
        vector: the variable, ``float32 (sum of the weights' sizes,)``.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = list(variables)
        self.vector = keras.Variable(
            np.concatenate([np.zeros(0), *map(_flat, self._variables)]), dtype="float32", name=VECTOR
        )

    def gather(self) -> None:
        """Take the weights over from the variables."""
        self.vector.assign(self.join([variable.value for variable in self._variables]))

    def join(self, tensors: Sequence[Any]) -> Any:
        """Tensors of the weights' shapes as one vector."""
        return tf.concat([tf.reshape(each, [-1]) for each in tensors], axis=0)

    def scatter(self) -> None:
        """Give the weights to the variables."""
        parts = tf.split(self.vector.value, sizes(self._variables))
        for variable, part in zip(self._variables, parts, strict=True):
            variable.assign(tf.reshape(part, variable.shape))


def split(vector: np.ndarray, variables: Sequence[Any]) -> list[np.ndarray]:
    """What a vector of `FlatWeights` holds for each of the weights, in their shapes; views of it."""
    ends = list(accumulate(sizes(variables)))
    return [
        part.reshape(tuple(variable.shape))
        for part, variable in zip(np.split(vector, ends[:-1]), variables, strict=True)
    ]


def sizes(variables: Sequence[Any]) -> list[int]:
    """How many numbers each of the weights has."""
    return [int(np.prod(variable.shape)) for variable in variables]


def _flat(variable: Any) -> np.ndarray:
    return np.asarray(variable.value.numpy()).reshape(-1)
