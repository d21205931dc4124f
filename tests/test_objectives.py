from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.errors import UserError
from msearch_core.objectives import OBJECTIVES, evaluate, find_objective


def outputs_of(seed: int, examples: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), examples).astype(np.float32)
    return rng.integers(classes, size=examples).astype(np.int32), probabilities


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 5))
def test_every_score_of_a_classification_is_finite(seed: int, examples: int, classes: int) -> None:
    scores = evaluate("classification", *outputs_of(seed, examples, classes))
    assert set(scores) == {"accuracy", "balanced_accuracy", "f1_macro", "log_loss"}
    assert all(math.isfinite(value) for value in scores.values())


def test_better_outputs_score_better_in_the_direction_named() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=100).astype(np.int32)
    good, bad = np.eye(3, dtype=np.float32)[y] * 0.9 + 0.1 / 3, outputs_of(1, 100, 3)[1]
    target = rng.normal(size=100).astype(np.float32)
    for objective in OBJECTIVES.values():
        pairs = (y, good, bad) if objective.task == "classification" else (target, target + 0.01, -target)
        difference = objective.score(pairs[0], pairs[1]) - objective.score(pairs[0], pairs[2])
        assert (difference > 0) == (objective.direction == "max"), objective.name


def test_the_standard_error_is_the_textbook_one_where_there_is_one() -> None:
    y, outputs = outputs_of(3, 2000, 2)
    accuracy = OBJECTIVES["accuracy"]
    p = accuracy.score(y, outputs)
    assert accuracy.standard_error(y, outputs) == pytest.approx(math.sqrt(p * (1 - p) / len(y)), rel=0.25)


def test_an_objective_of_the_other_task_is_refused_in_one_line() -> None:
    assert find_objective("regression").name == "rmse"
    for wrong in ("rmse", "speed"):
        with pytest.raises(UserError, match="accuracy, balanced_accuracy"):
            find_objective("classification", wrong)
