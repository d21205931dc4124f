"""A child begins by computing what its parent computes, in inference and in training mode."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.blocks.convolution import convolution, downsampling_convolution, separable_convolution
from msearch_core.blocks.convolution1d import conv1d, residual_conv1d, separable_conv1d
from msearch_core.blocks.dense import dense
from msearch_core.blocks.flatten import flatten, global_average_pool
from msearch_core.blocks.pooling import max_pool
from msearch_core.blocks.residual import residual_convolution
from msearch_core.blocks.residual_dense import residual_dense
from msearch_core.blocks.summary import last_state
from msearch_core.data.problem import Problem, Target, fitted_space
from msearch_core.loading import load_space
from msearch_core.space import IMAGE, SEQUENCE, Choice, SearchSpace
from msearch_core.training import checkpoints
from msearch_core.training.build import build_model, parts
from msearch_core.training.morphism import morph
from msearch_core.training.places import find_places

TARGET = Target("y", "classification", ("a", "b", "c"))
TABLE = Problem("vector", (7,), {"kind": "table"}, (TARGET,))
PICTURES = Problem("image", (8, 8, 2), {"kind": "image", "mean": [0.1, -0.2], "variance": [1.5, 0.5]}, (TARGET,))
NOTHING = {"optimizer": Choice(("adam",))}
TABULAR = SearchSpace(
    name="tabular",
    blocks=(
        *dense.variants(units=(6, 12), activation=("relu", "swish"), batch_norm=(False, True)),
        *residual_dense.variants(units=(5, 9)),
    ),
    hyperparameters=NOTHING,
    max_depth=4,
)
CONVOLUTIONAL = SearchSpace(
    name="convolutional",
    input=IMAGE,
    blocks=(
        *convolution.variants(filters=(4, 8), kernel=(3, 5)),
        *downsampling_convolution.variants(factor=(2,), kernel=(3,), stride=(2,)),
        *separable_convolution.variants(filters=(4, 8), kernel=(3,)),
        *residual_convolution.variants(filters=(4, 8), kernel=(3,)),
        max_pool(stride=2),
        flatten(),
        *global_average_pool.variants(filters=(8, 16)),
        *dense.variants(units=(8,), activation=("relu",), batch_norm=(False,)),
    ),
    hyperparameters=NOTHING,
    max_depth=6,
)
TEMPORAL = SearchSpace(
    name="temporal",
    input=SEQUENCE,
    blocks=(
        *conv1d.variants(filters=(4,), kernel=(1, 2, 3, 4, 5), dilation=(1,), stride=(1, 2), causal=(False, True)),
        *conv1d.variants(filters=(4,), kernel=(2, 3, 4, 5), dilation=(2,), stride=(1,), causal=(False, True)),
        *separable_conv1d.variants(filters=(4,), kernel=(2, 3, 4, 5), stride=(1, 2), causal=(False, True)),
        *residual_conv1d.variants(filters=(4, 8), kernel=(2, 3)),
        last_state(),
    ),
    hyperparameters=NOTHING,
    max_depth=4,
)
CLIPS = Problem("sequence", (12, 8), {"kind": "audio"}, (TARGET,))
SPACES = {
    "vector": (TABULAR, TABLE),
    "image": (CONVOLUTIONAL, PICTURES),
    "tabular_full": (load_space("tabular_full"), TABLE),
    "image_full": (load_space("image_full"), PICTURES),
    "sequence": (load_space("sequence"), CLIPS),
    "audio": (load_space("audio"), CLIPS),
    "temporal": (TEMPORAL, CLIPS),
}
RELU, WIDE, NORMED = (
    "dense(units=6,activation=relu,batch_norm=False)",
    "dense(units=12,activation=relu,batch_norm=False)",
    "dense(units=6,activation=relu,batch_norm=True)",
)
SMALL, LARGE, CONVOLVED = (
    "convolution(filters=4,kernel=3)",
    "convolution(filters=4,kernel=5)",
    "convolution(filters=8,kernel=3)",
)
POOL, FLATTEN, RESIDUAL = "max_pool(stride=2)", "flatten()", "residual_convolution(filters=4,kernel=3)"
MEAN, WIDE_MEAN = "global_average_pool(filters=8)", "global_average_pool(filters=16)"
SEPARABLE, WIDE_SEPARABLE = "separable_convolution(filters=4,kernel=3)", "separable_convolution(filters=8,kernel=3)"
ONCE, DUAL = "convolution(filters=16,kernel=3)", "dual_residual_convolution(filters=16,kernel=3)"
POOLED = "global_average_pool(filters=64)"


def conv(kernel: int, dilation: int = 1, stride: int = 1, *, causal: bool = False) -> str:
    return f"conv1d(filters=4,kernel={kernel},dilation={dilation},stride={stride},causal={causal})"


LAST = "last_state()"
DOWN = "downsampling_convolution(factor=2,kernel=3,stride=2)"


def trained(problem: Problem, space: SearchSpace, architecture: Sequence[str], seed: int) -> Any:
    """A model whose weights and statistics are like those of a trained one: none zero, none equal."""
    keras.utils.set_random_seed(seed)
    model, rng = build_model(problem, space, architecture, {}), np.random.default_rng(seed)
    for variable in model.weights:
        value = variable.value.numpy() + rng.normal(size=variable.shape).astype(np.float32) * 0.3
        variable.assign(np.abs(value) + 0.1 if "variance" in variable.path or "gamma" in variable.path else value)
    return model


def child_of(problem: Problem, space: SearchSpace, child: Sequence[str], parent: Sequence[str], seed: int = 0) -> Any:
    """Parent, child, whether the child claims to compute the same, and the examples that it was calibrated on."""
    space = fitted_space(space, problem)
    rng = np.random.default_rng(seed)
    examples = rng.normal(size=(64, *problem.input_shape)).astype(np.float32)
    if problem.input == SEQUENCE:
        for example in examples:
            example[rng.integers(6, len(example) + 1) :] = np.nan
    first = trained(problem, space, parent, seed)
    keras.utils.set_random_seed(seed + 1)
    second = build_model(problem, space, child, {})
    weights = checkpoints.weights_of(first)
    places = find_places(space, parts(space, child), parts(space, parent), weights)
    provenance, exact = morph(second, places, examples, np.random.default_rng(seed))
    return first, second, provenance, exact, examples


def assert_same(first: Any, second: Any, examples: np.ndarray) -> None:
    for training in (False, True):
        expected, found = (np.asarray(model(examples, training=training)["y"]) for model in (first, second))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("kind", "parent", "child"),
    [
        ("vector", (RELU,), (RELU, RELU)),
        ("vector", (RELU, RELU), (RELU, WIDE, RELU)),
        ("vector", (RELU, NORMED), (RELU, NORMED, NORMED)),
        ("vector", (RELU, RELU), (WIDE, RELU)),
        ("vector", (RELU,), (RELU, "residual_dense(units=5)")),
        ("vector", (RELU, "residual_dense(units=5)"), (WIDE, "residual_dense(units=5)")),
        ("vector", (RELU, "residual_dense(units=5)"), (RELU, "residual_dense(units=9)")),
        ("vector", ("residual_dense(units=5)",), ("residual_dense(units=5)", "residual_dense(units=9)")),
        ("image", (SMALL, FLATTEN), (SMALL, SMALL, FLATTEN)),
        ("image", (SMALL, FLATTEN), (SMALL, CONVOLVED, FLATTEN)),
        ("image", (SMALL, FLATTEN), (LARGE, FLATTEN)),
        ("image", (SMALL, POOL, FLATTEN), (CONVOLVED, POOL, FLATTEN)),
        ("image", (SMALL, POOL, FLATTEN), (SMALL, POOL, RESIDUAL, FLATTEN)),
        ("image", (SMALL, RESIDUAL, FLATTEN), (CONVOLVED, RESIDUAL, FLATTEN)),
        ("image", (SMALL, RESIDUAL, MEAN), (SMALL, RESIDUAL, WIDE_MEAN)),
        ("image", (SMALL, SEPARABLE, FLATTEN), (CONVOLVED, WIDE_SEPARABLE, FLATTEN)),
        ("image", (SMALL, DOWN, FLATTEN), (CONVOLVED, DOWN, FLATTEN)),
        ("image_full", (ONCE, POOLED), (ONCE, DUAL, POOLED)),
        ("temporal", (conv(3), LAST), (conv(3), conv(2), LAST)),
        ("temporal", (conv(3), LAST), (conv(3), conv(4), LAST)),
        ("temporal", (conv(2), LAST), (conv(3), LAST)),
        ("temporal", (conv(3, causal=True), LAST), (conv(5, causal=True), LAST)),
        ("temporal", (conv(2, 2, causal=True), LAST), (conv(3, 2, causal=True), LAST)),
        ("temporal", (conv(1, stride=2), LAST), (conv(3, stride=2), LAST)),
        ("temporal", (conv(3, stride=2), LAST), (conv(5, stride=2), LAST)),
        ("temporal", (conv(3, 2), LAST), (conv(5, 2), LAST)),
    ],
)  # fmt: skip
def test_deeper_wider_and_larger_children_begin_as_their_parents(kind: str, parent: Any, child: Any) -> None:
    space, problem = SPACES[kind]
    first, second, provenance, exact, examples = child_of(problem, space, child, parent)
    assert exact
    assert set(provenance.values()) <= {"copied", "morphed", "fresh"}
    assert_same(first, second, examples)


@pytest.mark.parametrize("kind", SPACES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_claims_to_be_exact_is(kind: str, seed: int) -> None:
    """Any mutation of any architecture: a child that says so computes what its parent computes."""
    space, problem = SPACES[kind]
    space, rng = fitted_space(space, problem), np.random.default_rng(seed)
    parent = space.random_architecture(rng)
    position = int(rng.integers(len(parent)))
    children = space.insertions(parent, position) if rng.random() < 0.5 else space.replacements(parent, position)
    if not children:
        return
    child = children[int(rng.integers(len(children)))]
    first, second, _, exact, examples = child_of(problem, space, child, parent, seed)
    if exact:
        assert_same(first, second, examples)
    for variable in second.weights:
        assert np.isfinite(variable.value.numpy()).all()
