"""A model's trainable weights as one vector, so that an optimizer's update is traced once and not once a weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import keras
import numpy as np
import tensorflow as tf

VECTOR = "weights"
"""The vector's name, with which the names of the optimizer's variables for it begin."""


class FlatWeights:
    """One variable that holds all trainable weights in a row, for training steps to use and to update.

    The model's own variables stay behind meanwhile: what they hold is taken over before training steps begin
    (`gather`) and given back when the model is needed (`scatter`).

    Args:
        variables: the weights, ``float32`` of any shape.

    Attributes:
        vector: the variable, ``float32 (sum of the weights' sizes,)``.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = list(variables)
        self.vector = keras.Variable(self._values(), dtype="float32", name=VECTOR)

    def gather(self) -> None:
        """Take the weights over from the variables."""
        self.vector.assign(self._values())

    def scatter(self) -> None:
        """Give the weights to the variables."""
        for variable, value in zip(self._variables, split(self.vector.value.numpy(), self._variables), strict=True):
            variable.value.assign(value, read_value=False)  # past Keras' own checks, which take as long again

    def tensors(self, vector: Any) -> list[tuple[Any, Any]]:
        """Each variable with its part of a vector, in its shape; ``vector`` is a tensor like the attribute."""
        parts = tf.split(vector, sizes(self._variables))
        return [
            (variable, part if len(variable.shape) == 1 else tf.reshape(part, variable.shape))
            for variable, part in zip(self._variables, parts, strict=True)
        ]

    def _values(self) -> np.ndarray:
        return np.concatenate([np.zeros(0), *(variable.value.numpy().reshape(-1) for variable in self._variables)])


def split(vector: np.ndarray, variables: Sequence[Any]) -> list[np.ndarray]:
    """What a vector of `FlatWeights` holds for each of the weights, in their shapes; views of it."""
    ends = list(accumulate(sizes(variables)))
    return [
        part.reshape(tuple(variable.shape))
        for part, variable in zip(np.split(vector, ends[:-1]), variables, strict=True)
    ]


def sizes(variables: Sequence[Any]) -> list[int]:
    """How many numbers each of the weights has."""
    return [math.prod(variable.shape) for variable in variables]
