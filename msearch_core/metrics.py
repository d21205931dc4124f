"""Scores of one target, by name. Listing them is free of scikit-learn and TensorFlow.

Each is a function of ``y``, ``outputs`` and sample weights, or ``None`` for the latter. Outputs are probabilities
``(examples, classes)`` or ``(examples, labels)``, or numbers ``(examples,)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from msearch_core.data.problem import Target, Task

Direction = Literal["max", "min"]
Function: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]
LIKELY = 0.5
"""The probability from which one of several labels is predicted."""
EPSILON = 1e-7
"""Probabilities below it count as it, so that one wrong certainty does not make a log loss infinite."""


@dataclass(frozen=True)
class Metric:
    """A score of one target.

    Attributes:
        name: what it is called.
        direction: whether more or less is better.
        task: the kind of target that it is for.
        function: ``function(y, outputs, weight)`` of the true examples or steps; ``weight`` may be ``None``.
    """

    name: str
    direction: Direction
    task: Task
    function: Function

    def of(self, target: Target, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
        """The score; of the true steps only, where each step has a target."""
        if not target.per_step:
            return self.function(y, outputs, weight)
        true = target.true_steps(y)
        spread = None if weight is None else np.repeat(weight, true.sum(axis=1))
        return self.function(y[true], outputs[true], spread)


def _accuracy(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.average(outputs.argmax(axis=-1) == y, weights=weight))


def _log_loss(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    probabilities = np.clip(outputs.astype(np.float64), EPSILON, None)
    own = probabilities[np.arange(len(y)), y] / probabilities.sum(axis=-1)
    return float(np.average(-np.log(own), weights=weight))


def _balanced_accuracy(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    from sklearn.metrics import recall_score

    guesses = outputs.argmax(axis=-1)
    return float(recall_score(y, guesses, labels=np.unique(y), average="macro", sample_weight=weight, zero_division=0))


def _auc(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    classes = np.arange(1 if outputs.shape[1] == 2 else 0, outputs.shape[1])
    return _area(y[:, np.newaxis] == classes, outputs[:, classes], weight)


def _f1(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    if outputs.shape[1] > 2:
        return _f1_macro(y, outputs, weight)
    return _f1_of(y == 1, outputs.argmax(axis=-1) == 1, "binary", weight)


def _f1_macro(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return _f1_of(y, outputs.argmax(axis=-1), "macro", weight)


def _f1_of(y: np.ndarray, guesses: np.ndarray, average: str, weight: np.ndarray | None) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(y, guesses, average=average, sample_weight=weight, zero_division=0.0))


def _area(is_true: np.ndarray, scores: np.ndarray, weight: np.ndarray | None) -> float:
    """The area under the ROC curve, as the mean over those columns in which both values occur; else that of chance."""
    from sklearn.metrics import roc_auc_score

    if weight is not None:
        counts = weight > 0
        is_true, scores, weight = is_true[counts], scores[counts], weight[counts]
    known = is_true.any(axis=0) & ~is_true.all(axis=0)
    if not known.any():
        return 0.5
    # Column by column it takes twice as long.
    return float(roc_auc_score(is_true[:, known], scores[:, known], average="macro", sample_weight=weight))


def _labels_f1(average: str) -> Function:
    return lambda y, outputs, weight: _f1_of(y > 0.5, outputs >= LIKELY, average, weight)


def _labels_auc(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return _area(y > 0.5, outputs, weight)


def _labels_accuracy(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.average(((outputs >= LIKELY) == (y > 0.5)).mean(axis=1), weights=weight))


def _exact_match(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.average(((outputs >= LIKELY) == (y > 0.5)).all(axis=1), weights=weight))


def _labels_log_loss(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    probabilities = np.clip(outputs.astype(np.float64), EPSILON, 1 - EPSILON)
    losses = -np.where(y > 0.5, np.log(probabilities), np.log1p(-probabilities))
    return float(np.average(losses.mean(axis=1), weights=weight))


def _rmse(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.sqrt(np.average((y.astype(np.float64) - outputs) ** 2, weights=weight)))


def _mae(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    return float(np.average(np.abs(y.astype(np.float64) - outputs), weights=weight))


def _r2(y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, outputs, sample_weight=weight)) if len(y) > 1 else math.nan


def _by_name(task: Task, *metrics: tuple[str, Direction, Function]) -> dict[str, Metric]:
    return {name: Metric(name, direction, task, function) for name, direction, function in metrics}


METRICS: Mapping[Task, Mapping[str, Metric]] = {
    "classification": _by_name(
        "classification",
        ("accuracy", "max", _accuracy),
        ("balanced_accuracy", "max", _balanced_accuracy),
        ("auc", "max", _auc),
        ("f1", "max", _f1),
        ("f1_macro", "max", _f1_macro),
        ("log_loss", "min", _log_loss),
    ),
    "multilabel": _by_name(
        "multilabel",
        ("f1_micro", "max", _labels_f1("micro")),
        ("f1_macro", "max", _labels_f1("macro")),
        ("auc", "max", _labels_auc),
        ("accuracy", "max", _labels_accuracy),
        ("exact_match", "max", _exact_match),
        ("log_loss", "min", _labels_log_loss),
    ),
    "regression": _by_name("regression", ("rmse", "min", _rmse), ("mae", "min", _mae), ("r2", "max", _r2)),
}
