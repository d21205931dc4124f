"""Choosing the members of an ensemble and their weights."""

from collections.abc import Set

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.algorithms.ensemble_selection import combine, fit_weights, leaders, select

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(size=400).astype(np.float32)


def noisy(scale: float, seed: int) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=len(TRUTH)) * scale
    return {"price": (TRUTH + noise).astype(np.float32)}


def score(outputs: dict[str, np.ndarray]) -> float:
    return -float(np.mean((outputs["price"] - TRUTH) ** 2))


def alone(outputs: dict[str, np.ndarray]) -> tuple[float, ...]:
    return (score(outputs),)


def test_independent_errors_cancel_and_the_useless_is_left_out() -> None:
    models = [noisy(0.5, 1), noisy(0.5, 2), noisy(0.5, 3), noisy(8.0, 4)]
    weights = select(models, alone)
    assert sum(weights) == pytest.approx(1)
    assert all(weight > 0.15 for weight in weights[:3])
    assert weights[3] == 0
    assert score(combine(models, weights)) > 1.5 * max(map(score, models))


def test_one_model_that_nothing_improves_stays_alone() -> None:
    perfect = {"price": TRUTH}
    assert select([noisy(1.0, 1), perfect, noisy(1.0, 2)], alone) == (0, 1, 0)


def test_among_equals_the_mean_of_the_five_best_counts() -> None:
    models = [noisy(1.0, seed) for seed in range(7)]
    assert select(models, lambda _: (0.0,)) == (0.2, 0.2, 0.2, 0.2, 0.2, 0, 0)
    by_loss = select(models, lambda outputs: (0.0, score(outputs)))
    best = sorted(range(7), key=lambda each: -score(models[each]))[:5]
    assert all(by_loss[each] > 0 for each in best)


def test_the_five_best_do_not_count_where_they_cost_score() -> None:
    models = [noisy(0.1, 1), *(noisy(3.0, seed) for seed in range(2, 8))]
    assert select(models, alone)[0] > 0.9


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        select([], alone)


@given(scales=st.lists(st.floats(0.1, 3.0), min_size=1, max_size=6), rounds=st.integers(1, 8))
def test_a_selection_is_never_worse_than_its_best_member(scales: list[float], rounds: int) -> None:
    models = [noisy(scale, seed) for seed, scale in enumerate(scales)]
    weights = select(models, alone, rounds)
    assert sum(weights) == pytest.approx(1)
    assert score(combine(models, weights)) >= max(map(score, models)) - 1e-6


@given(costs=st.lists(st.integers(1, 10), min_size=1, max_size=8), rounds=st.integers(1, 8))
def test_members_that_may_not_be_together_are_not(costs: list[int], rounds: int) -> None:
    models = [noisy(1.0, seed) for seed in range(len(costs))]

    def allows(places: Set[int]) -> bool:
        return sum(costs[place] for place in places) <= 10

    weights = select(models, alone, rounds, allows)
    assert sum(weights) == pytest.approx(1)
    assert allows({place for place, weight in enumerate(weights) if weight})
    assert score(combine(models, weights)) >= max(map(score, models)) - 1e-6
    assert allows(set(leaders(models, alone, len(models), allows)))


def test_learned_weights_prefer_the_better_and_sum_to_one() -> None:
    models = [noisy(0.5, 1), noisy(1.0, 2), noisy(8.0, 3)]
    weights = fit_weights(models, lambda outputs: -score(outputs))
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > weights[1] > weights[2] >= 0
    assert score(combine(models, weights)) >= score(combine(models, select(models, alone)))


def test_several_targets_are_combined_each_by_itself() -> None:
    first = {"a": np.array([[0.2, 0.8]], np.float32), "b": np.array([1.0], np.float32)}
    second = {"a": np.array([[0.6, 0.4]], np.float32), "b": np.array([3.0], np.float32)}
    mean = combine([first, second], (0.25, 0.75))
    np.testing.assert_allclose(mean["a"], [[0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(mean["b"], [2.5], rtol=1e-6)
    assert mean["a"].dtype == np.float32
