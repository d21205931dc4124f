"""Predictions of a finished search's winner from raw input."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.inputs import read_inputs
from msearch_core.data.prepared import problem_from_json
from msearch_core.data.preprocessing import to_model_inputs
from msearch_core.errors import UserError
from msearch_core.training.quiet import silenced
from msearch_core.training.spec import BUNDLE, MODEL


def predict(bundle: str, data: str, batch_size: int = 1024) -> pd.DataFrame:
    """Predict from raw input with a saved winner.

    Args:
        bundle: the folder that holds ``model.keras`` and ``bundle.json``; a local path or an fsspec URL.
        data: as for ``msearch_core.data.inputs.read_inputs``.
        batch_size: examples at a time.

    Returns:
        One row an example: ``prediction``, a label or a number in the target's own unit, and for a classification
        ``probability_<label>`` for each label.

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
        inputs = to_model_inputs(problem, read_inputs(data, problem))
        with silenced(2):
            import keras

            model = keras.models.load_model(Path(folder) / MODEL, compile=False, safe_mode=True)
    # Keras' own batching refuses arrays of text.
    outputs = np.concatenate([model.predict_on_batch(batch) for batch in _batches(inputs, batch_size)])
    if problem.task == "regression":
        return pd.DataFrame({"prediction": outputs[:, 0]})
    labels = np.asarray(problem.labels, dtype=object)
    probabilities = {f"probability_{label}": outputs[:, number] for number, label in enumerate(problem.labels)}
    return pd.DataFrame({"prediction": labels[outputs.argmax(axis=-1)], **probabilities})


def _batches(inputs: dict[str, np.ndarray] | np.ndarray, size: int) -> Iterator[Any]:
    if isinstance(inputs, np.ndarray):
        yield from (inputs[start : start + size] for start in range(0, len(inputs), size))
    else:
        columns = (_batches(values, size) for values in inputs.values())
        yield from (dict(zip(inputs, batch, strict=True)) for batch in zip(*columns, strict=True))
