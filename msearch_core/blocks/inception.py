"""Windows of several sizes side by side: ``float (batch, height, width, channels)`` to other channels."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import convolved, max_pooled, merged
from msearch_core.space import IMAGE, block


@block(takes=IMAGE)
def inception_convolution(inputs: Any, name: str, *, filters: int, activation: str = "relu") -> Any:
    """Windows of 1, 3 and 5 pixels and a pool side by side (Szegedy et al. 2015), ``filters`` channels each.

    The window of 5 is two of 3 in a row (Szegedy et al. 2016).
    """
    import keras

    single = convolved(inputs, f"{name}_single", filters, 1, activation=activation)
    small = convolved(inputs, f"{name}_small", filters, 3, activation=activation)
    large = convolved(inputs, f"{name}_large", filters, 3, activation=activation)
    large = convolved(large, f"{name}_larger", filters, 3, activation=activation)
    pooled = max_pooled(inputs, f"{name}_pool", stride=1, window=3)
    pooled = convolved(pooled, f"{name}_pooled", filters, 1, activation=activation)
    return merged(keras.layers.Concatenate(name=f"{name}_concatenate"), single, small, large, pooled)
