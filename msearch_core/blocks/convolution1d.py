"""Convolutions along time: ``Masked (batch, time, features)`` to ``Masked (batch, ceil(time / stride), filters)``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, average_pooled, batch_normalization, convolve, max_pooled, merged
from msearch_core.blocks.masking import values_of
from msearch_core.space import SEQUENCE, block


@block(takes=SEQUENCE, morph="exact")
def conv1d(
    inputs: Any,
    name: str,
    *,
    filters: int,
    kernel: int,
    dilation: int = 1,
    stride: int = 1,
    causal: bool = False,
    activation: str = "relu",
    batch_norm: bool = True,
) -> Any:
    """A convolution along time, which sees earlier steps only if it is causal (van den Oord et al. 2016)."""
    import keras

    outputs = convolve(
        keras.layers.Conv1D,
        inputs,
        f"{name}_convolution",
        kernel=kernel,
        stride=stride,
        filters=filters,
        dilation=dilation,
        causal=causal,
        use_bias=not batch_norm,
    )
    return activated(outputs, name, activation, batch_norm)


@block(takes=SEQUENCE, morph="exact")
def separable_conv1d(
    inputs: Any,
    name: str,
    *,
    filters: int,
    kernel: int,
    stride: int = 1,
    causal: bool = False,
    activation: str = "relu",
) -> Any:
    """A convolution of each feature along time, then a mixing of the features."""
    import keras

    outputs = convolve(
        keras.layers.SeparableConv1D,
        inputs,
        f"{name}_separable_convolution",
        kernel=kernel,
        stride=stride,
        filters=filters,
        causal=causal,
        use_bias=False,
    )
    return activated(outputs, name, activation, batch_norm=True)


@block(takes=SEQUENCE, morph="zero_residual")
def residual_conv1d(
    inputs: Any, name: str, *, filters: int, kernel: int, dilation: int = 1, activation: str = "relu"
) -> Any:
    """Two convolutions along time added to their own input (Bai et al. 2018); the shape stays."""
    import keras

    options: dict[str, Any] = {"kernel": kernel, "dilation": dilation, "use_bias": False}
    hidden = convolve(keras.layers.Conv1D, inputs, f"{name}_convolution", filters=filters, **options)
    hidden = activated(hidden, name, activation, batch_norm=True)
    features = values_of(inputs).shape[-1]
    change = convolve(keras.layers.Conv1D, hidden, f"{name}_project", filters=features, **options)
    change = batch_normalization(change, f"{name}_project")
    return activated(merged(keras.layers.Add(name=f"{name}_add"), inputs, change), f"{name}_add", activation)


@block(takes=SEQUENCE)
def time_max_pool(inputs: Any, name: str, *, stride: int = 2) -> Any:
    """The greatest value of each ``stride`` steps."""
    return max_pooled(inputs, f"{name}_pool", stride=stride)


@block(takes=SEQUENCE)
def time_average_pool(inputs: Any, name: str, *, stride: int = 2) -> Any:
    """The mean of each ``stride`` steps."""
    return average_pooled(inputs, f"{name}_pool", stride=stride)
