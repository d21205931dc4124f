"""Which trial of a finished run is its winner."""

from __future__ import annotations

from msearch_core.algorithms.history import Outcome
from msearch_core.winning import choose


def outcome(slot: int, score: float | None, tie_break: float = 0.0, members: int = 0) -> Outcome:
    return Outcome(
        uid=f"0001-{slot:06d}",
        score=score,
        tie_break=tie_break,
        architecture=() if members else ("a",),
        hyperparameters={},
        parameters=1,
        weights=None,
        cumulative_steps=1,
        members={str(number): 1 / members for number in range(members)},
    )


def test_the_best_score_wins_and_of_equals_the_lower_loss() -> None:
    trials = [outcome(1, 0.8), outcome(2, 0.9, -0.3), outcome(3, 0.9, -0.2), outcome(4, None), outcome(5, 0.7, -0.1)]
    assert choose(trials) is trials[2]


def test_of_equals_the_best_ensemble_wins() -> None:
    trials = [outcome(1, 0.9, -0.1), outcome(2, 0.9, -0.3, members=3), outcome(3, 0.9, -0.2, members=2)]
    assert choose(trials) is trials[2]


def test_an_ensemble_with_a_lower_score_does_not_win() -> None:
    trials = [outcome(1, 0.9, -0.4), outcome(2, 0.89, -0.1, members=3)]
    assert choose(trials) is trials[0]


def test_without_a_score_there_is_no_winner() -> None:
    assert choose([]) is None
    assert choose([outcome(1, None), outcome(2, None, members=2)]) is None
