"""Dense blocks: ``float (batch, features)`` to ``float (batch, features')``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated
from msearch_core.space import block


@block()
def dense(inputs: Any, name: str, *, units: int, activation: str = "relu", batch_norm: bool = False) -> Any:
    """A dense layer, batch-normalised where asked for, and its activation."""
    import keras

    outputs = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense")(inputs)
    return activated(outputs, name, activation, batch_norm)


@block()
def residual_dense(inputs: Any, name: str, *, units: int, activation: str = "relu") -> Any:
    """Two dense layers added to their own input (He et al. 2016); the width stays."""
    import keras

    hidden = keras.layers.Dense(units, name=f"{name}_hidden")(inputs)
    hidden = activated(hidden, name, activation)
    change = keras.layers.Dense(inputs.shape[-1], name=f"{name}_project")(hidden)
    return keras.layers.Add(name=f"{name}_add")([inputs, change])


@block()
def concatenated_dense(inputs: Any, name: str, *, units: int, activation: str = "relu") -> Any:
    """A dense layer whose features are put beside its input (Huang et al. 2017); the width grows by ``units``."""
    import keras

    features = keras.layers.Dense(units, name=f"{name}_dense")(inputs)
    features = activated(features, name, activation)
    return keras.layers.Concatenate(name=f"{name}_concatenate")([inputs, features])


@block()
def bottleneck_dense(inputs: Any, name: str, *, units: int, activation: str = "relu", expansion: int = 4) -> Any:
    """A narrow linear layer of ``units``, then a wide one of ``expansion`` times as many, with its activation."""
    import keras

    narrow = keras.layers.Dense(units, use_bias=False, name=f"{name}_narrow")(inputs)
    wide = keras.layers.Dense(units * expansion, name=f"{name}_wide")(narrow)
    return activated(wide, name, activation)


@block()
def gated_dense(inputs: Any, name: str, *, units: int) -> Any:
    """A linear layer times a sigmoid gate, the gated linear unit (Dauphin et al. 2017)."""
    import keras

    values = keras.layers.Dense(units, name=f"{name}_values")(inputs)
    gate = keras.layers.Dense(units, activation="sigmoid", name=f"{name}_gate")(inputs)
    return keras.layers.Multiply(name=f"{name}_multiply")([values, gate])
