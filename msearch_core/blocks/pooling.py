"""Pooling blocks: ``float (batch, height, width, channels)`` to the same with smaller sides."""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import average_pooled, max_pooled
from msearch_core.space import IMAGE, block


@block(takes=IMAGE)
def max_pool(inputs: Any, name: str, *, stride: int = 2) -> Any:
    """The greatest value of each square of ``stride`` pixels a side."""
    return max_pooled(inputs, f"{name}_pool", stride=stride)


@block(takes=IMAGE)
def average_pool(inputs: Any, name: str, *, stride: int = 2) -> Any:
    """The mean of each square of ``stride`` pixels a side."""
    return average_pooled(inputs, f"{name}_pool", stride=stride)
