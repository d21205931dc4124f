"""Gradient steps are those that Keras would take with the model's own variables."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from msearch_core.training.checkpoints import assign_weights, weights_of
from msearch_core.training.feed import make_feed
from msearch_core.training.losses import make_loss
from msearch_core.training.steps import TrainSteps, make_optimizer
from tests import training_data

DATA = training_data.linear()
TRAIN = DATA.splits["train"]
STEPS = 7


def model(kernel_regularizer: Any = None, activity_regularizer: Any = None) -> Any:
    """One with all that a step changes or adds up: weights, batch-norm statistics and losses of layers' own."""
    inputs = keras.Input(DATA.problem.input_shape)
    # A bias before batch normalisation has no gradient but rounding errors, which Adam makes large.
    hidden = keras.layers.Dense(
        8, use_bias=False, kernel_regularizer=kernel_regularizer, activity_regularizer=activity_regularizer
    )
    outputs = keras.layers.Dense(DATA.problem.targets[0].outputs, name="head")(
        keras.layers.BatchNormalization()(hidden(inputs))
    )
    return keras.Model(inputs, {DATA.problem.targets[0].name: outputs})


def steps_by_hand(own: Any, optimizer: Any, l2: float) -> float:
    """The same steps, each by itself and with the optimizer on each variable; the sum of their losses."""
    total, loss_of = 0.0, make_loss(DATA.problem, 0.0)
    feed = make_feed(TRAIN, 0, 32, STEPS, TRAIN.x.nbytes).take(0, STEPS)
    for rows in np.asarray(feed.chosen):
        with tf.GradientTape() as tape:
            outputs = own(tf.constant(TRAIN.x[rows], tf.float32), training=True)
            value = loss_of({name: y[rows] for name, y in TRAIN.y.items()}, outputs, np.ones(len(rows), np.float32))
            value += sum(own.losses)
            value += l2 * sum(tf.reduce_sum(each.value**2) for each in own.trainable_variables if each.name == "kernel")
        optimizer.apply(tape.gradient(value, [each.value for each in own.trainable_variables]), own.trainable_variables)
        total += float(value)
    return total


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize(
    "regularizers",
    [{}, {"kernel_regularizer": "l2", "activity_regularizer": "l1"}],
    ids=["plain", "with layers' losses"],
)
def test_steps_are_those_by_hand(optimizer: str, regularizers: dict[str, str]) -> None:
    hyperparameters = {"optimizer": optimizer, "decay": "cosine", "clip_norm": 0.5, "l2": 1e-2}
    one, other = model(**regularizers), model(**regularizers)
    for variable, copy in zip(one.weights, other.weights, strict=True):
        copy.assign(variable)
    expected = steps_by_hand(one, make_optimizer(hyperparameters, STEPS), 1e-2)

    train_steps = TrainSteps(other, make_optimizer(hyperparameters, STEPS), DATA.problem, TRAIN, hyperparameters, 32)
    feed = make_feed(TRAIN, 0, 32, STEPS, TRAIN.x.nbytes)
    train_steps.gather()
    total = train_steps(feed.take(0, 2)) + train_steps(feed.take(2, STEPS))
    train_steps.scatter()

    assert total == pytest.approx(expected, rel=1e-5)
    for variable, copy in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(copy.numpy(), variable.numpy(), rtol=1e-4, atol=1e-6, err_msg=variable.path)


def test_the_model_keeps_its_weights_until_they_are_given_back() -> None:
    own = model()
    train_steps = TrainSteps(own, make_optimizer({}, STEPS), DATA.problem, TRAIN, {}, 32)
    inherited = {path: value + 1 for path, value in weights_of(own).items()}
    assign_weights(own, inherited)  # after tracing, as a child's are
    train_steps.gather()
    train_steps.scatter()
    assert all(np.array_equal(value, inherited[path]) for path, value in weights_of(own).items())

    train_steps(make_feed(TRAIN, 0, 32, STEPS, TRAIN.x.nbytes).take(0, STEPS))
    kernel = own.get_layer("head").kernel
    assert np.array_equal(kernel.numpy(), inherited[kernel.path])
    train_steps.scatter()
    assert not np.array_equal(kernel.numpy(), inherited[kernel.path])
