"""Residual convolution: ``float (batch, height, width, channels)`` to the same shape."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, batch_normalization, convolved
from msearch_core.space import IMAGE, block


@block(takes=IMAGE)
def residual_convolution(inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu") -> Any:
    """Two convolutions added to their own input (He et al. 2016).

    The first has ``filters`` channels, the second as many as the input, so that the shape stays.
    """
    import keras

    hidden = convolved(inputs, name, filters, kernel, activation=activation)
    change = keras.layers.Conv2D(inputs.shape[-1], kernel, padding="same", use_bias=False, name=f"{name}_project")(
        hidden
    )
    change = batch_normalization(change, f"{name}_project")
    return activated(keras.layers.Add(name=f"{name}_add")([inputs, change]), f"{name}_add", activation)
