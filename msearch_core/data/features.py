"""How the columns of a table, or of the steps of sequences, become numbers: learned on train, kept as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.columns import column_kind, looks_like_dates, to_categories, to_days, to_numbers, to_texts
from msearch_core.errors import UserError

MAX_CATEGORIES = 100
MIN_COUNT = 2
MAX_DISTINCT = 0.9
MAX_TOLD = 10
NUMERIC = ("number", "boolean", "date")
SEQUENCE_INPUT = "input_sequence"
"""The name of the model's input that holds all numbers of a sequence's steps."""
MISSING_TEXT = " "
"""Stands for a missing text within a sequence, since the empty text stands for the sequence's end."""

DATES_AS_TEXTS = "holds dates, which are taken for texts: write them as 2026-05-31 (ISO 8601)"


def learn_columns(table: pd.DataFrame, of_steps: bool = False) -> dict[str, Any]:
    """Learn how each column of a table becomes features.

    Args:
        table: the rows to learn from.
        of_steps: whether a row is a step of a sequence: no feature says that a number is missing, and no number is
            dropped, so that a model takes the arrays that a user has.

    Returns:
        ``columns``, each with ``name``, ``input``, ``kind``, what was learned and perhaps a ``note`` for the user;
        ``dropped``, the reason by column.

    Raises:
        UserError: no column is left, or a value cannot be used.
    """
    columns: list[dict[str, Any]] = []
    dropped: dict[str, str] = {}
    for name in sorted(map(str, table)):
        learned = _learn_column(table[name], of_steps)
        if isinstance(learned, str):
            dropped[name] = learned
        else:
            taken = {SEQUENCE_INPUT, *(column["input"] for column in columns)}
            columns.append({"name": name, "input": _input_name(name, taken), **learned})
    if not columns:
        raise UserError(f"no column is left to learn from: {left_out({'dropped': dropped})}")
    return {"columns": columns, "dropped": dropped}


def left_out(spec: Mapping[str, Any]) -> str:
    """Which columns were dropped and why, in a line; empty if none was."""
    return _listed(spec.get("dropped", {}))


def noted(spec: Mapping[str, Any]) -> str:
    """What to know of the columns that were kept, in a line; empty if there is nothing."""
    return _listed({column["name"]: column["note"] for column in spec.get("columns", ()) if "note" in column})


def _listed(reasons: Mapping[str, str]) -> str:
    told = [f"{name!r} {why}" for name, why in reasons.items()]
    more = f"; ... ({len(told)} in all)" if len(told) > MAX_TOLD else ""
    return "; ".join(told[:MAX_TOLD]) + more


def width(spec: Mapping[str, Any]) -> int:
    """The number of features that a table, or a step of a sequence, is encoded into."""
    return sum(
        1 + column["indicator"] if column["kind"] in NUMERIC else 1 + len(column["vocabulary"])
        for column in spec["columns"]
    )


def encode_rows(spec: Mapping[str, Any], table: pd.DataFrame) -> np.ndarray:
    """Apply what was learned.

    Args:
        spec: holds ``columns``, and ``kind`` ``"sequence"`` if a row is a step.
        table: at least the columns that were kept.

    Returns:
        ``float32 (n, features)``: numbers, then the indicators of missing numbers, then one-hot categories, each in
        the order of ``spec["columns"]``.

    Raises:
        UserError: a value is not of the kind that was learned.
    """
    values = raw_columns(spec, table)
    numeric = [column for column in spec["columns"] if column["kind"] in NUMERIC]
    encoded = np.zeros((len(table), width(spec)), np.float32)
    for index, column in enumerate(numeric):
        # In float32 and in this order, as the Keras layer computes it.
        scaled = (values[column["input"]] - np.float32(column["mean"])) / np.float32(column["deviation"])
        encoded[:, index] = np.where(np.isnan(scaled), np.float32(0), scaled)
    position = len(numeric)
    for column in numeric:
        if column["indicator"]:
            encoded[:, position] = np.isnan(values[column["input"]])
            position += 1
    rows = np.arange(len(table))
    for column in spec["columns"]:
        if column["kind"] == "category":
            texts = values[column["input"]]
            index = pd.Index(column["vocabulary"], dtype=object).get_indexer(pd.Index(texts))
            encoded[rows, position + 1 + index] = 1  # an unknown category has the index -1
            position += 1 + len(column["vocabulary"])
    return encoded


def raw_columns(spec: Mapping[str, Any], table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The kept columns by input name, as a model with its preprocessing takes them.

    Returns:
        ``float32 (n,)`` with NaN where missing for numbers, truth values and dates (days since 1970); ``object (n,)``
        of ``str``, empty (in a sequence `MISSING_TEXT`) where missing, for categories. A text that spells a missing
        value, such as ``NA``, is one unless it was learned as a category.

    Raises:
        UserError: a value is not of the kind that was learned.
    """
    of_steps = spec["kind"] == "sequence"
    return {column["input"]: _raw_column(column, table[column["name"]], of_steps) for column in spec["columns"]}


def _raw_column(column: Mapping[str, Any], values: pd.Series, of_steps: bool) -> np.ndarray:
    if column["kind"] == "date":
        return to_days(values)
    if column["kind"] != "category":
        return to_numbers(values)
    texts = to_categories(values, column["vocabulary"])
    return _of_step(texts) if of_steps else texts


def _learn_column(values: pd.Series, of_steps: bool) -> dict[str, Any] | str:
    """What to know of a column, or why to drop it."""
    if not values.notna().any():
        return "is empty"
    kind = column_kind(values)
    if kind != "category":
        return _learn_numbers(kind, to_days(values) if kind == "date" else to_numbers(values), of_steps)
    texts = _of_step(to_texts(values)) if of_steps else to_texts(values)
    categories, counts = np.unique(texts, return_counts=True)
    if len(categories) == 1:
        return "is constant"
    other_dates = looks_like_dates(values)
    if len(categories) > MAX_DISTINCT * len(texts):
        return DATES_AS_TEXTS if other_dates else "is a text that differs in almost every row"
    by_frequency = sorted(zip(-counts, categories, strict=True))
    # The categories left out train the feature that unknown ones will have.
    vocabulary = [str(c) for count, c in by_frequency if -count >= MIN_COUNT][:MAX_CATEGORIES]
    return {"kind": kind, "vocabulary": vocabulary, **({"note": DATES_AS_TEXTS} if other_dates else {})}


def _learn_numbers(kind: str, numbers: np.ndarray, of_steps: bool) -> dict[str, Any] | str:
    present = numbers[~np.isnan(numbers)].astype(np.float64)
    indicator = len(present) < len(numbers) and not of_steps
    deviation = float(present.std())
    if deviation == 0 and not indicator and not of_steps:
        return "is constant"
    return {
        "kind": kind,
        "mean": float(np.float32(present.mean())),
        "deviation": float(np.float32(deviation)) or 1.0,
        "indicator": indicator,
    }


def _input_name(column: str, taken: set[str]) -> str:
    """A name that Keras and its export formats allow, different from those taken."""
    plain = "input_" + re.sub(r"[^0-9A-Za-z]+", "_", column).strip("_").lower()
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _of_step(texts: np.ndarray) -> np.ndarray:
    return np.where(texts == "", MISSING_TEXT, texts)
