"""Self-attention: ``Masked (batch, time, features)`` to the same shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from msearch_core.blocks.layers import applied, merged
from msearch_core.blocks.masking import Masked, values_of
from msearch_core.space import SEQUENCE, block

LONGEST_WAVE = 10_000.0


@block(takes=SEQUENCE, morph="zero_residual")
def self_attention(inputs: Any, name: str, *, heads: int, units: int, positions: bool = True) -> Any:
    """Each true step looks at every other (Vaswani et al. 2017), normalised before and added to the input.

    Args:
        inputs: the sequence.
        name: the prefix of every layer name.
        heads: how many ways of looking.
        units: the width of all heads together.
        positions: whether a step knows its number, by sines and cosines of it.
    """
    import keras

    normal = applied(keras.layers.LayerNormalization(name=f"{name}_layer_norm"), inputs)
    if positions:
        waves = keras.layers.Dense(values_of(inputs).shape[-1], use_bias=False, name=f"{name}_positions")
        normal = merged(keras.layers.Add(name=f"{name}_placed"), normal, applied(waves, _waves(inputs, units)))
    attention = keras.layers.MultiHeadAttention(heads, units // heads, output_shape=units, name=f"{name}_attention")
    seen = attention(normal.values, normal.values, attention_mask=inputs.mask[:, None, :])
    change = applied(keras.layers.Dense(values_of(inputs).shape[-1], name=f"{name}_project"), Masked(seen, inputs.mask))
    return merged(keras.layers.Add(name=f"{name}_add"), inputs, change)


def _waves(inputs: Any, units: int) -> Any:
    """Sines and cosines of each step's number, in ``units / 2`` wavelengths: ``Masked (batch, time, units)``."""
    import keras

    number = keras.ops.cumsum(keras.ops.cast(inputs.mask, "float32"), axis=1)
    frequencies = LONGEST_WAVE ** -np.linspace(0.0, 1.0, max(1, units // 2))
    angle = number[:, :, None] * keras.ops.convert_to_tensor(frequencies, "float32")
    waves = keras.ops.concatenate([keras.ops.sin(angle), keras.ops.cos(angle)], axis=-1)
    return Masked(keras.ops.cast(waves, values_of(inputs).dtype), inputs.mask)
