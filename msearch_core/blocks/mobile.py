"""Blocks for small and fast image models: ``float (batch, height, width, channels)`` to the same kind."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.convolution import multiple
from msearch_core.blocks.layers import activated, batch_normalization, convolve, convolved, mean_of, merged
from msearch_core.blocks.masking import values_of
from msearch_core.space import IMAGE, block


@block(takes=IMAGE)
def squeeze_excitation(inputs: Any, name: str, *, ratio: int = 4) -> Any:
    """Each channel times a gate that sees every channel's mean over the image (Hu et al. 2018)."""
    return _gated(inputs, name, ratio)


@block(takes=IMAGE, morph="zero_residual")
def inverted_bottleneck(
    inputs: Any, name: str, *, expansion: int = 4, kernel: int = 3, squeeze: bool = False, activation: str = "swish"
) -> Any:
    """Widen, convolve each channel, narrow, and add to the input: MBConv (Sandler et al. 2018); the shape stays."""
    import keras

    channels = values_of(inputs).shape[-1]
    change = _mobile(inputs, name, channels, expansion, kernel, 1, squeeze, activation)
    return merged(keras.layers.Add(name=f"{name}_add"), inputs, change)


@block(takes=IMAGE)
def downsampling_bottleneck(
    inputs: Any,
    name: str,
    *,
    factor: float,
    expansion: int = 4,
    kernel: int = 3,
    stride: int = 2,
    squeeze: bool = False,
    activation: str = "swish",
) -> Any:
    """MBConv in steps of ``stride`` pixels with ``factor`` times its input's channels, at least sixteen."""
    return _mobile(inputs, name, multiple(inputs, factor), expansion, kernel, stride, squeeze, activation)


def _mobile(
    inputs: Any, name: str, filters: int, expansion: int, kernel: int, stride: int, squeeze: bool, activation: str
) -> Any:
    """The narrow end is linear: an activation there would lose what it cannot spare."""
    import keras

    wide = convolved(inputs, f"{name}_widen", values_of(inputs).shape[-1] * expansion, 1, activation=activation)
    wide = convolve(
        keras.layers.DepthwiseConv2D, wide, f"{name}_depthwise", kernel=kernel, stride=stride, use_bias=False
    )
    wide = activated(wide, f"{name}_depthwise", activation, batch_norm=True)
    if squeeze:
        wide = _gated(wide, f"{name}_squeeze", 4 * expansion)
    narrow = convolve(keras.layers.Conv2D, wide, f"{name}_project", kernel=1, filters=filters, use_bias=False)
    return batch_normalization(narrow, f"{name}_project")


def _gated(inputs: Any, name: str, ratio: int) -> Any:
    import keras

    channels = values_of(inputs).shape[-1]
    gate = mean_of(inputs, f"{name}_mean")
    gate = keras.layers.Dense(max(1, channels // ratio), activation="relu", name=f"{name}_narrow")(gate)
    gate = keras.layers.Dense(channels, activation="sigmoid", name=f"{name}_gate")(gate)
    gate = keras.layers.Reshape((1, 1, channels), name=f"{name}_reshape")(gate)
    return merged(keras.layers.Multiply(name=f"{name}_multiply"), inputs, gate)
