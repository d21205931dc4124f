"""From an architecture to a Keras model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from msearch_core.blocks.layers import filled, like, mean_of
from msearch_core.blocks.masking import Masked, values_of
from msearch_core.data.problem import Problem, Target, fitted_space
from msearch_core.space import IMAGE, SEQUENCE, VECTOR, Architecture, Block, SearchSpace, Value
from msearch_core.training.augment import augmented

HEAD = "head"


def block_prefix(position: int, family: str, part: str = "") -> str:
    """What the names of a block's layers begin with; ``part`` is empty for the tower and ``h<i>_`` for a head."""
    return f"{part}b{position}_{family}"


def parts(space: SearchSpace, architecture: Sequence[str]) -> dict[str, Architecture]:
    """The blocks that are really built, by the part of the model that they belong to (`block_prefix`).

    Args:
        space: fitted to the problem, so that it knows the targets.
        architecture: as it stands in a trial's row.
    """
    tower = {"": tuple(space.expand(space.tower(architecture)))}
    return tower | {f"h{number}_": space.head(architecture, name) for number, name in enumerate(space.heads)}


def build_model(
    problem: Problem, space: SearchSpace, architecture: Sequence[str], hyperparameters: Mapping[str, Value]
) -> Any:
    """Build a model from an encoded example to logits, or to numbers in the targets' own units.

    The layers of the tower's block ``i`` have names that begin with ``b<i>_<family>``. The last dense layer is
    ``head``; of several targets, ``head<i>`` in their order, and the blocks of their own are ``h<i>_b<j>_<family>``.
    Dropout, where a rate is given, follows each block that returns a vector or a sequence: images are left to batch
    normalisation.

    Args:
        problem: gives the input ``float32 (batch, *input_shape)``, the targets and how images are normalised.
        space: where the blocks' names are looked up.
        architecture: block names from input to output, then those of the heads.
        hyperparameters: ``dropout`` and what `augmented` takes.

    Returns:
        A ``keras.Model`` with a dict of outputs by target name: ``float32 (batch, outputs)``, or
        ``(batch, time, outputs)`` where each step has a target.

    Raises:
        UserError: the space needs another kind of data or gives another kind of target.
        KeyError: a block is not in the space.
    """
    space = fitted_space(space, problem)
    blocks = {part: space.resolve(names) for part, names in parts(space, architecture).items()}
    rate = float(hyperparameters.get("dropout", 0.0))
    inputs = keras.Input(problem.input_shape, dtype="float32", name="encoded")
    features = _as_kind(augmented(_standardised(inputs, problem), problem, hyperparameters), space.input)
    features = _stacked(features, blocks[""], "", rate)
    several = len(problem.targets) > 1
    outputs = {}
    for number, target in enumerate(problem.targets):
        own = _stacked(features, blocks.get(f"h{number}_", []), f"h{number}_", rate)
        if isinstance(own, Masked):
            # Besides targets with a value a step there may be some with one an example.
            own = own.values if target.per_step else mean_of(own, f"h{number}_mean")
        outputs[target.name] = _head(own, target, str(number) if several else "")
    return keras.Model(inputs, outputs, name="tower")


def _standardised(inputs: Any, problem: Problem) -> Any:
    """Images with the mean and variance of train taken out; sequences as ``Masked``."""
    if problem.input == IMAGE:
        mean, variance = problem.preprocessing["mean"], problem.preprocessing["variance"]
        return keras.layers.Normalization(mean=mean, variance=variance, name="normalize")(inputs)
    if problem.input == SEQUENCE:
        # A step after the end is NaN throughout, and no other step holds a NaN.
        mask = keras.ops.logical_not(keras.ops.isnan(inputs[:, :, 0]))
        return Masked(filled(inputs, mask), mask)
    return inputs


def _as_kind(inputs: Any, kind: str) -> Any:
    """What `fitted_space` promised the space: a sequence as a picture of one channel, anything as a vector."""
    values = values_of(inputs)
    if kind == VECTOR and len(values.shape) > 2:
        return keras.layers.Flatten(name="flatten")(values)
    if kind == IMAGE and isinstance(inputs, Masked):
        return Masked(keras.layers.Reshape((*values.shape[1:], 1), name="picture")(values), inputs.mask)
    return inputs


def _stacked(features: Any, blocks: Sequence[Block], part: str, rate: float) -> Any:
    for position, block in enumerate(blocks):
        prefix = block_prefix(position, block.family.name, part)
        features = block.build(features, prefix)
        if rate and block.family.gives != IMAGE:
            features = like(features, keras.layers.Dropout(rate, name=f"{prefix}_dropout")(values_of(features)))
    return features


def _head(features: Any, target: Target, suffix: str) -> Any:
    # In float32 also where the tower computes in less.
    outputs = keras.layers.Dense(target.outputs, dtype="float32", name=f"{HEAD}{suffix}")(features)
    if target.task == "regression":
        scale, mean = target.scale, target.mean
        outputs = keras.layers.Rescaling(scale, mean, dtype="float32", name=f"unit{suffix}")(outputs)
    return outputs


def count_parameters(model: Any) -> int:
    """Trainable parameters of a model."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def count_flops(model: Any) -> int:
    """Multiplications and additions in one example's forward pass, kernels only: two for each use of each weight."""
    return sum(
        2 * math.prod(variable.shape) * math.prod(keras.tree.flatten(layer.output)[0].shape[1:-1])
        for layer in model.layers
        for variable in layer.trainable_variables
        if is_kernel(variable)
    )


def is_kernel(variable: Any) -> bool:
    """Whether a variable multiplies features, unlike a bias or a batch-norm scale."""
    return str(variable.name).endswith("kernel")
