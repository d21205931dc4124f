"""Blocks that change nothing, for each kind of tensor: with them a search can make an architecture shallower."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import applied
from msearch_core.space import IMAGE, SEQUENCE, VECTOR, block


@block(takes=VECTOR, morph="exact")
def identity(inputs: Any, name: str) -> Any:
    """A vector as it is."""
    return _unchanged(inputs, name)


@block(takes=IMAGE, morph="exact")
def image_identity(inputs: Any, name: str) -> Any:
    """An image as it is."""
    return _unchanged(inputs, name)


@block(takes=SEQUENCE, morph="exact")
def sequence_identity(inputs: Any, name: str) -> Any:
    """A sequence as it is."""
    return _unchanged(inputs, name)


def _unchanged(inputs: Any, name: str) -> Any:
    import keras

    return applied(keras.layers.Identity(name=f"{name}_identity"), inputs)
