"""What treats each time step by itself: ``Masked (batch, time, features)`` to ``Masked (batch, time, features')``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, applied, merged
from msearch_core.blocks.masking import values_of
from msearch_core.space import SEQUENCE, block


@block(takes=SEQUENCE, morph="exact")
def step_dense(inputs: Any, name: str, *, units: int, activation: str = "relu", batch_norm: bool = False) -> Any:
    """The same dense layer at each step."""
    import keras

    outputs = applied(keras.layers.Dense(units, use_bias=not batch_norm, name=f"{name}_dense"), inputs)
    return activated(outputs, name, activation, batch_norm)


@block(takes=SEQUENCE, morph="zero_residual")
def feed_forward(inputs: Any, name: str, *, units: int, activation: str = "gelu") -> Any:
    """Normalise, widen and narrow each step, and add it to the input: a transformer's other half; the shape stays."""
    import keras

    hidden = applied(keras.layers.LayerNormalization(name=f"{name}_layer_norm"), inputs)
    hidden = applied(keras.layers.Dense(units, activation=activation, name=f"{name}_hidden"), hidden)
    change = applied(keras.layers.Dense(values_of(inputs).shape[-1], name=f"{name}_project"), hidden)
    return merged(keras.layers.Add(name=f"{name}_add"), inputs, change)


@block(takes=SEQUENCE)
def layer_norm(inputs: Any, name: str) -> Any:
    """Each step's features with mean zero and variance one (Ba et al. 2016)."""
    import keras

    return applied(keras.layers.LayerNormalization(name=f"{name}_layer_norm"), inputs)
