"""Raw inputs for a trained model to predict from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data import standard_input
from msearch_core.data.columns import MISSING, to_categories
from msearch_core.data.examples import Inputs
from msearch_core.data.features import MISSING_TEXT
from msearch_core.data.images import Pictures, fit
from msearch_core.data.options import DataOptions
from msearch_core.data.problem import Problem
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import another_kind, kind_of, read
from msearch_core.data.tables import missing_columns

MOST_LINES = 10
"""So many columns are told of at most."""
_SHOWN = 3
_KINDS = {"table": "a table", "image": "images", "sequence": "sequences", "audio": "sounds"}


def read_inputs(data: str, problem: Problem) -> Inputs:
    """Read inputs of the kind that a model was trained on; targets are not needed, and left out if there are any.

    Args:
        data: as for `msearch_core.data.source.load`; also an image or WAV file, or a folder of them; or ``-`` for
            standard input (`msearch_core.data.standard_input`).
        problem: what the model was trained on.

    Returns:
        A table or sequences with the columns that the model uses, images ``(n, height, width, channels)`` of the
        model's shape and type, or sounds. A folder is read by path; all else keeps its order.

    Raises:
        UserError: the data cannot be read, is of another kind, or lacks a column.
    """
    spec = problem.preprocessing
    columns = [column["name"] for column in spec.get("columns", ())]
    options = DataOptions(data, tuple(target.name for target in problem.targets))
    texts = [column["name"] for column in spec.get("columns", ()) if column["kind"] == "category"]
    if data == standard_input.NAME:
        inputs, data = standard_input.read(options, columns or None, texts).inputs, standard_input.CALLED
    else:
        shape = problem.input_shape if spec["kind"] == "image" else None
        rate = spec.get("sample_rate")
        inputs = read(options, labelled=False, texts=texts, only=columns or None, shape=shape, rate=rate).inputs
    if kind_of(inputs) != _KINDS[spec["kind"]]:
        raise another_kind(data, kind_of(inputs), f"the model was trained on {_KINDS[spec['kind']]}")
    if isinstance(inputs, pd.DataFrame):
        missing_columns(columns, inputs, repr(data))
        return inputs[columns]
    if isinstance(inputs, Sequences):
        missing_columns(columns, inputs.steps, repr(data))
        return Sequences(inputs.lengths, inputs.steps[columns])
    if isinstance(inputs, np.ndarray | Pictures):
        return fit(inputs, problem.input_shape, spec["dtype"], data)
    return inputs


def strangenesses(inputs: Inputs, problem: Problem) -> Iterator[str]:
    """What a model has not learned of: categories that it does not know, and gaps where there were none.

    Args:
        inputs: what `read_inputs` returned.
        problem: what the model was trained on.

    Returns:
        A line a column: what is strange, in how many rows (of sequences: steps), and what is made of it.
    """
    table = inputs.steps if isinstance(inputs, Sequences) else inputs
    if not isinstance(table, pd.DataFrame):
        return
    rows = "steps" if isinstance(inputs, Sequences) else "rows"
    lines = [line for column in problem.preprocessing["columns"] if (line := _strange(column, table, rows))]
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"{len(lines) - MOST_LINES} more columns hold unknown categories, or gaps that were not there in training"


def _strange(column: Mapping[str, Any], table: pd.DataFrame, rows: str) -> str:
    name, values = column["name"], table[column["name"]]
    if column["kind"] != "category":
        gaps = int((values.isna() | values.isin(MISSING)).sum())
        if not gaps or column["indicator"]:
            return ""
        return f"column {name!r}: {gaps} of {len(table)} {rows} have no value; the mean in training stands in for it"
    texts = to_categories(values, column["vocabulary"])
    gaps = int((texts == "").sum())
    unknown = pd.Series(texts[~np.isin(texts, [*column["vocabulary"], "", MISSING_TEXT])], dtype=object)
    told = []
    if len(unknown):
        kinds = unknown.unique()
        shown = ", ".join(map(repr, kinds[:_SHOWN])) + (", ..." if len(kinds) > _SHOWN else "")
        told.append(f"{len(unknown)} of {len(table)} {rows} hold what is unknown or was rare in training ({shown})")
    if gaps and not {"", MISSING_TEXT} & {*column["vocabulary"]}:
        told.append(f"{gaps} of {len(table)} {rows} have no value")
    return f"column {name!r}: {' and '.join(told)}; treated as a rare category" if told else ""
