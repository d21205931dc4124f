from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from msearch_core.data.prepared import PreparedData, open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.errors import UserError
from msearch_core.objectives import find_objective
from msearch_core.training.build import build_model, count_flops, count_parameters, parts
from msearch_core.training.checkpoints import assign_weights, load, load_state, save, weights_of
from msearch_core.training.feed import batch_indices
from msearch_core.training.inherit import Inheritance, inherit
from msearch_core.training.steps import make_optimizer
from tests import training_data, training_spaces
from tests.training_runs import HYPERPARAMETERS, build, of, trained
from tests.training_spaces import IMAGES, TABLES

DENSE = (training_spaces.DENSE, training_spaces.NORM)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> PreparedData:
    return open_prepared(training_data.digits(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def line() -> PreparedData:
    return training_data.linear()


def test_the_loop_computes_what_keras_computes(digits: PreparedData) -> None:
    steps = 30
    model = build(digits, TABLES, DENSE)
    ended, progress = trained(digits, model, steps, {**HYPERPARAMETERS, "l2": 0.0})

    reference = build(digits, TABLES, DENSE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    reference = keras.Model(reference.inputs[0], of(digits, reference.output))
    reference.compile(make_optimizer({**HYPERPARAMETERS, "l2": 0.0}, steps), loss)
    train, validation = digits.splits["train"], digits.splits["validation"]
    for batch in batch_indices(0, len(train), 32, 0, steps):
        reference.train_on_batch(train.x[batch].astype(np.float32), of(digits, train.y)[batch])
    expected = keras.ops.softmax(reference.predict(validation.x.astype(np.float32), verbose=0))

    assert ended.ending == "completed"
    assert len(progress.curve) == 10
    assert ended.outputs is not None
    if progress.curve[-1] == max(progress.curve):
        np.testing.assert_allclose(of(digits, ended.outputs), expected, atol=2e-4)
    assert np.mean(np.argmax(expected, axis=-1) == of(digits, validation.y)) == pytest.approx(
        progress.curve[-1], abs=0.006
    )


def test_the_best_evaluation_is_what_remains(digits: PreparedData) -> None:
    model = build(digits, TABLES, DENSE)
    ended, progress = trained(digits, model, 60, {"learning_rate": 0.05})
    assert ended.outputs is not None
    assert find_objective(digits.problem).score(digits.splits["validation"].y, ended.outputs) == max(progress.curve)


def off_statistics(model, x: np.ndarray) -> float:
    """How far moving variances are from those of the data, as the greatest ratio of the two."""
    ratios = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            features = keras.Model(model.inputs[0], layer.input)(x.astype(np.float32)).numpy()
            spread = features.reshape(-1, features.shape[-1]).var(axis=0) + 1e-2
            ratio = (layer.moving_variance.value.numpy() + 1e-2) / spread
            ratios.append(float(np.median(np.maximum(ratio, 1 / ratio))))
    return max(ratios)


def test_evaluation_tracks_batch_statistics_in_a_short_trial(digits: PreparedData) -> None:
    norm = "dense(units=128,activation=relu,batch_norm=True)"
    architecture = ("convolution(filters=16,kernel=3)", "convolution(filters=16,kernel=5)", "flatten()", norm, norm)
    x, y = digits.splits["validation"].x, of(digits, digits.splits["validation"].y)

    model = build(digits, IMAGES, architecture)
    ended, _ = trained(digits, model, 200)
    assert ended.outputs is not None
    by_batch = of(digits, model(x.astype(np.float32), training=True)).numpy().argmax(axis=-1)
    assert np.mean(of(digits, ended.outputs).argmax(axis=-1) == y) > max(0.93, np.mean(by_batch == y) - 0.02)
    assert off_statistics(model, digits.splits["train"].x) < 1.5

    # Slow statistics are the trap, and the test must be able to see it.
    trap = build(digits, IMAGES, architecture)
    for layer in trap.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.999
    trained(digits, trap, 200)
    assert off_statistics(trap, digits.splits["train"].x) > 2


def test_l2_shrinks_kernels(digits: PreparedData) -> None:
    sizes = []
    for l2 in (0.0, 0.1):
        model = build(digits, TABLES, DENSE)
        trained(digits, model, 50, {"l2": l2})
        sizes.append(float(np.square(model.get_layer("head").kernel.value.numpy()).sum()))
    assert sizes[1] < sizes[0]


def test_a_regression_answers_in_the_targets_own_unit(line: PreparedData) -> None:
    ended, progress = trained(line, build(line, TABLES, DENSE[:1]), 400, {"learning_rate": 1e-2})
    assert ended.outputs is not None
    outputs, target = ended.outputs["y"], line.problem.targets[0]
    assert outputs.shape == line.splits["validation"].y["y"].shape
    assert min(progress.curve) < 0.15 * target.scale
    assert abs(outputs.mean() - line.splits["validation"].y["y"].mean()) < 0.15 * target.scale


def test_a_loss_that_is_not_finite_ends_as_diverged(digits: PreparedData) -> None:
    ended, _ = trained(digits, build(digits, TABLES, DENSE[:1]), 50, {"optimizer": "sgd", "learning_rate": 1e30})
    assert (ended.ending, ended.outputs) == ("diverged", None)


def test_the_deadline_stops_and_evaluates(digits: PreparedData) -> None:
    ended, progress = trained(digits, build(digits, TABLES, DENSE), 10_000_000, deadline=0.0)
    assert (ended.ending, ended.error) == ("stopped", "time limit")
    assert len(progress.curve) == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_learns(digits: PreparedData, optimizer: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 3e-3
    _, progress = trained(digits, build(digits, TABLES, DENSE), 100, {"optimizer": optimizer, "learning_rate": rate})
    assert max(progress.curve) > 0.9


def test_built_models(digits: PreparedData, line: PreparedData) -> None:
    model = build(digits, IMAGES, ("convolution(filters=16,kernel=3)", "flatten()"), dropout=0.3)
    names = [layer.name for layer in model.layers]
    assert names[-1] == "head"
    assert "b1_flatten_dropout" in names
    assert {name.partition("_")[0] for name in names[2:-1]} == {"b0", "b1"}
    assert count_parameters(model) == 9 * 16 + 2 * 16 + 64 * 16 * 10 + 10
    assert count_flops(model) == 2 * (9 * 16 * 64 + 64 * 16 * 10)
    with pytest.raises(UserError, match="--space tabular"):
        build(line, IMAGES, ("flatten()",))


def test_checkpoints_come_back_whole(tmp_path: Path, digits: PreparedData) -> None:
    model = build(digits, TABLES, DENSE)
    weights = weights_of(model)
    save(tmp_path / "w", weights, {"step": 3})
    again = build(digits, TABLES, DENSE)
    again.get_layer("head").kernel.assign(np.zeros((64, 10)))
    assign_weights(again, load(tmp_path / "w"))
    assert all(np.array_equal(weights[name], value) for name, value in weights_of(again).items())
    assert load_state(tmp_path / "w") == {"step": 3}
    assert [each.name for each in tmp_path.iterdir()] == ["w"]


def test_inheritance(digits: PreparedData) -> None:
    wide = "dense(units=128,activation=relu,batch_norm=False)"
    other = "residual_dense(units=32)"
    parent = build(digits, TABLES, DENSE)
    parent.get_layer("b1_dense_batch_norm").moving_mean.assign(np.full(64, 7.0))
    weights = weights_of(parent)
    examples = np.asarray(digits.splits["train"].x[:64], np.float32)

    def child_of(child: tuple[str, ...]) -> tuple[Any, Inheritance]:
        keras.utils.set_random_seed(1)
        model = build_model(digits.problem, TABLES, child, {})
        return model, inherit(
            model, fitted_space(TABLES, digits.problem), {"": child}, {"": DENSE}, weights, examples, 0
        )

    same, found = child_of(DENSE)
    assert found.fraction == 1.0
    assert found.exact
    assert set(found.layers.values()) == {"copied"}
    assert all(np.array_equal(weights[name], value) for name, value in weights_of(same).items())

    deeper, found = child_of((DENSE[0], "residual_dense(units=32)", DENSE[1]))
    assert found.exact
    assert {layer for layer, how in found.layers.items() if how == "fresh"} == {
        "b1_residual_dense_hidden",
        "b1_residual_dense_project",
    }
    assert np.array_equal(deeper.get_layer("b2_dense_batch_norm").moving_mean.value.numpy(), np.full(64, 7.0))
    assert 0 < found.fraction < 1

    wider, found = child_of((wide, DENSE[1]))
    assert found.exact
    assert found.layers["b0_dense_dense"] == found.layers["b1_dense_dense"] == "morphed"
    kernel = wider.get_layer("b0_dense_dense").kernel.value.numpy()
    assert np.array_equal(kernel[:, :64], kernel[:, 64:])

    _, found = child_of((other, DENSE[1]))
    assert not found.exact
    assert {layer for layer, how in found.layers.items() if how == "copied"} >= {"b1_dense_batch_norm", "head"}
    assert {found.layers["b0_residual_dense_hidden"], found.layers["b1_dense_dense"]} == {"fresh"}


def test_heads_inherit_from_heads() -> None:
    data = training_data.two_tasks()
    dense = training_spaces.DENSE
    space = fitted_space(TABLES, data.problem)
    parent = (dense, f"side/of it/{dense}")
    child = (dense, dense, f"side/of it/{dense}", f"Größe/{dense}")
    assert parts(space, child) == {"": (dense, dense), "h0_": (dense,), "h1_": (dense,)}
    weights = weights_of(build(data, TABLES, parent))
    model = build(data, TABLES, child)
    examples = np.asarray(data.splits["train"].x[:64], np.float32)
    found = inherit(model, space, parts(space, child), parts(space, parent), weights, examples, 0)
    assert found.exact
    assert found.layers == {
        "b0_dense_dense": "copied",
        "b1_dense_dense": "morphed",
        "h0_b0_dense_dense": "copied",
        "h1_b0_dense_dense": "morphed",
        "head0": "copied",
        "head1": "copied",
    }
