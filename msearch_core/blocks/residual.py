"""Residual convolutions: ``float (batch, height, width, channels)`` to the same shape.

The layers that end a branch have names with ``project``: with their weights at zero the block is the identity on what
an activation before it let through.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, batch_normalization, convolve, convolved, merged
from msearch_core.blocks.masking import values_of
from msearch_core.space import IMAGE, block


@block(takes=IMAGE, morph="zero_residual")
def residual_convolution(inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu") -> Any:
    """Two convolutions added to their own input (He et al. 2016).

    The first has ``filters`` channels, the second as many as the input, so that the shape stays.
    """
    import keras

    change = _branch(inputs, name, f"{name}_project", filters, kernel, activation)
    return activated(merged(keras.layers.Add(name=f"{name}_add"), inputs, change), f"{name}_add", activation)


@block(takes=IMAGE, morph="zero_residual")
def dual_residual_convolution(inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu") -> Any:
    """The mean of two residual branches added to their input; the shape stays."""
    import keras

    first, second = f"{name}_first", f"{name}_second"
    branches = (
        _branch(inputs, first, f"{name}_project_first", filters, kernel, activation),
        _branch(inputs, second, f"{name}_project_second", filters, kernel, activation),
    )
    change = merged(keras.layers.Average(name=f"{name}_average"), *branches)
    return activated(merged(keras.layers.Add(name=f"{name}_add"), inputs, change), f"{name}_add", activation)


def _branch(inputs: Any, name: str, project: str, filters: int, kernel: int, activation: str) -> Any:
    import keras

    hidden = convolved(inputs, name, filters, kernel, activation=activation)
    channels = values_of(inputs).shape[-1]
    change = convolve(keras.layers.Conv2D, hidden, project, kernel=kernel, filters=channels, use_bias=False)
    return batch_normalization(change, project)
