"""Promotions as new trials: who is promoted, once, whatever the order, and what the algorithms see of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.algorithms import ALGORITHMS
from msearch_core.algorithms.early_stopping import REDUCTION, RUNGS
from msearch_core.algorithms.history import Outcome
from msearch_core.algorithms.phases import ensemble
from msearch_core.algorithms.promotion import furthest, promotion, promotions
from msearch_core.loading import load_space
from msearch_core.proposal import Proposal
from msearch_core.training.spec import TrialResult
from msearch_core.training.staging import stage_of


def outcome(slot: int, score: float | None, rung: int | None = 0, **changes: object) -> Outcome:
    uid = f"0001-{slot:06d}"
    made = Outcome(
        uid=uid,
        score=score,
        tie_break=0.0,
        architecture=(f"block{slot}",),
        hyperparameters={"learning_rate": 0.01},
        parameters=slot,
        weights=f"weights/{uid}",
        cumulative_steps=10,
        predictions=f"predictions/{uid}",
        rung=rung,
    )
    return dataclasses.replace(made, **changes)


def promoted(slot: int, parent: Outcome, score: float | None, rung: int | None = 1) -> Outcome:
    return outcome(slot, score, rung, kind="promote", parents=(parent.uid,), architecture=parent.architecture)


FIRST = [outcome(slot, slot / 10) for slot in range(1, 7)]


def parents(history: list[Outcome], under_way: tuple[str, ...] = (), minimize: str | None = None) -> list[str]:
    return [each.parents[0] for each in promotions(history, under_way, minimize)]


def test_the_best_third_goes_on_the_best_first() -> None:
    assert parents(FIRST) == ["0001-000006", "0001-000005"]
    assert parents(FIRST[:2]) == []


def test_a_promotion_is_the_same_trial_trained_on() -> None:
    student = dataclasses.replace(FIRST[5], kind="distill", teacher="0001-000001")
    proposal = next(promotions([*FIRST[:5], student], (), None))
    assert (proposal.kind, proposal.parents, proposal.teacher) == ("promote", (student.uid,), "0001-000001")
    assert (proposal.architecture, proposal.hyperparameters) == (student.architecture, student.hyperparameters)
    assert proposal.key == promotion(student).key != promotion(FIRST[5]).key


def test_what_is_promoted_or_being_promoted_is_not_promoted_again() -> None:
    assert parents(FIRST, under_way=("0001-000006",)) == ["0001-000005"]
    assert parents([*FIRST, promoted(7, FIRST[5], 0.7)]) == ["0001-000005"]
    assert parents([*FIRST, promoted(7, FIRST[5], None, None), promoted(8, FIRST[4], 0.6)]) == []


def test_a_further_rung_comes_first_and_the_last_one_is_the_end() -> None:
    nine = [outcome(slot, slot / 10) for slot in range(1, 13)]
    second = [promoted(20 + n, nine[-n], n / 10) for n in (1, 2, 3)]
    assert parents([*nine, *second]) == ["0001-000023", "0001-000009"]
    third = [promoted(30 + n, each, 0.9, rung=2) for n, each in enumerate(second)]
    assert parents([*nine, *second, *third]) == ["0001-000009"]


def test_what_was_cut_short_or_failed_is_at_no_rung() -> None:
    assert parents([*FIRST[:4], outcome(5, 0.9, None), outcome(6, None)]) == ["0001-000004"]


def test_a_small_model_goes_on_where_size_counts() -> None:
    costly = [outcome(slot, 0.1 * slot, parameters=100 * slot) for slot in range(1, 6)]
    small = outcome(9, 0.05, parameters=1)
    assert small.uid not in parents([*costly, small])
    assert small.uid in parents(
        [*costly, small, *[outcome(n, 0.0, parameters=999) for n in range(10, 22)]], (), "parameters"
    )


@given(
    scores=st.lists(st.integers(0, 8), min_size=1, max_size=40),
    trainers=st.integers(1, 4),
    late=st.booleans(),
    rng=st.randoms(use_true_random=False),
)
def test_asynchronous_trainers_promote_each_trial_once(scores, trainers, late, rng) -> None:
    """Trials end in any order, and trainers see each other's late or at once; a key that is taken is taken."""
    log: list[Outcome] = []
    claimed: dict[str, Outcome] = {}  # by key of a promotion, what it is made from
    views = [0] * trainers
    running: list[Outcome] = []
    todo = [each / 10 for each in scores]
    slot = 0
    while todo or running:
        trainer = rng.randrange(trainers)
        views[trainer] = rng.randint(views[trainer], len(log)) if late else len(log)
        if running and (not todo or len(running) == trainers or rng.random() < 0.5):
            log.append(running.pop(rng.randrange(len(running))))
            continue
        slot += 1
        seen = log[: views[trainer]]
        under_way = set() if late else {each.uid for each in claimed.values()}
        found = next((each for each in promotions(seen, under_way, None) if each.key not in claimed), None)
        if found is None:
            running.append(outcome(slot, todo.pop()))
        else:
            parent = claimed[found.key] = next(each for each in seen if each.uid == found.parents[0])
            running.append(promoted(slot, parent, parent.score + rng.choice((0.0, 0.1)), 1 + parent.rung))
    made = [each for each in log if each.kind == "promote"]
    assert len({each.parents[0] for each in made}) == len(made) == len(claimed)
    assert all(each.rung < len(RUNGS) - 1 for each in claimed.values())
    if not late:
        for rung in range(len(RUNGS)):
            gone_on = sum(each.rung == rung for each in claimed.values())
            assert gone_on <= sum(each.rung == rung for each in log) // REDUCTION
    lineages = furthest(log)
    assert len(lineages) == len(scores)
    assert {each.uid for each in lineages}.isdisjoint(each.parents[0] for each in made)


