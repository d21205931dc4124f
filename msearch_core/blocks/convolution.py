"""Convolution blocks: ``float (batch, height, width, channels)`` to the same with other channels, or half the sides.

Padding is ``same`` throughout, so that a block is valid on the smallest image.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, convolved
from msearch_core.space import IMAGE, block

# What a grey image's one channel is widened to.
MIN_FILTERS = 16


@block(takes=IMAGE)
def convolution(
    inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu", batch_norm: bool = True
) -> Any:
    """A convolution of a fixed number of filters; height and width stay."""
    return convolved(inputs, name, filters, kernel, activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE)
def widening_convolution(
    inputs: Any, name: str, *, factor: float, kernel: int, activation: str = "relu", batch_norm: bool = True
) -> Any:
    """A convolution with ``factor`` times its input's channels, at least sixteen; height and width stay."""
    filters = _multiple(inputs, factor)
    return convolved(inputs, name, filters, kernel, activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE)
def downsampling_convolution(
    inputs: Any,
    name: str,
    *,
    factor: float,
    kernel: int,
    stride: int = 2,
    activation: str = "relu",
    batch_norm: bool = True,
) -> Any:
    """A convolution in steps of ``stride`` pixels with ``factor`` times its input's channels, at least sixteen."""
    filters = _multiple(inputs, factor)
    return convolved(inputs, name, filters, kernel, stride=stride, activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE)
def separable_convolution(inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu") -> Any:
    """A convolution of each channel, then a mixing of the channels (Chollet 2017); height and width stay."""
    import keras

    outputs = keras.layers.SeparableConv2D(
        filters, kernel, padding="same", use_bias=False, name=f"{name}_separable_convolution"
    )(inputs)
    return activated(outputs, name, activation, batch_norm=True)


def _multiple(inputs: Any, factor: float) -> int:
    return max(MIN_FILTERS, round(int(inputs.shape[-1]) * factor))
