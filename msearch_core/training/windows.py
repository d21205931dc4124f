"""Where a convolution's window lies about the step that it is for, which says where a kernel goes in another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def middle(layer: Any) -> tuple[int, ...] | None:
    """The place in a kernel that looks at the very step or pixel it is for; ``None`` if it has no such place.

    Args:
        layer: a convolution that moves by one step at a time.
    """
    places = []
    for axis, side in enumerate(layer.kernel_size):
        before, dilation = _before(layer, axis, side), layer.dilation_rate[axis]
        if before is None or before % dilation:
            return None
        places.append(before // dilation)
    return tuple(places)


def enlarged(layer: Any, kernel: np.ndarray) -> np.ndarray | None:
    """A kernel with its spatial sides padded with zeros to those of a layer in which it says what it said.

    Args:
        layer: the convolution that it shall be for.
        kernel: of the same convolution with a smaller window.

    Returns:
        The kernel; ``None`` if there is none that says the same.
    """
    padding = []
    for axis, side in enumerate(layer.kernel_size):
        old = kernel.shape[axis]
        if side == old:
            padding.append((0, 0))
            continue
        lies, lay = _before(layer, axis, side), _before(layer, axis, old)
        if side < old or lies is None or lay is None:
            return None
        first, rest = divmod(lies - lay, layer.dilation_rate[axis])
        if rest or not 0 <= first <= side - old:
            return None
        padding.append((first, side - old - first))
    return np.pad(kernel, padding + [(0, 0)] * (kernel.ndim - len(padding)))


def centred(matrix: np.ndarray, shape: Sequence[int], place: tuple[int, ...]) -> np.ndarray:
    """A kernel of a shape that is zero but for one place."""
    kernel = np.zeros(shape, np.float32)
    kernel[place] = matrix
    return kernel


def _before(layer: Any, axis: int, side: int) -> int | None:
    """How many steps before its own a window of a side begins; ``None`` if that is not known."""
    reach = int(layer.dilation_rate[axis]) * (side - 1)
    (inputs,) = layer._inbound_nodes[0].input_tensors
    is_padded = type(inputs._keras_history.operation).__name__ == "Pad"
    if layer.padding == "causal" or (layer.padding == "valid" and is_padded):  # as a causal block pads its input
        return reach
    stride, length = int(layer.strides[axis]), inputs.shape[1 + axis]
    if layer.padding != "same" or (length is None and stride > 1):
        return None
    # As TensorFlow divides the padding; with a stride it depends on the length.
    if stride == 1:
        return reach // 2
    return max(0, (-(-int(length) // stride) - 1) * stride + reach + 1 - int(length)) // 2
