"""From an image to a vector: ``float (batch, height, width, channels)`` to ``float (batch, features)``.

The global pools bring their own convolution: the mean of an image's raw channels would say next to nothing.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import convolved
from msearch_core.space import IMAGE, VECTOR, block


@block(takes=IMAGE, gives=VECTOR)
def flatten(inputs: Any, name: str) -> Any:
    """Every pixel's every channel as one vector."""
    import keras

    return keras.layers.Flatten(name=f"{name}_flatten")(inputs)


@block(takes=IMAGE, gives=VECTOR)
def global_average_pool(inputs: Any, name: str, *, filters: int, kernel: int = 3, activation: str = "relu") -> Any:
    """A convolution, then each channel's mean over the whole image (Lin et al. 2014)."""
    import keras

    features = convolved(inputs, name, filters, kernel, activation=activation)
    return keras.layers.GlobalAveragePooling2D(name=f"{name}_pool")(features)


@block(takes=IMAGE, gives=VECTOR)
def global_max_pool(inputs: Any, name: str, *, filters: int, kernel: int = 3, activation: str = "relu") -> Any:
    """A convolution, then each channel's greatest value in the whole image."""
    import keras

    features = convolved(inputs, name, filters, kernel, activation=activation)
    return keras.layers.GlobalMaxPooling2D(name=f"{name}_pool")(features)
