"""From an image to a vector: ``float (batch, height, width, channels)`` to ``float (batch, features)``.

The global pools bring their own convolution: the mean of an image's raw channels would say next to nothing.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import convolved, maximum_of, mean_of
from msearch_core.blocks.masking import values_of
from msearch_core.space import IMAGE, VECTOR, block


@block(takes=IMAGE, gives=VECTOR)
def flatten(inputs: Any, name: str) -> Any:
    """Every pixel's every channel as one vector."""
    import keras

    return keras.layers.Flatten(name=f"{name}_flatten")(values_of(inputs))


@block(takes=IMAGE, gives=VECTOR)
def global_average_pool(inputs: Any, name: str, *, filters: int, kernel: int = 3, activation: str = "relu") -> Any:
    """A convolution, then each channel's mean over the whole image (Lin et al. 2014)."""
    return mean_of(convolved(inputs, name, filters, kernel, activation=activation), f"{name}_pool")


@block(takes=IMAGE, gives=VECTOR)
def global_max_pool(inputs: Any, name: str, *, filters: int, kernel: int = 3, activation: str = "relu") -> Any:
    """A convolution, then each channel's greatest value in the whole image."""
    return maximum_of(convolved(inputs, name, filters, kernel, activation=activation), f"{name}_pool")


@block(takes=IMAGE, gives=VECTOR)
def channel_mean(inputs: Any, name: str) -> Any:
    """Each channel's mean over the whole image, without a convolution of its own."""
    return mean_of(inputs, f"{name}_pool")


@block(takes=IMAGE, gives=VECTOR)
def channel_mean_and_max(inputs: Any, name: str) -> Any:
    """Each channel's mean and its greatest value, beside each other."""
    import keras

    return keras.layers.Concatenate(name=f"{name}_concatenate")(
        [mean_of(inputs, f"{name}_mean"), maximum_of(inputs, f"{name}_max")]
    )
