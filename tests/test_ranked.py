"""A history that is kept ranked says the same as one that is ranked anew."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.algorithms import ALGORITHMS
from msearch_core.algorithms.history import Outcome, best
from msearch_core.algorithms.ranked import RankedHistory
from msearch_core.loading import load_space

# Few values, so that there are ties.
SCORES = st.none() | st.sampled_from([-0.5, 0.0, 0.25, 0.5])
TIES = st.sampled_from([float("-inf"), -1.0, -0.5])
SPACE = load_space("tabular").for_input((4,))


def trials(scored: Sequence[tuple[float | None, float]]) -> list[Outcome]:
    rng = np.random.default_rng(0)
    return [
        Outcome(
            uid=f"0001-{slot:06d}",
            score=score,
            tie_break=tie,
            architecture=SPACE.random_architecture(rng),
            hyperparameters=SPACE.random_hyperparameters(rng),
            parameters=10,
            weights=None,
            cumulative_steps=1,
        )
        for slot, (score, tie) in enumerate(scored, start=1)
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(SCORES, TIES), max_size=30), st.randoms(), st.integers(0, 40))
def test_it_is_the_same_history_in_whatever_order_trials_end(scored, random, count) -> None:
    history = trials(scored)
    arrived = random.sample(history, len(history))
    ranked = RankedHistory(arrived[:5])
    for outcome in arrived[5:]:
        ranked.add(outcome)
    assert list(ranked) == history
    assert list(reversed(ranked)) == history[::-1]
    assert ranked[:7] == history[:7]
    assert best(ranked, count) == best(history, count)


def test_what_was_scored_again_is_older_than_every_trial_of_its_run() -> None:
    first, second, third = trials([(0.5, -1.0), (0.5, -1.0), (0.25, -1.0)])
    again = replace(first, uid="0001-r00007", kind="rescore")
    ranked = RankedHistory([second, third, again])
    assert list(ranked) == [again, second, third]
    assert best(ranked, 3) == best(list(ranked), 3) == [again, second, third]


@settings(deadline=None)  # the first call imports what an algorithm needs
@given(st.lists(st.tuples(SCORES, TIES), max_size=30), st.sampled_from(sorted(ALGORITHMS)), st.integers(0, 9))
def test_every_algorithm_proposes_the_same_from_it(scored, name, seed) -> None:
    history = trials(scored)
    proposed = [
        ALGORITHMS[name](each, [], SPACE, np.random.default_rng(seed)) for each in (history, RankedHistory(history))
    ]
    assert proposed[0] == proposed[1]
