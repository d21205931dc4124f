"""Tensors whose examples end at different time steps."""

from __future__ import annotations

from typing import Any, NamedTuple


class Masked(NamedTuple):
    """What travels between blocks where examples differ in length.

    Attributes:
        values: a ``KerasTensor`` ``(batch, time, ...)``, zero after an example's end.
        mask: a ``KerasTensor`` ``bool (batch, time)``, true until an example's end.
    """

    values: Any
    mask: Any


def values_of(inputs: Any) -> Any:
    """The tensor itself, masked or not."""
    return inputs.values if isinstance(inputs, Masked) else inputs


def mask_of(inputs: Any) -> Any | None:
    """The mask, or ``None`` where every example fills its tensor."""
    return inputs.mask if isinstance(inputs, Masked) else None
