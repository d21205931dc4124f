"""Several trained models as one Keras model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras

from msearch_core.data.problem import Problem, Target
from msearch_core.space import SearchSpace
from msearch_core.training import checkpoints
from msearch_core.training.build import build_model
from msearch_core.training.spec import Member

SMALLEST = 1e-7
"""Probabilities are kept so far from zero, so that they have logits."""


def load_members(problem: Problem, space: SearchSpace, members: Sequence[Member]) -> Any:
    """A trained model, or several as one, for use only: without what acts in training alone.

    Raises:
        UnreadableError: a member's weights are gone or damaged.
    """
    models = []
    for member in members:
        # Some of Keras' augmentations act whenever they are not told otherwise.
        models.append(build_model(problem, space, member.architecture, {}))
        try:
            checkpoints.assign_weights(models[-1], checkpoints.load(Path(member.weights)))
        except (ValueError, KeyError) as error:
            raise checkpoints.UnreadableError(f"the weights of {Path(member.weights).stem}: {error}") from error
    return build_ensemble(problem, models, [member.share for member in members], members[0].adds)


def build_ensemble(
    problem: Problem, models: Sequence[Any], weights: Sequence[float], adds: Literal["outputs", "logits"] = "outputs"
) -> Any:
    """One model that says the weighted mean, or sum, of what several say.

    Of members that were chosen, probabilities and numbers are averaged, since that is what they were chosen by; the
    mean is turned back into logits, so that an ensemble stands wherever a single model does. Members that were trained
    one beside the other add up their logits, as they did in training.

    Args:
        problem: the targets.
        models: as ``build_model`` makes them, on the same encoded input. Their weights are shared, not copied, and are
            frozen here.
        weights: of the models; of outputs they sum to one.
        adds: what of the models is added up.

    Returns:
        A ``keras.Model`` with the input and the outputs of ``build_model``'s. A single model is returned as it is.
    """
    if len(models) == 1:
        return models[0]
    inputs = keras.Input(problem.input_shape, dtype="float32", name="encoded")
    said = []
    for number, model in enumerate(models):
        model.name, model.trainable = f"member{number}", False
        said.append(model(inputs))
    combine = _mean if adds == "outputs" else add_up
    outputs = {
        target.name: combine([each[target.name] for each in said], weights, target) for target in problem.targets
    }
    return keras.Model(inputs, outputs, name="ensemble")


def add_up(logits: Sequence[Any], weights: Sequence[Any], target: Target) -> Any:
    """The weighted sum of logits; numbers are added up as deviations from the target's mean.

    Args:
        logits: as ``build_model``'s models say them, tensors of Keras or TensorFlow.
        weights: numbers, or scalar tensors.
        target: what they are of.
    """
    total = sum(weight * (each - target.mean) for weight, each in zip(weights, logits, strict=True))
    return total + target.mean


def _mean(outputs: Sequence[Any], weights: Sequence[float], target: Target) -> Any:
    activation = {"classification": keras.ops.softmax, "multilabel": keras.ops.sigmoid}.get(target.task)
    values = outputs if activation is None else [activation(each) for each in outputs]
    mean = sum(weight * each for weight, each in zip(weights, values, strict=True))
    if target.task == "regression":
        return mean
    likely = keras.ops.log(keras.ops.maximum(mean, SMALLEST))
    if target.task == "classification":
        return likely
    return likely - keras.ops.log(keras.ops.maximum(1.0 - mean, SMALLEST))
