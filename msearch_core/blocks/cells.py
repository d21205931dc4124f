"""The cells that a search on CIFAR-10 found, NASNet-A (Zoph et al. 2018): images to images.

Both take the previous cell's output for the one before it too, since an architecture here is a chain.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, average_pooled, batch_normalization, convolve, max_pooled, merged
from msearch_core.space import IMAGE, block


@block(takes=IMAGE)
def nasnet_normal(inputs: Any, name: str, *, filters: int) -> Any:
    """NASNet-A's normal cell; height and width stay, the channels become six times ``filters``."""
    import keras

    add, entry = keras.layers.Add, _entry(inputs, name, filters)
    first = merged(add(name=f"{name}_add1"), _separable(entry, f"{name}_left1", filters, 3), entry)
    second = merged(
        add(name=f"{name}_add2"),
        _separable(entry, f"{name}_left2", filters, 3),
        _separable(entry, f"{name}_right2", filters, 5),
    )
    third = merged(add(name=f"{name}_add3"), average_pooled(entry, f"{name}_left3", stride=1, window=3), entry)
    fourth = merged(
        add(name=f"{name}_add4"),
        average_pooled(entry, f"{name}_left4", stride=1, window=3),
        average_pooled(entry, f"{name}_right4", stride=1, window=3),
    )
    fifth = merged(
        add(name=f"{name}_add5"),
        _separable(entry, f"{name}_left5", filters, 5),
        _separable(entry, f"{name}_right5", filters, 3),
    )
    return merged(keras.layers.Concatenate(name=f"{name}_concatenate"), entry, first, second, third, fourth, fifth)


@block(takes=IMAGE)
def nasnet_reduction(inputs: Any, name: str, *, filters: int, stride: int = 2) -> Any:
    """NASNet-A's reduction cell: height and width are divided by ``stride``, the channels become four ``filters``."""
    import keras

    add, entry = keras.layers.Add, _entry(inputs, name, filters)
    first = merged(
        add(name=f"{name}_add1"),
        _separable(entry, f"{name}_left1", filters, 5, stride),
        _separable(entry, f"{name}_right1", filters, 7, stride),
    )
    second = merged(
        add(name=f"{name}_add2"),
        max_pooled(entry, f"{name}_left2", stride=stride, window=3),
        _separable(entry, f"{name}_right2", filters, 7, stride),
    )
    third = merged(
        add(name=f"{name}_add3"),
        average_pooled(entry, f"{name}_left3", stride=stride, window=3),
        _separable(entry, f"{name}_right3", filters, 5, stride),
    )
    fourth = merged(add(name=f"{name}_add4"), average_pooled(first, f"{name}_left4", stride=1, window=3), second)
    fifth = merged(
        add(name=f"{name}_add5"),
        _separable(first, f"{name}_left5", filters, 3),
        max_pooled(entry, f"{name}_right5", stride=stride, window=3),
    )
    return merged(keras.layers.Concatenate(name=f"{name}_concatenate"), second, third, fourth, fifth)


def _entry(inputs: Any, name: str, filters: int) -> Any:
    """Bring the input to the cell's own number of channels."""
    import keras

    opened = activated(inputs, f"{name}_entry", "relu")
    return batch_normalization(
        convolve(keras.layers.Conv2D, opened, f"{name}_entry", kernel=1, filters=filters, use_bias=False),
        f"{name}_entry",
    )


def _separable(inputs: Any, name: str, filters: int, kernel: int, stride: int = 1) -> Any:
    """Two separable convolutions, each after an activation; the first takes the stride."""
    import keras

    outputs = inputs
    for number, step in ((1, stride), (2, 1)):
        opened = activated(outputs, f"{name}_{number}", "relu")
        convolution = convolve(
            keras.layers.SeparableConv2D,
            opened,
            f"{name}_{number}",
            kernel=kernel,
            stride=step,
            filters=filters,
            use_bias=False,
        )
        outputs = batch_normalization(convolution, f"{name}_{number}")
    return outputs
