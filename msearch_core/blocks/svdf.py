"""SVDF: a filter over features, then one over the recent past of each result (Alvarez and Park 2019).

``Masked (batch, time, features)`` to ``Masked (batch, time, units)``. A streaming model computes it cell by cell from
a memory of the last steps; over a whole sequence it is a dense layer and a convolution of each feature along time.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import activated, applied, convolve
from msearch_core.blocks.masking import Masked
from msearch_core.space import SEQUENCE, block


@block(takes=SEQUENCE)
def svdf(
    inputs: Any, name: str, *, units: int, memory: int, rank: int = 1, projection: int = 0, activation: str = "relu"
) -> Any:
    """The cell: it remembers the last ``memory`` steps and so never looks ahead.

    Args:
        inputs: the sequence.
        name: the prefix of every layer name.
        units: features that come out, unless they are projected.
        memory: time steps that each of them sees, its own included.
        rank: pairs of a feature filter and a time filter for each unit.
        projection: the width of a linear layer at the end; none if 0.
        activation: by its Keras name.
    """
    outputs = activated(_filtered(inputs, name, units, memory, rank, True), name, activation)
    return _projected(outputs, name, projection)


@block(takes=SEQUENCE)
def svdf_convolution(
    inputs: Any, name: str, *, units: int, memory: int, rank: int = 1, projection: int = 0, activation: str = "relu"
) -> Any:
    """The same as a convolution centred on its step, which looks ahead as far as back, with batch normalisation."""
    outputs = activated(_filtered(inputs, name, units, memory, rank, False), name, activation, batch_norm=True)
    return _projected(outputs, name, projection)


def _filtered(inputs: Any, name: str, units: int, memory: int, rank: int, causal: bool) -> Any:
    import keras

    features = applied(keras.layers.Dense(units * rank, use_bias=False, name=f"{name}_feature_filter"), inputs)
    filtered = convolve(
        keras.layers.DepthwiseConv1D, features, f"{name}_time_filter", kernel=memory, causal=causal, use_bias=causal
    )
    if rank == 1:
        return filtered
    steps = filtered.values.shape[1]
    ranks = keras.layers.Reshape((steps, units, rank), name=f"{name}_ranks")(filtered.values)
    return Masked(keras.ops.sum(ranks, axis=-1), filtered.mask)


def _projected(outputs: Any, name: str, projection: int) -> Any:
    import keras

    if not projection:
        return outputs
    return applied(keras.layers.Dense(projection, use_bias=False, name=f"{name}_projection"), outputs)
