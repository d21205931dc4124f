"""Losses as computed by hand, with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from msearch_core.data.problem import Problem, Target
from msearch_core.training.losses import make_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 3)).astype(np.float32)
CLASSES = np.array([0, 2, 1, 2], np.int32)
WEIGHT = np.array([1.0, 0.5, 2.0, 0.5], np.float32)
ONES = np.ones(4, np.float32)


def value(y, outputs, *targets: Target, weight=ONES, smoothing: float = 0.0) -> float:
    problem = Problem("vector", (2,), {}, targets)
    return float(make_loss(problem, smoothing)(y, outputs, weight))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def entropies() -> np.ndarray:
    return -log_softmax(LOGITS)[np.arange(4), CLASSES]


def test_classes_by_example_and_class_weights() -> None:
    plain = Target("y", "classification", ("a", "b", "c"))
    weighed = Target("y", "classification", ("a", "b", "c"), class_weights=(3.0, 1.0, 0.25))
    y, outputs = {"y": CLASSES}, {"y": LOGITS}
    assert value(y, outputs, plain) == pytest.approx(entropies().mean())
    assert value(y, outputs, plain, weight=WEIGHT) == pytest.approx((WEIGHT * entropies()).mean())
    by_class = np.array([3.0, 0.25, 1.0, 0.25])
    assert value(y, outputs, weighed, weight=WEIGHT) == pytest.approx((WEIGHT * by_class * entropies()).mean())


def test_smoothed_labels() -> None:
    target = Target("y", "classification", ("a", "b", "c"))
    wanted = np.full((4, 3), 0.1 / 3)
    wanted[np.arange(4), CLASSES] += 0.9
    expected = -(wanted * log_softmax(LOGITS)).sum(axis=1).mean()
    assert value({"y": CLASSES}, {"y": LOGITS}, target, smoothing=0.1) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_labels(smoothing: float) -> None:
    y = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]], np.float32)
    soft, chance = y * (1 - smoothing) + smoothing / 2, 1 / (1 + np.exp(-LOGITS))
    each = -(soft * np.log(chance) + (1 - soft) * np.log(1 - chance)).mean(axis=1)
    target = Target("y", "multilabel", ("a", "b", "c"))
    assert value({"y": y}, {"y": LOGITS}, target, weight=WEIGHT, smoothing=smoothing) == pytest.approx(
        (WEIGHT * each).mean(), rel=1e-5
    )


def test_targets_have_their_shares_and_numbers_their_scale() -> None:
    number = np.array([10.0, 20.0, 30.0, 40.0], np.float32)
    guess = number[:, np.newaxis] + np.array([[1.0], [2.0], [-3.0], [0.0]], np.float32)
    targets = (
        Target("y", "classification", ("a", "b", "c"), weight=3.0),
        Target("z", "regression", mean=25.0, scale=10.0, weight=1.0),
    )
    found = value({"y": CLASSES, "z": number}, {"y": LOGITS, "z": guess}, *targets)
    assert found == pytest.approx(0.75 * entropies().mean() + 0.25 * (0.01 + 0.04 + 0.09) / 4)


def test_steps_count_until_the_end() -> None:
    logits = RNG.normal(size=(2, 3, 3)).astype(np.float32)
    y = np.array([[0, 1, 2], [1, -1, -1]], np.int32)
    each = -np.take_along_axis(log_softmax(logits), np.maximum(y, 0)[..., np.newaxis], axis=2)[..., 0]
    target = Target("y", "classification", ("a", "b", "c"), per_step=True)
    weight = np.array([0.5, 1.5], np.float32)
    expected = (0.5 * each[0].sum() + 1.5 * each[1, 0]) / 4
    assert value({"y": y}, {"y": logits}, target, weight=weight) == pytest.approx(expected)
    logits[1, 1:] = 100
    assert value({"y": y}, {"y": logits}, target, weight=weight) == pytest.approx(expected)


def test_numbers_by_step() -> None:
    import tensorflow as tf

    y = np.array([[1.0, 2.0], [3.0, np.nan]], np.float32)
    target = Target("y", "regression", per_step=True, scale=2.0)
    loss = make_loss(Problem("sequence", (2, 1), {}, (target,)))
    guess = tf.Variable(np.array([[[2.0], [2.0]], [[5.0], [7.0]]], np.float32))
    with tf.GradientTape() as tape:
        found = loss({"y": y}, {"y": guess}, np.ones(2, np.float32))
    assert float(found) == pytest.approx((1 + 0 + 4) / 4 / 3)
    gradient = tape.gradient(found, guess).numpy()
    assert np.isfinite(gradient).all()
    assert gradient[1, 1, 0] == 0
