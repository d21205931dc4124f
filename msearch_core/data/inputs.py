"""Raw inputs for a trained model to predict from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from msearch_core.data.examples import Inputs
from msearch_core.data.images import fit
from msearch_core.data.problem import Problem
from msearch_core.data.source import read
from msearch_core.data.tables import missing_columns
from msearch_core.errors import UserError


def read_inputs(data: str, problem: Problem) -> Inputs:
    """Read inputs of the kind that a model was trained on; a target is not needed, and left out if there is one.

    Args:
        data: as for `msearch_core.data.source.load`; also an image file, or a folder of images.
        problem: what the model was trained on.

    Returns:
        A table with the columns that the model uses, or images ``(n, height, width, channels)`` of the model's shape
        and type. An image folder is read by path; all else keeps its order.

    Raises:
        UserError: the data cannot be read, is of another kind, or lacks a column.
    """
    spec = problem.preprocessing
    is_table = spec["kind"] == "table"
    columns = [column["name"] for column in spec["columns"]] if is_table else []
    found = read(
        data,
        target=problem.target if is_table else None,
        labelled=False,
        texts=[column["name"] for column in spec["columns"] if column["kind"] == "category"] if is_table else (),
        shape=None if is_table else problem.input_shape,
    )
    if is_table and isinstance(found.inputs, pd.DataFrame):
        missing_columns(columns, found.inputs, data)
        return found.inputs[columns]
    if not is_table and isinstance(found.inputs, np.ndarray):
        return fit(found.inputs, problem.input_shape, spec["dtype"], data)
    kinds = ("images", "a table") if is_table else ("a table", "images")
    raise UserError(f"{data!r} holds {kinds[0]}, but the model was trained on {kinds[1]}; give the same kind")
