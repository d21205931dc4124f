"""The models that are exported: raw input in, labels and probabilities out. Built-in Keras layers only."""

from __future__ import annotations

from typing import Any

import keras

from msearch_core.data.problem import Problem, Target
from msearch_core.exporting.about import prefixes
from msearch_core.exporting.bundle.encode import LIKELY
from msearch_core.training.numeric_inputs import numeric_inputs
from msearch_core.training.preprocessing import raw_inputs


def raw_model(problem: Problem, tower: Any) -> Any:
    """A model of what people have: texts, dates, missing values, images, sounds, sequences.

    Args:
        problem: the preprocessing and the targets.
        tower: as `msearch_core.training.build.build_model` makes it, or an ensemble.

    Returns:
        A ``keras.Model`` from a dict of raw inputs by name to a dict of outputs. Of each target, its name before them
        where there are several: ``label``, ``string (batch,)``, and ``probabilities``, ``float32 (batch, labels)``;
        ``labels``, ``string (batch, labels)`` with an empty text for each label that is unlikely, and
        ``probabilities``; or ``value``, ``float32 (batch,)``. All with ``time`` after ``batch`` where each step has a
        target.
    """
    inputs, encoded = raw_inputs(problem, date_texts=True)
    named = inputs if isinstance(inputs, dict) else {inputs.name: inputs}
    return keras.Model(named, _outputs(problem, tower(encoded), texts=True), name="model")


def numeric_model(problem: Problem, tower: Any) -> Any:
    """A model of numbers, for formats that have no texts; see `raw_model`.

    Returns:
        A ``keras.Model`` from a dict of inputs, as `numeric_inputs` makes them, to a dict of outputs: ``class``,
        ``int32 (batch,)``, in place of ``label``, and no ``labels``.
    """
    inputs, encoded = numeric_inputs(problem)
    return keras.Model(inputs, _outputs(problem, tower(encoded), texts=False), name="model")


def own_layers(model: Any) -> dict[str, Any]:
    """The classes of layers that Keras does not have, by name: a ``.keras`` file does not load without them."""
    found: dict[str, Any] = {}
    for layer in model._flatten_layers():
        kind = type(layer)
        if kind.__module__.partition(".")[0] != "keras":
            found[kind.__name__] = kind
    return found


def _outputs(problem: Problem, answers: Any, *, texts: bool) -> dict[str, Any]:
    outputs: dict[str, Any] = {}
    for prefix, target in zip(prefixes(problem.targets), problem.targets, strict=True):
        said = answers[target.name]
        if target.task == "regression":
            outputs[f"{prefix}value"] = keras.ops.squeeze(said, axis=-1)
            continue
        activation = keras.layers.Softmax if target.task == "classification" else _Sigmoid
        likely = activation(name=f"{prefix}probabilities")(said)
        outputs[f"{prefix}probabilities"] = likely
        if target.task == "classification":
            # Not argmax, for which Keras looks at bits, in an operation that TFLite does not have.
            number = keras.ops.squeeze(keras.ops.top_k(likely, 1)[1], axis=-1)
            if texts:
                outputs[f"{prefix}label"] = _texts(target, None, f"{prefix}label")(number)
            else:
                outputs[f"{prefix}class"] = keras.ops.cast(number, "int32")
        elif texts:
            numbers = keras.ops.arange(1, 1 + target.outputs, dtype="int32")
            chosen = keras.ops.where(likely >= LIKELY, numbers, 0)
            outputs[f"{prefix}labels"] = _texts(target, "", f"{prefix}labels")(chosen)
    return outputs


def _Sigmoid(name: str) -> Any:  # noqa: N802 (stands for a layer)
    return keras.layers.Activation("sigmoid", name=name)


def _texts(target: Target, mask: str | None, name: str) -> Any:
    """The layer from numbers to labels."""
    never = "[UNK]"
    while never in target.labels:
        never += "_"
    return keras.layers.StringLookup(
        vocabulary=list(target.labels), mask_token=mask, num_oov_indices=0, oov_token=never, invert=True, name=name
    )
