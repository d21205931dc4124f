"""Learning from a teacher's outputs beside the labels.

The teacher is a completed trial or an ensemble. What it says of each training example is computed once and travels
with the targets, so that the training loop need not know of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from msearch_core.data.problem import Problem, Split, Target
from msearch_core.space import SearchSpace
from msearch_core.training import checkpoints
from msearch_core.training.ensemble import load_members
from msearch_core.training.loop import make_predict
from msearch_core.training.losses import Loss, make_loss, mean_loss
from msearch_core.training.spec import Teacher

TEACHER = "teacher of "
"""Precedes a target's name in the key of what the teacher says of it."""
SMALLEST = 1e-6
"""A teacher's probabilities are kept so far from zero and one, so that they have logits."""

Method = Literal["logits", "probabilities", "cross_entropy", "balanced"]
"""Squared error of logits (Ba and Caruana, NIPS 2014); squared error of probabilities; cross-entropy at a temperature
(Hinton, Vinyals and Dean, 2015); the same, balanced so that labels and teacher weigh the same at every step."""


def with_teacher(split: Split, outputs: Mapping[str, np.ndarray]) -> Split:
    """The split with a teacher's outputs beside its targets.

    Args:
        split: what is learned from.
        outputs: the teacher's outputs on it by target: probabilities ``float32 (examples, labels)`` or numbers
            ``float32 (examples,)``, with ``time`` after ``examples`` where each step has a target.
    """
    return dataclasses.replace(split, y={**split.y, **{f"{TEACHER}{name}": each for name, each in outputs.items()}})


def teacher_outputs(teacher: Teacher, problem: Problem, space: SearchSpace, x: np.ndarray) -> dict[str, np.ndarray]:
    """What a teacher says of the train split, computed once and kept in a file.

    Args:
        teacher: its models and the file.
        problem: the targets.
        space: fitted to the problem.
        x: the encoded train split.

    Raises:
        UnreadableError: a model's weights are gone or damaged.
    """

    def compute() -> dict[str, np.ndarray]:
        return make_predict(load_members(problem, space, teacher.members), problem, x.dtype)(x)

    return checkpoints.load_or_make(Path(teacher.outputs), compute)


def make_distillation_loss(
    problem: Problem, method: Method, *, temperature: float = 2.0, share: float = 0.5, label_smoothing: float = 0.0
) -> Loss:
    """The loss ``(y, outputs, weight) -> float32 ()`` of a student.

    Args:
        problem: the targets.
        method: how the student is compared with the teacher. Numbers are compared by squared error in standard
            deviations, whatever the method.
        temperature: divides logits before they become probabilities; the higher, the more the unlikely labels count.
        share: the teacher's share of the loss; the labels have the rest.
        label_smoothing: as in `make_loss`.

    Returns:
        A function like that of `make_loss`, of targets that hold the teacher's outputs too (`with_teacher`).
    """
    labels = make_loss(problem, label_smoothing)
    total = sum(target.weight for target in problem.targets)
    terms = [
        (target.name, target, target.weight / total, _distance(target, method, temperature))
        for target in problem.targets
    ]

    def loss(y: Mapping[str, Any], outputs: Mapping[str, Any], weight: Any) -> Any:
        by_labels = labels(y, outputs, weight)
        by_teacher = tf.add_n(
            [
                part * mean_loss(target, distance(y[f"{TEACHER}{name}"], outputs[name]), y[name], weight)
                for name, target, part, distance in terms
            ]
        )
        if method == "balanced":
            ratio = tf.stop_gradient(by_labels / tf.maximum(by_teacher, SMALLEST))
            return (1 - share) * by_labels + share * ratio * by_teacher
        return (1 - share) * by_labels + share * by_teacher

    return loss


def _distance(target: Target, method: Method, temperature: float) -> Callable[[Any, Any], Any]:
    """How far a student's logits, or numbers, are from the teacher's outputs, by example or step."""
    if target.task == "regression":
        return lambda teacher, outputs: tf.square((outputs[..., 0] - teacher) / target.scale)
    if target.task == "classification":
        return {
            "logits": _centred_logits,
            "probabilities": lambda teacher, outputs: tf.reduce_sum(
                tf.square(tf.nn.softmax(outputs) - teacher), axis=-1
            ),
        }.get(method, lambda teacher, outputs: _softened(teacher, outputs, temperature))
    return {
        "logits": lambda teacher, outputs: tf.reduce_mean(tf.square(outputs - _logit(teacher)), axis=-1),
        "probabilities": lambda teacher, outputs: tf.reduce_mean(tf.square(tf.sigmoid(outputs) - teacher), axis=-1),
    }.get(method, lambda teacher, outputs: _softened_each(teacher, outputs, temperature))


def _centred_logits(teacher: Any, outputs: Any) -> Any:
    """Logits are free up to a constant, which is taken out of both."""
    wanted = tf.math.log(tf.maximum(teacher, SMALLEST))
    wanted -= tf.reduce_mean(wanted, axis=-1, keepdims=True)
    found = outputs - tf.reduce_mean(outputs, axis=-1, keepdims=True)
    return tf.reduce_mean(tf.square(found - wanted), axis=-1)


def _softened(teacher: Any, outputs: Any, temperature: float) -> Any:
    """Cross-entropy at a temperature; its square keeps the gradients as large as those of the labels."""
    soft = tf.nn.softmax(tf.math.log(tf.maximum(teacher, SMALLEST)) / temperature)
    return temperature**2 * tf.nn.softmax_cross_entropy_with_logits(labels=soft, logits=outputs / temperature)


def _softened_each(teacher: Any, outputs: Any, temperature: float) -> Any:
    soft = tf.sigmoid(_logit(teacher) / temperature)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=soft, logits=outputs / temperature)
    return temperature**2 * tf.reduce_mean(losses, axis=-1)


def _logit(probabilities: Any) -> Any:
    kept = tf.clip_by_value(probabilities, SMALLEST, 1 - SMALLEST)
    return tf.math.log(kept) - tf.math.log1p(-kept)
