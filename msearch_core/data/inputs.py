"""Raw inputs for a trained model to predict from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from msearch_core.data.examples import Inputs
from msearch_core.data.images import Pictures, fit
from msearch_core.data.options import DataOptions
from msearch_core.data.problem import Problem
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import another_kind, kind_of, read
from msearch_core.data.tables import missing_columns

_KINDS = {"table": "a table", "image": "images", "sequence": "sequences", "audio": "sounds"}


def read_inputs(data: str, problem: Problem) -> Inputs:
    """Read inputs of the kind that a model was trained on; targets are not needed, and left out if there are any.

    Args:
        data: as for `msearch_core.data.source.load`; also an image or WAV file, or a folder of them.
        problem: what the model was trained on.

    Returns:
        A table or sequences with the columns that the model uses, images ``(n, height, width, channels)`` of the
        model's shape and type, or sounds. A folder is read by path; all else keeps its order.

    Raises:
        UserError: the data cannot be read, is of another kind, or lacks a column.
    """
    spec = problem.preprocessing
    columns = [column["name"] for column in spec.get("columns", ())]
    inputs = read(
        DataOptions(data, tuple(target.name for target in problem.targets)),
        labelled=False,
        texts=[column["name"] for column in spec.get("columns", ()) if column["kind"] == "category"],
        shape=problem.input_shape if spec["kind"] == "image" else None,
        rate=spec.get("sample_rate"),
    ).inputs
    if kind_of(inputs) != _KINDS[spec["kind"]]:
        raise another_kind(data, kind_of(inputs), f"the model was trained on {_KINDS[spec['kind']]}")
    if isinstance(inputs, pd.DataFrame):
        missing_columns(columns, inputs, data)
        return inputs[columns]
    if isinstance(inputs, Sequences):
        missing_columns(columns, inputs.steps, data)
        return Sequences(inputs.lengths, inputs.steps[columns])
    if isinstance(inputs, np.ndarray | Pictures):
        return fit(inputs, problem.input_shape, spec["dtype"], data)
    return inputs
