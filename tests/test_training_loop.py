from __future__ import annotations

import contextlib
import math
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.data.prepared import PreparedData, open_prepared
from msearch_core.errors import UserError
from msearch_core.objectives import OBJECTIVES
from msearch_core.training.build import build_model, count_flops, count_parameters
from msearch_core.training.checkpoints import assign_weights, load, load_state, save, weights_of
from msearch_core.training.inherit import inherit
from msearch_core.training.loop import (
    Fit,
    Progress,
    Signals,
    TrainingRun,
    batch_indices,
    fit,
    make_optimizer,
    make_predict,
    make_train_steps,
)
from search_spaces.image import space as images
from search_spaces.tabular import space as tables
from tests import training_data

DENSE = ("dense(units=32,activation=relu,batch_norm=False)", "dense(units=64,activation=relu,batch_norm=True)")
HYPERPARAMETERS = {"optimizer": "adam", "learning_rate": 3e-3, "decay": "cosine", "l2": 1e-4, "clip_norm": 1.0}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> PreparedData:
    return open_prepared(training_data.digits(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def line(tmp_path_factory) -> PreparedData:
    return open_prepared(training_data.line(tmp_path_factory.mktemp("data")))


def trained(
    data: PreparedData, model, steps: int, hyperparameters=HYPERPARAMETERS, deadline=math.inf
) -> tuple[Fit, Progress]:
    optimizer = make_optimizer(hyperparameters, steps)
    train, validation = data.splits["train"], data.splits["validation"]
    run = TrainingRun(
        model=model,
        train_steps=make_train_steps(model, optimizer, data.problem, train, float(hyperparameters.get("l2", 0.0))),
        predict=make_predict(model, data.problem, train.x.dtype),
        train=train,
        validation=validation,
        objective=OBJECTIVES["accuracy" if data.problem.task == "classification" else "rmse"],
        seed=0,
        steps=steps,
        batch_size=32,
        save=lambda: None,
        save_seconds=math.inf,
        deadline=deadline,
        timed=lambda phase: contextlib.nullcontext(),
    )
    progress = Progress()
    ended = fit(run, progress, Signals())
    return ended, progress


def build(data: PreparedData, space, architecture, **hyperparameters):
    keras.utils.set_random_seed(0)
    return build_model(data.problem, space, architecture, hyperparameters)


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 30), st.integers(1, 30), st.integers(0, 9))
def test_batches_are_whole_shuffled_epochs_however_they_are_cut(n: int, size: int, start: int, more: int, seed: int):
    stop = start + more
    whole = batch_indices(seed, n, size, 0, stop)
    assert np.array_equal(whole[start:], batch_indices(seed, n, size, start, stop))
    stream = whole.ravel()
    for epoch in range(len(stream) // n):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_the_loop_computes_what_keras_computes(digits: PreparedData) -> None:
    steps = 30
    model = build(digits, tables, DENSE)
    ended, progress = trained(digits, model, steps, {**HYPERPARAMETERS, "l2": 0.0})

    reference = build(digits, tables, DENSE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    reference.compile(make_optimizer({**HYPERPARAMETERS, "l2": 0.0}, steps), loss)
    train, validation = digits.splits["train"], digits.splits["validation"]
    for batch in batch_indices(0, len(train.y), 32, 0, steps):
        reference.train_on_batch(train.x[batch].astype(np.float32), train.y[batch])
    expected = keras.ops.softmax(reference.predict(validation.x.astype(np.float32), verbose=0))

    assert ended.ending == "completed"
    assert len(progress.curve) == 10
    assert ended.outputs is not None
    if progress.curve[-1] == max(progress.curve):
        np.testing.assert_allclose(ended.outputs, expected, atol=2e-4)
    assert np.mean(np.argmax(expected, axis=-1) == validation.y) == pytest.approx(progress.curve[-1], abs=0.006)


def test_the_best_evaluation_is_what_remains(digits: PreparedData) -> None:
    model = build(digits, tables, DENSE)
    ended, progress = trained(digits, model, 60, {"learning_rate": 0.05})
    assert ended.outputs is not None
    assert OBJECTIVES["accuracy"].score(digits.splits["validation"].y, ended.outputs) == max(progress.curve)


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
    x, y = digits.splits["validation"].x, digits.splits["validation"].y

    model = build(digits, images, architecture)
    ended, _ = trained(digits, model, 200)
    assert ended.outputs is not None
    by_batch = model(x.astype(np.float32), training=True).numpy().argmax(axis=-1)
    assert np.mean(ended.outputs.argmax(axis=-1) == y) > max(0.93, np.mean(by_batch == y) - 0.02)
    assert off_statistics(model, digits.splits["train"].x) < 1.5

    # Slow statistics are the trap, and the test must be able to see it.
    trap = build(digits, images, architecture)
    for layer in trap.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.999
    trained(digits, trap, 200)
    assert off_statistics(trap, digits.splits["train"].x) > 2


def test_l2_shrinks_kernels(digits: PreparedData) -> None:
    sizes = []
    for l2 in (0.0, 0.1):
        model = build(digits, tables, DENSE)
        trained(digits, model, 50, {"l2": l2})
        sizes.append(float(np.square(model.get_layer("head").kernel.value.numpy()).sum()))
    assert sizes[1] < sizes[0]


def test_a_regression_answers_in_the_targets_own_unit(line: PreparedData) -> None:
    ended, progress = trained(line, build(line, tables, DENSE[:1]), 400, {"learning_rate": 1e-2})
    assert ended.outputs is not None
    assert ended.outputs.shape == line.splits["validation"].y.shape
    assert min(progress.curve) < 0.15 * line.problem.target_scale
    assert abs(ended.outputs.mean() - line.splits["validation"].y.mean()) < 0.15 * line.problem.target_scale


def test_a_loss_that_is_not_finite_ends_as_diverged(digits: PreparedData) -> None:
    ended, _ = trained(digits, build(digits, tables, DENSE[:1]), 50, {"optimizer": "sgd", "learning_rate": 1e30})
    assert (ended.ending, ended.outputs) == ("diverged", None)


def test_the_deadline_stops_and_evaluates(digits: PreparedData) -> None:
    ended, progress = trained(digits, build(digits, tables, DENSE), 10_000_000, deadline=0.0)
    assert (ended.ending, ended.error) == ("stopped", "time limit")
    assert len(progress.curve) == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_learns(digits: PreparedData, optimizer: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 3e-3
    _, progress = trained(digits, build(digits, tables, DENSE), 100, {"optimizer": optimizer, "learning_rate": rate})
    assert max(progress.curve) > 0.9


def test_built_models(digits: PreparedData, line: PreparedData) -> None:
    model = build(digits, images, ("convolution(filters=16,kernel=3)", "flatten()"), dropout=0.3)
    names = [layer.name for layer in model.layers]
    assert names[-1] == "head"
    assert "b1_flatten_dropout" in names
    assert {name.partition("_")[0] for name in names[2:-1]} == {"b0", "b1"}
    assert count_parameters(model) == 9 * 16 + 2 * 16 + 64 * 16 * 10 + 10
    assert count_flops(model) == 2 * (9 * 16 * 64 + 64 * 16 * 10)
    with pytest.raises(UserError, match="--space tabular"):
        build(line, images, ("flatten()",))


def test_checkpoints_come_back_whole(tmp_path: Path, digits: PreparedData) -> None:
    model = build(digits, tables, DENSE)
    weights = weights_of(model)
    save(tmp_path / "w", weights, {"step": 3})
    again = build(digits, tables, DENSE)
    again.get_layer("head").kernel.assign(np.zeros((64, 10)))
    assign_weights(again, load(tmp_path / "w"))
    assert all(np.array_equal(weights[name], value) for name, value in weights_of(again).items())
    assert load_state(tmp_path / "w") == {"step": 3}
    assert [each.name for each in tmp_path.iterdir()] == ["w"]


def test_inheritance_by_name_and_shape(digits: PreparedData) -> None:
    wide = "dense(units=128,activation=relu,batch_norm=False)"
    parent = build(digits, tables, DENSE)
    parent.get_layer("b1_dense_batch_norm").moving_mean.assign(np.full(64, 7.0))
    weights = weights_of(parent)

    keras.utils.set_random_seed(1)
    same = build_model(digits.problem, tables, DENSE, {})
    found = inherit(same, DENSE, DENSE, weights)
    assert found.fraction == 1.0
    assert set(found.layers.values()) == {"copied"}
    assert all(np.array_equal(weights[name], value) for name, value in weights_of(same).items())

    deeper = (DENSE[0], "residual_dense(units=32)", DENSE[1])
    keras.utils.set_random_seed(1)
    child = build_model(digits.problem, tables, deeper, {})
    found = inherit(child, deeper, DENSE, weights)
    assert {layer for layer, how in found.layers.items() if how == "fresh"} == {
        "b1_residual_dense_hidden",
        "b1_residual_dense_project",
    }
    assert np.array_equal(child.get_layer("b2_dense_batch_norm").moving_mean.value.numpy(), np.full(64, 7.0))
    assert 0 < found.fraction < 1

    replaced = (wide, DENSE[1])
    keras.utils.set_random_seed(1)
    child = build_model(digits.problem, tables, replaced, {})
    fresh = weights_of(child)
    found = inherit(child, replaced, DENSE, weights)
    assert {layer for layer, how in found.layers.items() if how == "copied"} == {"b1_dense_batch_norm", "head"}
    assert np.array_equal(fresh["b0_dense_dense/kernel"], weights_of(child)["b0_dense_dense/kernel"])
