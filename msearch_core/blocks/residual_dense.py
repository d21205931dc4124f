"""Dense blocks with a way around them: ``float (batch, features)`` to ``float (batch, features')``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated
from msearch_core.space import block


@block(morph="zero_residual")
def residual_dense(inputs: Any, name: str, *, units: int, activation: str = "relu", batch_norm: bool = False) -> Any:
    """Two dense layers added to their own input (He et al. 2016); the second matches its width, which stays."""
    import keras

    hidden = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_hidden")(inputs)
    hidden = activated(hidden, name, activation, batch_norm)
    change = keras.layers.Dense(inputs.shape[-1], name=f"{name}_project")(hidden)
    return keras.layers.Add(name=f"{name}_add")([inputs, change])


@block()
def projected_dense(inputs: Any, name: str, *, units: int, activation: str = "relu", batch_norm: bool = False) -> Any:
    """A dense layer added to a linear projection of its input to the same width (He et al. 2016)."""
    import keras

    outputs = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense")(inputs)
    outputs = activated(outputs, name, activation, batch_norm)
    shortcut = keras.layers.Dense(units, use_bias=False, name=f"{name}_shortcut")(inputs)
    return keras.layers.Add(name=f"{name}_add")([shortcut, outputs])


@block(morph="beside")
def concatenated_dense(
    inputs: Any, name: str, *, units: int, activation: str = "relu", batch_norm: bool = False
) -> Any:
    """A dense layer whose features are put beside its input (Huang et al. 2017); the width grows by ``units``."""
    import keras

    features = keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense")(inputs)
    features = activated(features, name, activation, batch_norm)
    return keras.layers.Concatenate(name=f"{name}_concatenate")([inputs, features])