def test_a_lineage_is_one_trial_to_algorithms_and_ensembles() -> None:
    history = [*FIRST, promoted(7, FIRST[5], 0.8), promoted(8, FIRST[4], None, None)]
    history.append(promoted(9, history[6], 0.9, rung=2))
    lineages = furthest(history)
    assert [each.uid for each in lineages] == [f"0001-{slot:06d}" for slot in (1, 2, 3, 4, 5, 9)]
    assert ensemble(lineages).parents[:2] == ("0001-000009", "0001-000005")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_goes_on_from_the_furthest(name: str) -> None:
    space = load_space("tabular")
    rng = np.random.default_rng(0)
    first = [
        outcome(n, 0.5, architecture=space.random_architecture(rng), hyperparameters=space.random_hyperparameters(rng))
        for n in range(1, 13)
    ]
    on = dataclasses.replace(promoted(13, first[3], 0.9), hyperparameters=first[3].hyperparameters)
    pending = [promotion(on)]
    for _ in range(5):
        proposal = ALGORITHMS[name](furthest([*first, on]), pending, space, rng)
        assert first[3].uid not in proposal.parents
        assert (proposal.architecture, dict(proposal.hyperparameters)) != (on.architecture, dict(on.hyperparameters))


SETTINGS = {"early_stopping": "promotion", "batch_size": 32}


def result(status: str, evaluations: int) -> TrialResult:
    return TrialResult(status=status, curve=(0.5,) * evaluations)


def test_the_stages_of_a_whole_training() -> None:
    first = stage_of(Proposal(("a",)), None, SETTINGS, 7)
    assert (first.evaluations, first.seed, first.batch_size, first.parent) == (1, 7, 32, None)
    parent = outcome(1, 0.5, seed=5, batch_size=16)
    second = stage_of(promotion(parent), parent, SETTINGS, 7)
    assert (second.evaluations, second.seed, second.batch_size, second.parent) == (3, 5, 16, parent)
    third = stage_of(promotion(parent), dataclasses.replace(parent, rung=1), SETTINGS, 7)
    assert third.evaluations == 10
    assert [each.may_go_on(result("completed", 1)) for each in (first, second, third)] == [True, True, False]
    assert not first.may_go_on(result("stopped", 1))


def test_a_tower_that_nobody_promotes_is_trained_to_the_end() -> None:
    tower = stage_of(Proposal(("a",), kind="ensemble", base="0001-000001"), None, SETTINGS, 7)
    assert tower.evaluations == RUNGS[-1]
    assert tower.reached(result("completed", 10)) == len(RUNGS) - 1
    assert not tower.may_go_on(result("completed", 10))


def test_what_a_row_says_of_rungs() -> None:
    parent = outcome(1, 0.5)
    second, third = (
        stage_of(promotion(parent), dataclasses.replace(parent, rung=rung), SETTINGS, 7) for rung in (0, 1)
    )
    assert [second.reached(result(*each)) for each in (("completed", 2), ("stopped", 1), ("diverged", 0))] == [1, 0, 0]
    assert [third.reached(result(*each)) for each in (("completed", 7), ("stopped", 3))] == [2, 1]
    behind = stage_of(Proposal(("a",)), None, {**SETTINGS, "early_stopping": "asha"}, 7)
    assert [behind.reached(result(*each)) for each in (("completed", 10), ("stopped", 1), ("stopped", 4))] == [2, 0, 1]
    assert stage_of(Proposal(("a",)), None, {"batch_size": 32}, 7).reached(result("completed", 10)) is None
    assert behind.reached(TrialResult(status="failed")) is None
