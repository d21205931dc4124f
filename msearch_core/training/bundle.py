"""A finished model as a search leaves it: preprocessing inside, raw input in, answers out."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from msearch_core.data.examples import Inputs
from msearch_core.data.prepared import problem_from_json
from msearch_core.data.preprocessing import to_model_inputs
from msearch_core.data.problem import Problem
from msearch_core.errors import UserError
from msearch_core.loading import CODE_PATH
from msearch_core.training.quiet import silenced
from msearch_core.training.spec import BUNDLE, MODEL
from msearch_core.urls import as_os_errors, open_url


@dataclass(frozen=True)
class Bundle:
    """A finished model, held as the bytes of its files, so that it can be copied and sent to other processes.

    Attributes:
        model: ``model.keras``.
        description: ``bundle.json``.
    """

    model: bytes
    description: bytes

    def __getstate__(self) -> dict[str, bytes]:
        return {"model": self.model, "description": self.description}

    @cached_property
    def problem(self) -> Problem:
        """What the model was trained on."""
        return problem_from_json(json.loads(self.description)["problem"])

    @cached_property
    def network(self) -> Any:
        """The ``keras.Model``; loaded, and TensorFlow with it, when it is first asked for.

        Raises:
            UserError: it has layers that are not Keras' own, and nobody has imported them.
        """
        with tempfile.TemporaryDirectory() as folder, silenced(2):
            import keras

            path = Path(folder) / MODEL
            path.write_bytes(self.model)
            try:
                return keras.models.load_model(path, compile=False, safe_mode=True)
            except TypeError as error:  # Keras has no kind of its own for it
                if not (unknown := re.search(r"Could not locate class '(\w+)'", str(error))):
                    raise
                raise UserError(
                    f"the model has layers of the class {unknown[1]}, which is not Keras' own; predict with the log, "
                    f"in the folder of the search's own code or with that folder in {CODE_PATH}"
                ) from None

    @cached_property
    def _forward(self) -> Any:
        """The network as one graph for batches of any size: Keras' ``predict`` makes a new one for each size that it
        meets, warns when there are many, and refuses arrays of text.
        """  # noqa: D205
        network = self.network  # loads TensorFlow in silence
        import tensorflow as tf

        inputs = {each.name: tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in network.inputs}
        by_name = self.problem.preprocessing["kind"] in ("table", "sequence")
        forward = tf.function(lambda batch: network(batch, training=False))
        return forward.get_concrete_function(inputs if by_name else next(iter(inputs.values())))

    def answers(self, inputs: Inputs, batch_size: int = 1024, *, filled: bool = False) -> dict[str, np.ndarray]:
        """The model's answers to raw inputs.

        Args:
            inputs: ``n`` examples of the kind, and with the columns, that the model was trained on.
            batch_size: examples at a time.
            filled: whether the last batch is filled up, so that all are of one size: then not even the last digit of
                an example's answer depends on how many others are beside it.

        Returns:
            By target ``float32 (n, outputs)`` or ``(n, time, outputs)``: probabilities or numbers.

        Raises:
            UserError: a value is not of the kind that was learned.
        """
        model_inputs = to_model_inputs(self.problem, inputs)
        short = -len(inputs) % batch_size if filled else 0
        batches = [self._answer(batch) for batch in _batches(_filled(model_inputs, short), batch_size)]
        names = [target.name for target in self.problem.targets]
        found = [{names[0]: batch} for batch in batches] if len(names) == 1 else batches
        return {name: np.concatenate([batch[name] for batch in found])[: len(inputs)] for name in names}

    def _answer(self, batch: dict[str, np.ndarray] | np.ndarray) -> Any:
        forward = self._forward
        import tensorflow as tf

        answer = forward(tf.nest.map_structure(tf.convert_to_tensor, batch))
        return tf.nest.map_structure(lambda each: each.numpy(), answer)


def read_bundle(url: str) -> Bundle:
    """Read a finished model.

    Args:
        url: the folder that holds ``model.keras`` and ``bundle.json``; a local path or an fsspec URL.

    Raises:
        UserError: there is none.
        OSError: the storage cannot be reached.
    """
    filesystem, root = open_url(url)
    try:
        with as_os_errors(url):
            return Bundle(filesystem.cat_file(f"{root}/{MODEL}"), filesystem.cat_file(f"{root}/{BUNDLE}"))
    except FileNotFoundError:
        raise UserError(
            f"there is no model in {url!r}; expected a folder with {MODEL} and {BUNDLE}, as a search leaves it"
        ) from None


def _filled(inputs: dict[str, np.ndarray] | np.ndarray, more: int) -> dict[str, np.ndarray] | np.ndarray:
    """The inputs, and the last example as often again."""
    if isinstance(inputs, np.ndarray):
        return np.concatenate([inputs, np.repeat(inputs[-1:], more, axis=0)]) if more else inputs
    return {name: np.concatenate([values, np.repeat(values[-1:], more, axis=0)]) for name, values in inputs.items()}


def _batches(inputs: dict[str, np.ndarray] | np.ndarray, size: int) -> Iterator[Any]:
    if isinstance(inputs, np.ndarray):
        yield from (inputs[start : start + size] for start in range(0, len(inputs), size))
    else:
        columns = (_batches(values, size) for values in inputs.values())
        yield from (dict(zip(inputs, batch, strict=True)) for batch in zip(*columns, strict=True))
