"""The preprocessing of `msearch_core.data.preprocessing` as Keras layers, to be part of a saved model.

Only layers and operations that Keras itself has: the ``.keras`` file loads in safe mode wherever Keras is installed.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from msearch_core.data.preprocessing import NUMERIC
from msearch_core.data.problem import Problem


def raw_inputs(problem: Problem) -> tuple[dict[str, Any] | Any, Any]:
    """Raw inputs, and the encoded tensor computed from them.

    Args:
        problem: holds the preprocessing.

    Returns:
        For a table: a ``keras.Input`` ``(batch, 1)`` by input name, ``float32`` (NaN means missing) or ``string``
        (empty means missing); and a ``KerasTensor`` ``float32 (batch, features)``. For images: a ``keras.Input``
        ``(batch, height, width, channels)`` of the images' type, twice, since encoded images are raw images.
    """
    spec = problem.preprocessing
    if spec["kind"] == "image":
        image = keras.Input(problem.input_shape, dtype=spec["dtype"], name="input_image")
        return image, image
    inputs = {
        column["input"]: keras.Input(
            (1,), dtype="float32" if column["kind"] in NUMERIC else "string", name=column["input"]
        )
        for column in spec["columns"]
    }
    numeric = [column for column in spec["columns"] if column["kind"] in NUMERIC]
    parts = [_encode_numbers(numeric, [inputs[column["input"]] for column in numeric])] if numeric else []
    for column in spec["columns"]:
        if column["kind"] == "category":
            parts.append(_one_hot(column)(inputs[column["input"]]))
    return inputs, _joined(parts, "encode_join")


def _encode_numbers(columns: list[dict[str, Any]], inputs: list[Any]) -> Any:
    values = _joined(inputs, "encode_numbers")
    scale = keras.layers.Normalization(
        mean=[column["mean"] for column in columns],
        variance=[float(np.square(np.float64(column["deviation"]))) for column in columns],
        dtype="float32",
        name="encode_scale",
    )
    missing = keras.ops.isnan(values)
    scaled = keras.ops.where(missing, 0.0, scale(values))
    indicated = [index for index, column in enumerate(columns) if column["indicator"]]
    if not indicated:
        return scaled
    indicators = keras.ops.cast(keras.ops.take(missing, indicated, axis=1), "float32")
    return _joined([scaled, indicators], "encode_missing")


def _one_hot(column: dict[str, Any]) -> Any:
    unknown = "unknown"
    while unknown in column["vocabulary"]:
        unknown += "_"
    return keras.layers.StringLookup(
        vocabulary=column["vocabulary"],
        mask_token=None,
        oov_token=unknown,
        output_mode="one_hot",
        name=f"encode_{column['input']}",
    )


def _joined(tensors: list[Any], name: str) -> Any:
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=name)(tensors)
