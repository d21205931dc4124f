"""What a student is compared with, as computed by hand with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_softmax, logit, softmax

from msearch_core.data.problem import Problem, Split, Target
from msearch_core.training.distillation import TEACHER, make_distillation_loss, with_teacher
from msearch_core.training.losses import make_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 3)).astype(np.float32)
CLASSES = np.array([0, 2, 1, 2, 1], np.int32)
TEACHING = softmax(RNG.normal(size=(5, 3)), axis=1).astype(np.float32)
WEIGHT = np.array([1.0, 0.5, 2.0, 0.5, 1.0], np.float32)
ONES = np.ones(5, np.float32)
PLAIN = Problem("vector", (2,), {}, (Target("y", "classification", ("a", "b", "c")),))


def teacher_part(problem, y, outputs, teaching, method: str, **options: float) -> float:
    split = with_teacher(Split(np.zeros((len(teaching), 2), np.float32), {"y": y}), {"y": teaching})
    loss = make_distillation_loss(problem, method, share=1.0, **options)  # type: ignore[arg-type]
    return float(loss(split.y, {"y": outputs}, options.pop("weight", ONES[: len(teaching)])))


def centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=1, keepdims=True)


class TestClasses:
    def test_logits(self) -> None:
        expected = ((centred(LOGITS) - centred(np.log(TEACHING))) ** 2).mean()
        assert teacher_part(PLAIN, CLASSES, LOGITS, TEACHING, "logits") == pytest.approx(expected, rel=1e-5)

    def test_probabilities(self) -> None:
        expected = ((softmax(LOGITS, axis=1) - TEACHING) ** 2).sum(axis=1).mean()
        assert teacher_part(PLAIN, CLASSES, LOGITS, TEACHING, "probabilities") == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("temperature", [1.0, 4.0])
    def test_cross_entropy_at_a_temperature(self, temperature: float) -> None:
        soft = softmax(np.log(TEACHING) / temperature, axis=1)
        expected = -(temperature**2) * (soft * log_softmax(LOGITS / temperature, axis=1)).sum(axis=1).mean()
        found = teacher_part(PLAIN, CLASSES, LOGITS, TEACHING, "cross_entropy", temperature=temperature)
        assert found == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("method", ["logits", "probabilities", "cross_entropy"])
    def test_least_where_the_student_says_what_the_teacher_says(self, method: str) -> None:
        outputs = tf.Variable(np.log(TEACHING) + 3.0)
        split = with_teacher(Split(np.zeros((5, 2), np.float32), {"y": CLASSES}), {"y": TEACHING})
        with tf.GradientTape() as tape:
            value = make_distillation_loss(PLAIN, method, share=1.0)(split.y, {"y": outputs}, ONES)  # type: ignore[arg-type]
        np.testing.assert_allclose(tape.gradient(value, outputs), 0, atol=1e-5)

    def test_labels_and_teacher_weigh_the_same_when_balanced(self) -> None:
        split = with_teacher(Split(np.zeros((5, 2), np.float32), {"y": CLASSES}), {"y": TEACHING})
        labels = float(make_loss(PLAIN)({"y": CLASSES}, {"y": LOGITS}, ONES))
        balanced = make_distillation_loss(PLAIN, "balanced")(split.y, {"y": LOGITS}, ONES)
        assert float(balanced) == pytest.approx(labels, rel=1e-5)

    def test_shares_and_weights(self) -> None:
        split = with_teacher(Split(np.zeros((5, 2), np.float32), {"y": CLASSES}), {"y": TEACHING})
        labels = float(make_loss(PLAIN)({"y": CLASSES}, {"y": LOGITS}, WEIGHT))
        each = ((softmax(LOGITS, axis=1) - TEACHING) ** 2).sum(axis=1)
        found = make_distillation_loss(PLAIN, "probabilities", share=0.25)(split.y, {"y": LOGITS}, WEIGHT)
        assert float(found) == pytest.approx(0.75 * labels + 0.25 * (WEIGHT * each).mean(), rel=1e-5)


def test_several_labels() -> None:
    problem = Problem("vector", (2,), {}, (Target("y", "multilabel", ("a", "b", "c")),))
    y = (RNG.random((5, 3)) < 0.5).astype(np.float32)
    expected = ((LOGITS - logit(TEACHING)) ** 2).mean()
    assert teacher_part(problem, y, LOGITS, TEACHING, "logits") == pytest.approx(expected, rel=1e-4)
    expected = ((expit(LOGITS) - TEACHING) ** 2).mean()
    assert teacher_part(problem, y, LOGITS, TEACHING, "probabilities") == pytest.approx(expected, rel=1e-4)


def test_numbers_are_compared_in_standard_deviations() -> None:
    problem = Problem("vector", (2,), {}, (Target("y", "regression", mean=3.0, scale=2.0),))
    teaching = RNG.normal(size=5).astype(np.float32)
    found = teacher_part(problem, np.zeros(5, np.float32), LOGITS[:, :1], teaching, "cross_entropy")
    assert found == pytest.approx((((LOGITS[:, 0] - teaching) / 2) ** 2).mean(), rel=1e-5)


def test_padded_steps_teach_nothing() -> None:
    problem = Problem("sequence", (4, 2), {}, (Target("y", "classification", ("a", "b"), per_step=True),))
    y = np.array([[0, 1, -1, -1], [1, 0, 1, 0]], np.int32)
    outputs = RNG.normal(size=(2, 4, 2)).astype(np.float32)
    teaching = softmax(RNG.normal(size=(2, 4, 2)), axis=-1).astype(np.float32)
    found = teacher_part(problem, y, outputs, teaching, "probabilities")
    each = ((softmax(outputs, axis=-1) - teaching) ** 2).sum(axis=-1)
    assert found == pytest.approx(each[y >= 0].mean(), rel=1e-5)


def test_the_targets_themselves_stay() -> None:
    split = Split(np.zeros((5, 2), np.float32), {"y": CLASSES}, WEIGHT)
    taught = with_teacher(split, {"y": TEACHING})
    assert set(taught.y) == {"y", f"{TEACHER}y"}
    assert taught.weight is split.weight
