"""How raw inputs become what a model learns from: learned on train, kept as JSON, applied here with NumPy.

`msearch_core.training.preprocessing` does the same with Keras layers, so that it can be part of a saved model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.columns import is_boolean, is_date, is_number, to_days, to_numbers, to_texts
from msearch_core.data.examples import Inputs, RawData
from msearch_core.data.problem import Problem
from msearch_core.errors import UserError

MAX_CATEGORIES = 100
MIN_COUNT = 2
MAX_DISTINCT = 0.9
NUMERIC = ("number", "boolean", "date")

_CHUNK = 1024


def learn(raw: RawData, rows: np.ndarray) -> dict[str, Any]:
    """Learn the preprocessing from some of the examples.

    Of a table, empty and constant columns are dropped, and texts of which more than 90 % differ. Numbers, truth values
    and dates (as days since 1970) are standardised; a missing one becomes the mean, and gets a feature of its own if
    any was missing here. Other columns are one-hot encoded: the 100 most frequent categories that occur at least twice,
    among them the empty text for a missing value, and one feature for all others. For images, mean and variance of each
    channel are learned; the encoded image stays as it is.

    Args:
        raw: the data.
        rows: integers ``(train,)``, the examples to learn from.

    Returns:
        For a table: ``kind`` ``"table"``, ``columns`` (each with ``name``, ``input``, ``kind`` and what was learned)
        and ``dropped`` (the reason by column). For images: ``kind`` ``"image"``, ``dtype``, ``mean`` and ``variance``.

    Raises:
        UserError: no column is left, or a value cannot be used.
    """
    if isinstance(raw.inputs, np.ndarray):
        mean, variance = _moments(raw.inputs, rows)
        return {"kind": "image", "dtype": str(raw.inputs.dtype), "mean": mean.tolist(), "variance": variance.tolist()}
    table = raw.inputs.iloc[rows]
    columns: list[dict[str, Any]] = []
    dropped: dict[str, str] = {}
    for name in sorted(map(str, table)):
        learned = _learn_column(table[name])
        if isinstance(learned, str):
            dropped[name] = learned
        else:
            taken = {column["input"] for column in columns}
            columns.append({"name": name, "input": _input_name(name, taken), **learned})
    if not columns:
        raise UserError(
            "no column is left to learn from: " + "; ".join(f"{name!r} {why}" for name, why in dropped.items())
        )
    return {"kind": "table", "columns": columns, "dropped": dropped}


def width(spec: Mapping[str, Any]) -> int:
    """The number of features that a table is encoded into."""
    return sum(
        1 + column["indicator"] if column["kind"] in NUMERIC else 1 + len(column["vocabulary"])
        for column in spec["columns"]
    )


def encode(spec: Mapping[str, Any], inputs: Inputs) -> np.ndarray:
    """Apply what was learned.

    Args:
        spec: what `learn` returned.
        inputs: a table with at least the columns that were kept, or images of the shape that was learned.

    Returns:
        ``float32 (n, features)``: numbers, then the indicators of missing numbers, then one-hot categories, each in
        the order of ``spec["columns"]``. Images are returned as they are.

    Raises:
        UserError: a value is not of the kind that was learned.
    """
    if isinstance(inputs, np.ndarray):
        return inputs
    values = raw_columns(spec, inputs)
    numeric = [column for column in spec["columns"] if column["kind"] in NUMERIC]
    encoded = np.zeros((len(inputs), width(spec)), np.float32)
    for index, column in enumerate(numeric):
        # In float32 and in this order, as the Keras layer computes it.
        scaled = (values[column["input"]] - np.float32(column["mean"])) / np.float32(column["deviation"])
        encoded[:, index] = np.where(np.isnan(scaled), np.float32(0), scaled)
    position = len(numeric)
    for column in numeric:
        if column["indicator"]:
            encoded[:, position] = np.isnan(values[column["input"]])
            position += 1
    rows = np.arange(len(inputs))
    for column in spec["columns"]:
        if column["kind"] == "category":
            index = pd.Index(column["vocabulary"], dtype=object).get_indexer(pd.Index(values[column["input"]]))
            encoded[rows, position + 1 + index] = 1  # an unknown category has the index -1
            position += 1 + len(column["vocabulary"])
    return encoded


def raw_columns(spec: Mapping[str, Any], table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The kept columns by input name, as a model with its preprocessing takes them.

    Returns:
        ``float32 (n,)`` with NaN where missing for numbers, truth values and dates (days since 1970); ``object (n,)``
        of ``str``, empty where missing, for categories.

    Raises:
        UserError: a value is not of the kind that was learned.
    """
    convert = {"number": to_numbers, "boolean": to_numbers, "date": to_days, "category": to_texts}
    return {column["input"]: convert[column["kind"]](table[column["name"]]) for column in spec["columns"]}


