"""From a sequence to a vector: ``Masked (batch, time, features)`` to ``float (batch, features')``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import LOWEST, filled, maximum_of, mean_of
from msearch_core.space import SEQUENCE, VECTOR, block


@block(takes=SEQUENCE, gives=VECTOR)
def last_state(inputs: Any, name: str) -> Any:
    """The features of each example's last true step."""
    import keras

    del name  # It has no layers.
    after = keras.ops.pad(inputs.mask[:, 1:], [(0, 0), (0, 1)])
    last = keras.ops.logical_and(inputs.mask, keras.ops.logical_not(after))
    return keras.ops.sum(filled(inputs.values, last), axis=1)


@block(takes=SEQUENCE, gives=VECTOR)
def time_mean(inputs: Any, name: str) -> Any:
    """Each feature's mean over the true steps."""
    return mean_of(inputs, f"{name}_pool")


@block(takes=SEQUENCE, gives=VECTOR)
def time_max(inputs: Any, name: str) -> Any:
    """Each feature's greatest value over the true steps."""
    return maximum_of(inputs, f"{name}_pool")


@block(takes=SEQUENCE, gives=VECTOR)
def attention_pool(inputs: Any, name: str, *, units: int = 32) -> Any:
    """A mean over the true steps whose weights are learned from each step's features (Lin et al. 2017)."""
    import keras

    hidden = keras.layers.Dense(units, activation="tanh", name=f"{name}_hidden")(inputs.values)
    score = keras.layers.Dense(1, use_bias=False, name=f"{name}_score")(hidden)
    weights = keras.layers.Softmax(axis=1, name=f"{name}_weights")(filled(score, inputs.mask, LOWEST))
    weighted = keras.layers.Multiply(name=f"{name}_multiply")([inputs.values, weights])
    return keras.ops.sum(weighted, axis=1)


@block(takes=SEQUENCE, gives=VECTOR)
def flatten_sequence(inputs: Any, name: str) -> Any:
    """Every step's every feature as one vector."""
    import keras

    return keras.layers.Flatten(name=f"{name}_flatten")(inputs.values)
