"""Convolution blocks: ``float (batch, height, width, channels)`` to the same with other channels, or half the sides.

Padding is ``same`` throughout, so that a block is valid on the smallest image.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, convolve, convolved
from msearch_core.blocks.masking import values_of
from msearch_core.space import IMAGE, block

# What a grey image's one channel is widened to.
MIN_FILTERS = 16


@block(takes=IMAGE, morph="exact")
def convolution(
    inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu", batch_norm: bool = True
) -> Any:
    """A convolution of a fixed number of filters; height and width stay."""
    return convolved(inputs, name, filters, kernel, activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE, morph="exact")
def oblong_convolution(
    inputs: Any,
    name: str,
    *,
    filters: int,
    height: int,
    width: int,
    activation: str = "relu",
    batch_norm: bool = True,
) -> Any:
    """A convolution whose window has any height and width, such as 1 x 7 or 7 x 1."""
    return convolved(inputs, name, filters, (height, width), activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE, morph="exact")
def dilated_convolution(
    inputs: Any,
    name: str,
    *,
    filters: int,
    kernel: int,
    dilation: int = 2,
    activation: str = "relu",
    batch_norm: bool = True,
) -> Any:
    """A convolution of every ``dilation``-th pixel (Yu and Koltun 2016): it sees far with few weights."""
    return convolved(inputs, name, filters, kernel, dilation=dilation, activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE)
def widening_convolution(
    inputs: Any, name: str, *, factor: float, kernel: int, activation: str = "relu", batch_norm: bool = True
) -> Any:
    """A convolution with ``factor`` times its input's channels, at least sixteen; height and width stay."""
    return convolved(inputs, name, multiple(inputs, factor), kernel, activation=activation, batch_norm=batch_norm)


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
    filters = multiple(inputs, factor)
    return convolved(inputs, name, filters, kernel, stride=stride, activation=activation, batch_norm=batch_norm)


@block(takes=IMAGE, morph="exact")
def separable_convolution(inputs: Any, name: str, *, filters: int, kernel: int, activation: str = "relu") -> Any:
    """A convolution of each channel, then a mixing of the channels (Chollet 2017); height and width stay."""
    import keras

    outputs = convolve(
        keras.layers.SeparableConv2D,
        inputs,
        f"{name}_separable_convolution",
        kernel=kernel,
        filters=filters,
        use_bias=False,
    )
    return activated(outputs, name, activation, batch_norm=True)


def multiple(inputs: Any, factor: float) -> int:
    """``factor`` times the inputs' channels, at least sixteen."""
    return max(MIN_FILTERS, round(int(values_of(inputs).shape[-1]) * factor))
