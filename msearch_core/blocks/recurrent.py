"""Recurrent blocks: ``Masked (batch, time, features)`` to ``Masked (batch, time, units)``.

They see true steps only, and a backward direction begins at an example's true end. On CPU a training step of 64
examples of 100 steps costs some 30 ms of one core for an LSTM or GRU of 64 units and 12 ms for a plain one; unrolled
they run at most 15 % faster and take ten times as long to trace. So long sequences are best shortened by a strided
convolution.
"""

from __future__ import annotations

from typing import Any

from msearch_core.blocks.layers import like
from msearch_core.blocks.masking import mask_of, values_of
from msearch_core.space import SEQUENCE, block


@block(takes=SEQUENCE)
def rnn(inputs: Any, name: str, *, units: int) -> Any:
    """A plain recurrent layer (Elman 1990)."""
    import keras

    return _recurrent(keras.layers.SimpleRNN(units, return_sequences=True, name=f"{name}_rnn"), inputs)


@block(takes=SEQUENCE)
def gru(inputs: Any, name: str, *, units: int) -> Any:
    """Gated recurrent units (Cho et al. 2014)."""
    import keras

    return _recurrent(keras.layers.GRU(units, return_sequences=True, name=f"{name}_gru"), inputs)


@block(takes=SEQUENCE)
def lstm(inputs: Any, name: str, *, units: int) -> Any:
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""
    import keras

    return _recurrent(keras.layers.LSTM(units, return_sequences=True, name=f"{name}_lstm"), inputs)


@block(takes=SEQUENCE)
def bidirectional(inputs: Any, name: str, *, units: int, cell: str = "gru") -> Any:
    """A recurrent layer in each direction (Schuster and Paliwal 1997), ``units`` each: ``rnn``, ``gru`` or ``lstm``."""
    import keras

    layer = {"rnn": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[cell]
    both = keras.layers.Bidirectional(layer(units, return_sequences=True, name=cell), name=f"{name}_bidirectional")
    return _recurrent(both, inputs)


def _recurrent(layer: Any, inputs: Any) -> Any:
    return like(inputs, layer(values_of(inputs), mask=mask_of(inputs)))