def to_model_inputs(problem: Problem, inputs: Inputs) -> dict[str, np.ndarray] | np.ndarray:
    """What the Keras model with its preprocessing takes (`msearch_core.training.preprocessing.raw_inputs`).

    Call the model, or its ``predict_on_batch``, with it: Keras' ``predict`` refuses NumPy arrays of text.

    Args:
        problem: holds the preprocessing.
        inputs: a table with the columns that were kept, or images.

    Returns:
        For a table, an array ``(n, 1)`` by input name: ``float32``, NaN where missing, or ``object`` of ``str``, empty
        where missing. Images are returned as they are.
    """
    if isinstance(inputs, np.ndarray):
        return inputs
    return {name: values[:, np.newaxis] for name, values in raw_columns(problem.preprocessing, inputs).items()}


def _learn_column(values: pd.Series) -> dict[str, Any] | str:
    """What to know of a column, or why to drop it."""
    if not values.notna().any():
        return "is empty"
    kind = (
        "boolean"
        if is_boolean(values)
        else "number"
        if is_number(values)
        else "date"
        if is_date(values)
        else "category"
    )
    if kind != "category":
        return _learn_numbers(kind, to_days(values) if kind == "date" else to_numbers(values))
    texts = to_texts(values)
    categories, counts = np.unique(texts, return_counts=True)
    if len(categories) == 1:
        return "is constant"
    if len(categories) > MAX_DISTINCT * len(texts):
        return "is a text that differs in almost every row"
    by_frequency = sorted(zip(-counts, categories, strict=True))
    # The categories left out train the feature that unknown ones will have.
    return {"kind": kind, "vocabulary": [str(c) for count, c in by_frequency if -count >= MIN_COUNT][:MAX_CATEGORIES]}


def _learn_numbers(kind: str, numbers: np.ndarray) -> dict[str, Any] | str:
    present = numbers[~np.isnan(numbers)].astype(np.float64)
    indicator = len(present) < len(numbers)
    deviation = float(present.std())
    if deviation == 0 and not indicator:
        return "is constant"
    return {
        "kind": kind,
        "mean": float(np.float32(present.mean())),
        "deviation": float(np.float32(deviation)) or 1.0,
        "indicator": indicator,
    }


def _moments(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel, both ``float64 (channels,)``, without a copy of all images."""
    total = np.zeros(images.shape[3])
    squares = np.zeros(images.shape[3])
    for start in range(0, len(rows), _CHUNK):
        pixels = images[rows[start : start + _CHUNK]].reshape(-1, images.shape[3]).astype(np.float64)
        total += pixels.sum(axis=0)
        squares += np.einsum("ij,ij->j", pixels, pixels)
    number = len(rows) * images.shape[1] * images.shape[2]
    mean = total / number
    variance = squares / number - mean**2
    # A channel without variance, such as an unused one, must stay near zero rather than be blown up.
    return mean, np.where(variance > 1e-12 * squares / number, variance, 1.0)


def _input_name(column: str, taken: set[str]) -> str:
    """A name that Keras and its export formats allow, different from those taken."""
    plain = "input_" + re.sub(r"[^0-9A-Za-z]+", "_", column).strip("_").lower()
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name
