"""Every score, of every kind of target, against its definition."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.data.problem import Problem, Target, Task
from msearch_core.errors import UserError
from msearch_core.metrics import METRICS
from msearch_core.objectives import Objective, evaluate, find_objective, loss

LABELS = ("a", "b", "c", "d", "e")


def problem(*targets: Target) -> Problem:
    return Problem("vector", (1,), {"kind": "table"}, targets)


def classes(count: int = 3, **changes: object) -> Target:
    return Target("y", "classification", LABELS[:count], **changes)  # type: ignore[arg-type]


def drawn(seed: int, examples: int, count: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(count), examples).astype(np.float32)
    return {"y": rng.integers(count, size=examples).astype(np.int32)}, {"y": probabilities}


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 5), st.booleans())
def test_every_score_of_a_classification_is_finite(seed: int, examples: int, count: int, weighted: bool) -> None:
    weight = np.linspace(1, 2, examples, dtype=np.float32) if weighted else None
    scores = evaluate(problem(classes(count)), *drawn(seed, examples, count), weight)
    assert set(scores) == {"accuracy", "balanced_accuracy", "auc", "f1", "f1_macro", "log_loss"}
    assert all(math.isfinite(value) for value in scores.values())


def test_better_outputs_score_better_in_the_direction_named() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=100).astype(np.int32)
    labels = rng.integers(2, size=(100, 4)).astype(np.float32)
    numbers = rng.normal(size=100).astype(np.float32)
    cases: dict[Task, tuple[np.ndarray, np.ndarray, np.ndarray]] = {
        "classification": (y, np.eye(3, dtype=np.float32)[y] * 0.9 + 0.1 / 3, drawn(1, 100, 3)[1]["y"]),
        "multilabel": (labels, labels * 0.8 + 0.1, rng.random((100, 4), np.float32)),
        "regression": (numbers, numbers + 0.01, -numbers),
    }
    for task, metrics in METRICS.items():
        target = Target("y", task, () if task == "regression" else LABELS[:3])
        true, good, bad = cases[task]
        for name in metrics:
            objective = find_objective(problem(target), name)
            difference = objective.score({"y": true}, {"y": good}) - objective.score({"y": true}, {"y": bad})
            assert (difference > 0) == (objective.direction == "max"), name


def test_scores_by_hand() -> None:
    y = {"y": np.array([0, 0, 1, 1], np.int32)}
    outputs = {"y": np.array([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.8, 0.2]], np.float32)}
    scores = evaluate(problem(classes(2)), y, outputs)
    assert scores["accuracy"] == scores["balanced_accuracy"] == scores["f1"] == 0.5
    assert scores["auc"] == 0.5  # of four pairs, two are in order
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.3, 0.6, 0.2]).mean(), rel=1e-6)
    assert loss(problem(classes(2)), y, outputs) == pytest.approx(scores["log_loss"])
    labels = Target("y", "multilabel", LABELS[:2])
    scores = evaluate(
        problem(labels), {"y": np.array([[1, 0], [1, 1]], np.float32)}, {"y": np.array([[0.9, 0.2], [0.6, 0.3]])}
    )
    assert (scores["accuracy"], scores["exact_match"]) == (0.75, 0.5)
    assert scores["f1_micro"] == pytest.approx(0.8)
    assert (scores["f1_macro"], scores["auc"]) == (
        0.5,
        1.0,
    )  # the second label is never said; the first has no contrast


def test_weights_count_examples_as_often_as_they_say() -> None:
    y, outputs = drawn(0, 30, 3)
    weight = np.arange(30, dtype=np.float32) % 4
    often = np.repeat(np.arange(30), weight.astype(int))
    asked = problem(classes())
    weighted = evaluate(asked, y, outputs, weight)
    repeated = evaluate(asked, {"y": y["y"][often]}, {"y": outputs["y"][often]})
    assert weighted == pytest.approx(repeated)


def test_a_class_whose_examples_all_weigh_nothing_is_one_that_is_missing() -> None:
    y, outputs = drawn(1, 30, 3)
    weight = np.where(y["y"] == 2, 0, 1).astype(np.float32)
    seen = weight > 0
    asked = problem(classes())
    weighted = evaluate(asked, y, outputs, weight)
    assert weighted["auc"] == pytest.approx(evaluate(asked, {"y": y["y"][seen]}, {"y": outputs["y"][seen]})["auc"])


def test_a_class_that_is_missing_is_passed_over_by_the_area_under_the_curve() -> None:
    auc = find_objective(problem(classes()), "auc")
    y = {"y": np.array([0, 1, 0, 1], np.int32)}
    outputs = {"y": np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], np.float32)}
    assert auc.score(y, outputs) == 1.0
    assert auc.score({"y": np.zeros(4, np.int32)}, outputs) == 0.5


def test_only_the_true_steps_are_scored() -> None:
    tagged = Target("y", "classification", LABELS[:2], per_step=True)
    y = {"y": np.array([[0, 1, -1], [1, -1, -1]], np.int32)}
    outputs = {"y": np.full((2, 3, 2), [0.9, 0.1], np.float32)}
    assert find_objective(problem(tagged)).score(y, outputs) == pytest.approx(1 / 3)
    assert find_objective(problem(tagged)).score(y, outputs, np.array([1, 2], np.float32)) == pytest.approx(1 / 4)
    measured = Target("y", "regression", per_step=True)
    numbers = {"y": np.array([[1, 2, np.nan], [3, np.nan, np.nan]], np.float32)}
    said = {"y": np.array([[1, 2, 99], [6, 99, 99]], np.float32)}
    assert find_objective(problem(measured), "mae").score(numbers, said) == 1.0


def test_several_targets_are_scored_each_and_together() -> None:
    targets = problem(classes(2, weight=3.0), Target("price", "regression", scale=10.0))
    y = {"y": np.array([0, 1, 1, 0], np.int32), "price": np.array([1, 2, 3, 4], np.float32)}
    outputs = {"y": np.eye(2, dtype=np.float32)[[0, 1, 0, 0]], "price": np.array([1, 2, 3, 6], np.float32)}
    scores = evaluate(targets, y, outputs)
    assert scores["y/accuracy"] == 0.75
    assert scores["price/rmse"] == 1.0
    objective = find_objective(targets)
    assert (objective.name, objective.direction) == ("mean_score", "max")
    assert objective.score(y, outputs) == scores["mean_score"] == pytest.approx((3 * 0.75 + scores["price/r2"]) / 4)
    assert scores["loss"] == pytest.approx((3 * scores["y/log_loss"] + 1.0 / 10) / 4)
    assert find_objective(targets, "price/mae").direction == "min"


def test_the_standard_error_is_the_textbook_one_where_there_is_one() -> None:
    y, outputs = drawn(3, 2000, 2)
    accuracy = find_objective(problem(classes(2)), "accuracy")
    p = accuracy.score(y, outputs)
    assert accuracy.standard_error(y, outputs) == pytest.approx(math.sqrt(p * (1 - p) / 2000), rel=0.25)
    assert math.isnan(accuracy.standard_error({"y": y["y"][:1]}, {"y": outputs["y"][:1]}))
    assert math.isnan(accuracy.standard_error(y, outputs, np.eye(1, 2000, dtype=np.float32)[0]))


def test_the_standard_error_of_examples_that_belong_together_is_that_of_their_groups() -> None:
    rng = np.random.default_rng(0)
    accuracy, groups = find_objective(problem(classes(2)), "accuracy"), np.repeat(np.arange(30), 20)
    scores, errors = [], []
    for _ in range(200):
        right = np.repeat(rng.random(30), 20) > 0.3  # a group is right or wrong as a whole
        y = rng.integers(2, size=600).astype(np.int32)
        outputs = np.eye(2, dtype=np.float32)[np.where(right, y, 1 - y)]
        scores.append(accuracy.score({"y": y}, {"y": outputs}))
        errors.append(accuracy.standard_error({"y": y}, {"y": outputs}, group=groups))
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.15)
    alone = accuracy.standard_error({"y": y}, {"y": outputs}, group=np.arange(600)[::-1])
    assert alone == pytest.approx(accuracy.standard_error({"y": y}, {"y": outputs}), rel=0.3)
    assert math.isnan(accuracy.standard_error({"y": y}, {"y": outputs}, group=np.zeros(600, int)))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(
        "def cost(y, outputs):\n    return abs(y - outputs.argmax(-1)).mean()\n"
        "cost.direction = 'min'\n"
        "def both(y, outputs):\n    return float(len(y['a']) + len(outputs['b']))\n"
        "number = 3\n"
    )
    monkeypatch.setenv("MSEARCH_CODE_PATH", str(tmp_path))
    return tmp_path / "mine.py"


def test_a_function_of_the_users_own(own: Path) -> None:
    y, outputs = drawn(0, 10, 3)
    cost = find_objective(problem(classes()), f"{own}:cost")
    assert isinstance(cost, Objective)
    assert (cost.name, cost.direction) == (f"{own}:cost", "min")
    assert cost.score(y, outputs) == np.abs(y["y"] - outputs["y"].argmax(-1)).mean()
    assert cost.standard_error(y, outputs) > 0
    targets = problem(Target("a", "regression"), Target("b", "regression"))
    both = find_objective(targets, f"{own}:both")
    assert both.score({"a": np.zeros(3), "b": np.zeros(3)}, {"a": np.zeros(3), "b": np.zeros(3)}) == 6.0


def test_what_is_no_objective_is_refused_in_one_line(own: Path) -> None:
    assert find_objective(problem(Target("y", "regression"))).name == "rmse"
    cases = {"rmse": "accuracy, balanced_accuracy", "speed": "accuracy, balanced_accuracy", f"{own}:number": "function"}
    for wrong, expected in {**cases, f"{own}:none": "expected one named 'none'"}.items():
        with pytest.raises(UserError, match=expected) as error:
            find_objective(problem(classes()), wrong)
        assert "\n" not in str(error.value)
