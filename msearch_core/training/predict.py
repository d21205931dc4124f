"""Predictions of a finished search's winner from raw input."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.inputs import read_inputs
from msearch_core.data.prepared import problem_from_json
from msearch_core.data.preprocessing import to_model_inputs
from msearch_core.data.problem import Problem, Target
from msearch_core.data.sequences import Sequences
from msearch_core.data.targets import SEPARATOR
from msearch_core.errors import UserError
from msearch_core.training.quiet import silenced
from msearch_core.training.spec import BUNDLE, MODEL

LIKELY = 0.5
"""The probability from which one of several labels is predicted."""


def predict(bundle: str, data: str, batch_size: int = 1024) -> pd.DataFrame:
    """Predict from raw input with a saved winner.

    Args:
        bundle: the folder that holds ``model.keras`` and ``bundle.json``; a local path or an fsspec URL.
        data: as for ``msearch_core.data.inputs.read_inputs``.
        batch_size: examples at a time.

    Returns:
        One row an example, as `tabulate` describes it.

    Raises:
        UserError: there is no such model, or the data does not fit it.
    """
    import fsspec

    filesystem, root = fsspec.url_to_fs(bundle)
    with tempfile.TemporaryDirectory() as folder:
        try:
            problem = problem_from_json(json.loads(filesystem.cat_file(f"{root}/{BUNDLE}"))["problem"])
            filesystem.get_file(f"{root}/{MODEL}", str(Path(folder) / MODEL))
        except FileNotFoundError:
            raise UserError(
                f"there is no model in {bundle!r}; expected a folder with {MODEL} and {BUNDLE}, as a search leaves it"
            ) from None
        inputs = read_inputs(data, problem)
        model_inputs = to_model_inputs(problem, inputs)
        with silenced(2):
            import keras

            model = keras.models.load_model(Path(folder) / MODEL, compile=False, safe_mode=True)
    # Keras' own batching refuses arrays of text.
    batches = [model.predict_on_batch(batch) for batch in _batches(model_inputs, batch_size)]
    if len(problem.targets) == 1:
        outputs = {problem.targets[0].name: np.concatenate(batches)}
    else:
        outputs = {each.name: np.concatenate([batch[each.name] for batch in batches]) for each in problem.targets}
    lengths = inputs.lengths if isinstance(inputs, Sequences) else None
    return tabulate(problem, outputs, lengths)


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


def _batches(inputs: dict[str, np.ndarray] | np.ndarray, size: int) -> Iterator[Any]:
    if isinstance(inputs, np.ndarray):
        yield from (inputs[start : start + size] for start in range(0, len(inputs), size))
    else:
        columns = (_batches(values, size) for values in inputs.values())
        yield from (dict(zip(inputs, batch, strict=True)) for batch in zip(*columns, strict=True))
