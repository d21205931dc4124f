"""What several blocks have in common: convolving, normalising and pooling, with and without a mask.

Blocks get the mask's part done here and so need not know of it: what lies after an example's end is zero before
anything looks across time steps, takes no part in any statistic or pool, and the mask takes the same strides as the
values. In all of this ``inputs`` is a ``KerasTensor``, or ``Masked`` where examples end at different steps of axis 1.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.masking import Masked, mask_of, values_of

# Keras' 0.99 leaves the moving statistics of a trial of a few hundred steps near their start, so that a well trained
# model is at chance when evaluated.
BATCH_NORM_MOMENTUM = 0.9

# Loses against every value in a maximum, and float16 can hold it.
LOWEST = -3e4


def filled(values: Any, mask: Any | None, value: float = 0.0) -> Any:
    """The values ``(batch, time, ...)``, with one value wherever the mask ``(batch, time)`` is false."""
    import keras

    if mask is None:
        return values
    return keras.ops.where(keras.ops.reshape(mask, (-1, mask.shape[1], *(1 for _ in values.shape[2:]))), values, value)


def like(inputs: Any, values: Any, stride: int = 1) -> Any:
    """The values as the block's next tensor: with the inputs' mask, and zero where it is false.

    Args:
        inputs: what the values were computed from.
        values: a ``KerasTensor`` with ``ceil(time / stride)`` steps.
        stride: how many input steps make one of these.
    """
    carried = _carried(inputs, values, stride)
    return carried if carried is values else Masked(filled(values, carried.mask), carried.mask)


def applied(layer: Any, inputs: Any) -> Any:
    """A layer that treats each step, or each pixel, by itself."""
    return like(inputs, layer(values_of(inputs)))


def merged(layer: Any, *parts: Any) -> Any:
    """A layer that joins several tensors of one mask, such as ``Add``; zeros stay zeros."""
    return _carried(parts[0], layer(list(map(values_of, parts))), 1)


def batch_normalization(inputs: Any, name: str) -> Any:
    """Batch normalisation (Ioffe and Szegedy 2015) whose statistics settle within tens of steps."""
    return like(inputs, _normalized(inputs, name))


def activated(inputs: Any, name: str, activation: str, batch_norm: bool = False) -> Any:
    """Normalise over the batch where asked for, then apply the activation by its Keras name."""
    import keras

    values = _normalized(inputs, name) if batch_norm else values_of(inputs)
    return like(inputs, keras.layers.Activation(activation, name=f"{name}_{activation}")(values))


def convolve(
    layer: Any,
    inputs: Any,
    name: str,
    *,
    kernel: Any,
    stride: int = 1,
    dilation: int = 1,
    causal: bool = False,
    **options: Any,
) -> Any:
    """Slide a convolution over the inputs, padded to the same size; what it says after an example's end is not zeroed.

    Args:
        layer: the Keras layer's class, of one or two dimensions.
        inputs: ``(batch, time, features)`` or ``(batch, height, width, channels)``.
        name: of the layer.
        kernel: the window's side, or its height and width.
        stride: how many steps the window moves.
        dilation: how many steps there are between those that the window sees.
        causal: whether the window ends at its step, rather than having it in the middle. One dimension only.
        **options: passed on to the layer.
    """
    import keras

    values = _whole_windows(inputs, values_of(inputs), stride)
    if causal:
        # Keras' own padding="causal" is not for depthwise layers.
        values = keras.ops.pad(values, [(0, 0), (dilation * (kernel - 1), 0), (0, 0)])
    window = {"kernel_size": kernel, "strides": stride, "dilation_rate": dilation}
    slid = layer(**window, padding="valid" if causal else "same", name=name, **options)
    return _carried(inputs, slid(values), stride)


def convolved(
    inputs: Any,
    name: str,
    filters: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    dilation: int = 1,
    activation: str = "relu",
    batch_norm: bool = True,
) -> Any:
    """Convolve an image with padding to the same size, normalise where asked for, and apply the activation."""
    import keras

    outputs = convolve(
        keras.layers.Conv2D,
        inputs,
        f"{name}_convolution",
        kernel=kernel,
        stride=stride,
        filters=filters,
        dilation=dilation,
        use_bias=not batch_norm,
    )
    return activated(outputs, name, activation, batch_norm)


def max_pooled(inputs: Any, name: str, *, stride: int, window: int | None = None) -> Any:
    """The greatest value of each window, by default of the stride's size."""
    import keras

    layer = keras.layers.MaxPooling2D if len(values_of(inputs).shape) == 4 else keras.layers.MaxPooling1D
    values = _whole_windows(inputs, filled(values_of(inputs), mask_of(inputs), LOWEST), stride, LOWEST)
    pooled = layer(window or stride, strides=stride, padding="same", name=name)(values)
    return like(inputs, pooled, stride)


