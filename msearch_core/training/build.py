"""From an architecture to a Keras model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msearch_core.data.problem import Problem, fitted_space
from msearch_core.space import IMAGE, VECTOR, SearchSpace, Value

HEAD = "head"


def block_prefix(position: int, family: str) -> str:
    """What the names of a block's layers begin with."""
    return f"b{position}_{family}"


def build_model(
    problem: Problem, space: SearchSpace, architecture: Sequence[str], hyperparameters: Mapping[str, Value]
) -> Any:
    """Build a model from an encoded example to logits, or to one number in the target's own unit.

    The layers of block ``i`` have names that begin with ``b<i>_<family>``; the last dense layer is ``head``.
    Dropout, where a rate is given, follows each block that returns a vector.

    Args:
        problem: gives the input ``float32 (batch, *input_shape)``, the number of outputs and how images are
            normalised.
        space: where the blocks' names are looked up.
        architecture: block names from input to output.
        hyperparameters: ``dropout`` is used.

    Returns:
        A ``keras.Model`` with output ``float32 (batch, outputs)``.

    Raises:
        UserError: the space needs images and the data is a table.
        KeyError: a block is not in the space.
    """
    import keras

    space = fitted_space(space, problem)
    inputs = keras.Input(problem.input_shape, dtype="float32", name="encoded")
    outputs = inputs
    if problem.input == IMAGE:
        mean, variance = problem.preprocessing["mean"], problem.preprocessing["variance"]
        outputs = keras.layers.Normalization(mean=mean, variance=variance, name="normalize")(outputs)
        if space.input == VECTOR:
            outputs = keras.layers.Flatten(name="flatten")(outputs)
    rate = float(hyperparameters.get("dropout", 0.0))
    for position, block in enumerate(space.resolve(architecture)):
        prefix = block_prefix(position, block.family.name)
        outputs = block.build(outputs, prefix)
        if rate and block.family.gives == VECTOR:
            outputs = keras.layers.Dropout(rate, name=f"{prefix}_dropout")(outputs)
    outputs = keras.layers.Dense(problem.outputs, name=HEAD)(outputs)
    if problem.task == "regression":
        outputs = keras.layers.Rescaling(problem.target_scale, problem.target_mean, name="unit")(outputs)
    return keras.Model(inputs, outputs, name="tower")


def count_parameters(model: Any) -> int:
    """Trainable parameters of a model."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def count_flops(model: Any) -> int:
    """Multiplications and additions in one example's forward pass, kernels only: two for each use of each weight."""
    return sum(
        2 * math.prod(variable.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        for variable in layer.trainable_variables
        if is_kernel(variable)
    )


def is_kernel(variable: Any) -> bool:
    """Whether a variable multiplies features, unlike a bias or a batch-norm scale."""
    return str(variable.name).endswith("kernel")
