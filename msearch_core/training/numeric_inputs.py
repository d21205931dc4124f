"""The preprocessing for formats that have no texts: their place take numbers, which ``encode.py`` of a bundle makes.

All else is inside the model, as in `msearch_core.training.preprocessing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from msearch_core.data.problem import Problem
from msearch_core.training.preprocessing import encode_numbers, joined, numeric_columns, raw_inputs, scaled

NUMBERS = "numbers"
CATEGORIES = "categories"


def numeric_inputs(problem: Problem) -> tuple[dict[str, Any], Any]:
    """Inputs that are numbers, and the encoded tensor computed from them.

    Args:
        problem: holds the preprocessing.

    Returns:
        ``keras.Input`` tensors by name, and a ``KerasTensor`` of encoded examples ``(batch, *input_shape)``.

        For a table ``numbers``, ``float32 (batch, columns)`` of its numbers, truth values and dates (days since 1970),
        NaN where missing; and ``categories``, ``int32 (batch, columns)``: 0 for an unknown category, then the
        vocabulary's from 1 on. For sequences the same with a time axis, ``(batch, time, columns)``, where a number is
        NaN after an example's end; a category is 0 there, 1 where unknown, and the vocabulary's begin with 2. Images
        and sounds as `msearch_core.training.preprocessing.raw_inputs` has them.
    """
    spec = problem.preprocessing
    if spec["kind"] in ("image", "audio"):
        tensor: Any
        tensor, encoded = raw_inputs(problem)
        return {tensor.name: tensor}, encoded
    sequence = spec["kind"] == "sequence"
    axes = (spec["time"],) if sequence else ()
    numeric = numeric_columns(spec)
    inputs: dict[str, Any] = {}
    if numeric:
        inputs[NUMBERS] = keras.Input((*axes, len(numeric)), dtype="float32", name=NUMBERS)
    vocabularies = [len(column["vocabulary"]) for column in spec["columns"] if column["kind"] == "category"]
    if vocabularies:
        inputs[CATEGORIES] = keras.Input((*axes, len(vocabularies)), dtype="int32", name=CATEGORIES)
    return inputs, (_steps if sequence else _row)(inputs, numeric, vocabularies)


def _row(inputs: Mapping[str, Any], numeric: list[dict[str, Any]], vocabularies: list[int]) -> Any:
    parts = [encode_numbers(numeric, inputs[NUMBERS])] if numeric else []
    parts += [keras.ops.one_hot(inputs[CATEGORIES][:, index], 1 + size) for index, size in enumerate(vocabularies)]
    return joined(parts, "encode_join")


def _steps(inputs: Mapping[str, Any], numeric: list[dict[str, Any]], vocabularies: list[int]) -> Any:
    parts = []
    if numeric:
        missing = keras.ops.isnan(inputs[NUMBERS])
        ended = keras.ops.all(missing, axis=-1, keepdims=True)
        parts.append(keras.ops.where(missing, 0.0, scaled(numeric, inputs[NUMBERS])))
    else:
        ended = keras.ops.equal(inputs[CATEGORIES][:, :, :1], 0)
    parts += [
        keras.ops.one_hot(inputs[CATEGORIES][:, :, index] - 1, 1 + size) for index, size in enumerate(vocabularies)
    ]
    return keras.ops.where(ended, np.nan, joined(parts, "encode_join"))