def average_pooled(inputs: Any, name: str, *, stride: int, window: int | None = None) -> Any:
    """The mean of each window's true values, by default of the stride's size."""
    import keras

    values, mask = values_of(inputs), mask_of(inputs)
    layer = keras.layers.AveragePooling2D if len(values.shape) == 4 else keras.layers.AveragePooling1D
    pool = layer(window or stride, strides=stride, padding="same", name=name)
    pooled = pool(_whole_windows(inputs, values, stride))
    if mask is None:
        return pooled
    true = keras.ops.reshape(keras.ops.cast(mask, values.dtype), (-1, mask.shape[1], *(1 for _ in values.shape[2:])))
    share = layer(window or stride, strides=stride, padding="same", name=f"{name}_share")(
        _whole_windows(inputs, true, stride)
    )
    return like(inputs, pooled / keras.ops.maximum(share, 1e-3), stride)


def mean_of(inputs: Any, name: str) -> Any:
    """Each channel's mean over all steps or pixels: ``(batch, channels)``."""
    import keras

    values, mask = values_of(inputs), mask_of(inputs)
    if mask is None:
        return keras.layers.GlobalAveragePooling2D(name=name)(values)
    mean = keras.ops.mean(values, axis=tuple(range(1, len(values.shape) - 1)))
    share = keras.ops.mean(keras.ops.cast(mask, "float32"), axis=1, keepdims=True)
    # An example without any step has the mean zero.
    return mean / keras.ops.cast(keras.ops.maximum(share, 1e-3), values.dtype)


def maximum_of(inputs: Any, name: str) -> Any:
    """Each channel's greatest value over all steps or pixels: ``(batch, channels)``."""
    import keras

    values, mask = values_of(inputs), mask_of(inputs)
    layer = keras.layers.GlobalMaxPooling2D if len(values.shape) == 4 else keras.layers.GlobalMaxPooling1D
    return layer(name=name)(filled(values, mask, LOWEST))


def _carried(inputs: Any, values: Any, stride: int) -> Any:
    """The values with the inputs' mask, strided; they may be anything where it is false."""
    mask = mask_of(inputs)
    if mask is None:
        return values
    return Masked(values, mask if stride == 1 else mask[:, ::stride])


def _normalized(inputs: Any, name: str) -> Any:
    import keras

    values, mask = values_of(inputs), mask_of(inputs)
    layer = keras.layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_batch_norm")
    if mask is None:
        return layer(values)
    return layer(values, mask=keras.ops.reshape(mask, (-1, mask.shape[1], *(1 for _ in values.shape[2:-1]))))


def _whole_windows(inputs: Any, values: Any, stride: int, value: float = 0.0) -> Any:
    """The values of masked inputs, lengthened to a multiple of the stride.

    TensorFlow divides the padding of what is not a multiple between both ends, so that the same steps would fall into
    other windows when a batch is padded more.
    """
    import keras

    missing = -values.shape[1] % stride
    if not missing or mask_of(inputs) is None:
        return values
    return keras.ops.pad(values, [(0, 0), (0, missing), *((0, 0) for _ in values.shape[2:])], constant_values=value)
