"""Dense blocks: ``float (batch, features)`` to ``float (batch, features')``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated
from msearch_core.space import block


@block(morph="exact")
def dense(inputs: Any, name: str, *, units: int, activation: str = "relu", batch_norm: bool = False) -> Any:
    """A dense layer, batch-normalised where asked for, and its activation."""
    import keras

    outputs = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense")(inputs)
    return activated(outputs, name, activation, batch_norm)


@block(morph="exact")
def repeated_dense(
    inputs: Any, name: str, *, units: int, depth: int = 2, activation: str = "relu", batch_norm: bool = False
) -> Any:
    """Several dense layers of one width."""
    return _stack(inputs, name, [units] * depth, activation, batch_norm)


@block()
def pyramid_dense(
    inputs: Any, name: str, *, units: int, depth: int = 3, activation: str = "relu", batch_norm: bool = False
) -> Any:
    """Several dense layers, each half as wide as the one before it, the first with ``units``."""
    return _stack(inputs, name, [max(1, units >> level) for level in range(depth)], activation, batch_norm)


@block()
def bottleneck_dense(inputs: Any, name: str, *, units: int, activation: str = "relu", expansion: int = 4) -> Any:
    """A narrow linear layer of ``units``, then a wide one of ``expansion`` times as many, with its activation."""
    import keras

    narrow = keras.layers.Dense(units, use_bias=False, name=f"{name}_narrow")(inputs)
    wide = keras.layers.Dense(units * expansion, name=f"{name}_wide")(narrow)
    return activated(wide, name, activation)


@block()
def low_rank_dense(
    inputs: Any, name: str, *, units: int, rank: float, activation: str = "relu", batch_norm: bool = False
) -> Any:
    """A dense layer whose kernel is the product of two (Sainath et al. 2013).

    The rank is a share of what it could be, which is the lesser of the widths before and after.
    """
    import keras

    narrow = max(1, round(rank * min(units, inputs.shape[-1])))
    factor = keras.layers.Dense(narrow, use_bias=False, name=f"{name}_factor")(inputs)
    outputs = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense")(factor)
    return activated(outputs, name, activation, batch_norm)


@block()
def gated_dense(inputs: Any, name: str, *, units: int) -> Any:
    """A linear layer times a sigmoid gate, the gated linear unit (Dauphin et al. 2017)."""
    import keras

    values = keras.layers.Dense(units, name=f"{name}_values")(inputs)
    gate = keras.layers.Dense(units, activation="sigmoid", name=f"{name}_gate")(inputs)
    return keras.layers.Multiply(name=f"{name}_multiply")([values, gate])


def _stack(inputs: Any, name: str, widths: list[int], activation: str, batch_norm: bool) -> Any:
    import keras

    outputs = inputs
    for level, units in enumerate(widths):
        outputs = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense{level}")(outputs)
        outputs = activated(outputs, f"{name}_dense{level}", activation, batch_norm)
    return outputs
