"""Scores of a model's outputs, by name. Listing them is free of scikit-learn and TensorFlow.

Outputs are ``float32 (examples, classes)`` probabilities for a classification, ``float32 (examples,)`` numbers in the
target's own unit for a regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from msearch_core.data.problem import Task
from msearch_core.errors import UserError

Score: TypeAlias = Callable[[np.ndarray, np.ndarray], float]
JACKKNIFE_GROUPS = 50


@dataclass(frozen=True)
class Objective:
    """A score that a search can optimise.

    Attributes:
        score: ``score(y, outputs)``, where ``y`` is ``int32`` class numbers or ``float32`` targets.
    """

    name: str
    direction: Literal["max", "min"]
    task: Task
    score: Score

    def standard_error(self, y: np.ndarray, outputs: np.ndarray) -> float:
        """How far the score may be off because the examples are but a sample.

        The grouped jackknife (Quenouille 1949, Tukey 1958), so that it holds for any score: leave out one of at most
        fifty groups of examples at a time and see how the score varies.
        """
        groups = min(JACKKNIFE_GROUPS, len(y))
        if groups < 2:
            return math.nan
        member = np.random.default_rng(0).permutation(len(y)) % groups
        scores = np.array([self.score(y[member != each], outputs[member != each]) for each in range(groups)])
        return float(np.sqrt((groups - 1) * scores.var()))


def _accuracy(y: np.ndarray, outputs: np.ndarray) -> float:
    return float(np.mean(outputs.argmax(axis=-1) == y))


def _log_loss(y: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn.metrics import log_loss

    probabilities = outputs.astype(np.float64)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    return float(log_loss(y, probabilities, labels=np.arange(outputs.shape[-1])))


def _balanced_accuracy(y: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn.metrics import recall_score

    return float(recall_score(y, outputs.argmax(axis=-1), labels=np.unique(y), average="macro"))


def _f1_macro(y: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(y, outputs.argmax(axis=-1), average="macro", zero_division=0.0))


def _rmse(y: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn.metrics import root_mean_squared_error

    return float(root_mean_squared_error(y, outputs))


def _mae(y: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(y, outputs))


def _r2(y: np.ndarray, outputs: np.ndarray) -> float:
    from sklearn.metrics import r2_score

    return float(r2_score(y, outputs)) if len(y) > 1 else math.nan


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("accuracy", "max", "classification", _accuracy),
        Objective("balanced_accuracy", "max", "classification", _balanced_accuracy),
        Objective("f1_macro", "max", "classification", _f1_macro),
        Objective("log_loss", "min", "classification", _log_loss),
        Objective("rmse", "min", "regression", _rmse),
        Objective("mae", "min", "regression", _mae),
        Objective("r2", "max", "regression", _r2),
    )
}
DEFAULT_OBJECTIVE: Mapping[Task, str] = {"classification": "accuracy", "regression": "rmse"}
LOSS: Mapping[Task, str] = {"classification": "log_loss", "regression": "rmse"}


def find_objective(task: Task, name: str | None = None) -> Objective:
    """The objective of that name, or the task's usual one.

    Raises:
        UserError: there is no such objective, or it does not go with the task.
    """
    objective = OBJECTIVES.get(name or DEFAULT_OBJECTIVE[task])
    if objective is None or objective.task != task:
        known = ", ".join(each.name for each in OBJECTIVES.values() if each.task == task)
        raise UserError(f"{name!r} is no objective of a {task}; expected one of {known}")
    return objective


def evaluate(task: Task, y: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Every score of the task, by name."""
    return {each.name: each.score(y, outputs) for each in OBJECTIVES.values() if each.task == task}
