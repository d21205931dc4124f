"""Predictions of a finished model from raw input, as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.audio import Clips
from msearch_core.data.blobs import FileBlobs
from msearch_core.data.examples import Inputs
from msearch_core.data.images import Pictures
from msearch_core.data.inputs import read_inputs, strangenesses
from msearch_core.data.problem import Problem, Target
from msearch_core.data.sequences import Sequences
from msearch_core.data.targets import SEPARATOR
from msearch_core.metrics import LIKELY
from msearch_core.training.bundle import read_bundle


def predict(
    bundle: str, data: str, batch_size: int = 1024, tell: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    """Predict from raw input with a saved winner.

    Args:
        bundle: the folder that holds ``model.keras`` and ``bundle.json``; a local path or an fsspec URL.
        data: as for `msearch_core.data.inputs.read_inputs`.
        batch_size: examples at a time.
        tell: is called with a line for each column that holds something which the model has not learned.

    Returns:
        One row an example, as `tabulate` describes it; first the ``file`` that it is from, where it is one.

    Raises:
        UserError: there is no such model, or the data does not fit it.
    """
    model = read_bundle(bundle)
    inputs = read_inputs(data, model.problem)
    for line in strangenesses(inputs, model.problem):
        tell(line)
    lengths = inputs.lengths if isinstance(inputs, Sequences) else None
    table = tabulate(model.problem, model.answers(inputs, batch_size), lengths)
    files = _files(inputs)
    if files:
        table.insert(0, "file", files)
    return table


def tabulate(problem: Problem, outputs: Mapping[str, np.ndarray], lengths: np.ndarray | None = None) -> pd.DataFrame:
    """A model's answers as a table for people.

    Args:
        problem: the targets.
        outputs: by target, ``float32 (n, outputs)`` or ``(n, time, outputs)``: probabilities or numbers.
        lengths: ``int (n,)``, how many steps each example has, if the targets have one value a step. What goes beyond
            the model's steps is not answered.

    Returns:
        One row an example: ``prediction``, a label, labels joined by ``|``, or a number in the target's own unit; and
        ``probability_<label>`` for each label. With several targets each of these begins with ``<target>_``. Where
        each step has a value, these are lists.
    """
    columns: dict[str, Any] = {}
    for target in problem.targets:
        prefix = f"{target.name}_" if len(problem.targets) > 1 else ""
        for name, values in _columns(target, outputs[target.name]).items():
            columns[prefix + name] = _lists(values, lengths) if target.per_step else values
    return pd.DataFrame(columns)


def _columns(target: Target, outputs: np.ndarray) -> dict[str, np.ndarray]:
    if target.task == "regression":
        return {"prediction": outputs[..., 0]}
    labels = np.asarray(target.labels, dtype=object)
    if target.task == "classification":
        prediction = labels[outputs.argmax(axis=-1)]
    else:
        likely = (labels[np.flatnonzero(row >= LIKELY)] for row in outputs)
        prediction = np.array([SEPARATOR.join(each) for each in likely], dtype=object)
    return {
        "prediction": prediction,
        **{f"probability_{label}": outputs[..., number] for number, label in enumerate(target.labels)},
    }


def _lists(values: np.ndarray, lengths: np.ndarray | None) -> list[list[Any]]:
    if lengths is None:
        return [row.tolist() for row in values]
    return [row[:length].tolist() for row, length in zip(values, lengths, strict=True)]


def _files(inputs: Inputs) -> list[str]:
    """The path of each example within the folder, or its name if it was given by itself; none if it is no file."""
    blobs = inputs.blobs if isinstance(inputs, Pictures | Clips) else None
    if not isinstance(blobs, FileBlobs):
        return []
    where = blobs.location
    folder = where.path.rstrip("/") if where.is_folder else where.path.rpartition("/")[0]
    return [path.removeprefix(f"{folder}/") for path in blobs.paths]
