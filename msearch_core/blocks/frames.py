"""From an image to a sequence: ``float (batch, height, width, channels)`` to ``Masked (batch, height, features)``."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import like
from msearch_core.blocks.masking import Masked, mask_of, values_of
from msearch_core.space import IMAGE, SEQUENCE, block


@block(takes=IMAGE, gives=SEQUENCE)
def frames(inputs: Any, name: str) -> Any:
    """Each row of pixels as one time step, from top to bottom."""
    import keras

    values = values_of(inputs)
    height, width, channels = values.shape[1:]
    steps = keras.layers.Reshape((height, width * channels), name=f"{name}_frames")(values)
    if mask_of(inputs) is not None:
        return like(inputs, steps)
    return Masked(steps, keras.ops.ones_like(steps[:, :, 0], dtype="bool"))
