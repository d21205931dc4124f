"""Which slots are for ensembles and students, and what these are made of."""

import dataclasses

import pytest

from msearch_core.algorithms.history import Outcome
from msearch_core.algorithms.phases import CANDIDATES, LARGEST, ensemble, grows, special, student, tower
from msearch_core.proposal import Proposal, described, described_proposal


def outcome(slot: int, score: float | None, kind: str = "search") -> Outcome:
    uid = f"0001-{slot:06d}"
    return Outcome(
        uid=uid,
        score=score,
        tie_break=0.0,
        architecture=("a",),
        hyperparameters={},
        parameters=1,
        weights=f"weights/{uid}",
        cumulative_steps=1,
        kind=kind,
        predictions=f"predictions/{uid}",
    )


SINGLES = [outcome(1, 0.5), outcome(2, 0.7), outcome(3, None), outcome(4, 0.6)]
EVERY = {"ensemble_every": 5, "distill_every": 5}


@pytest.mark.parametrize(
    ("slot", "kind"), [(4, "search"), (5, "ensemble"), (6, "distill"), (7, "search"), (10, "ensemble")]
)
def test_one_slot_in_so_many(slot: int, kind: str) -> None:
    assert special(slot, SINGLES, [], EVERY) == kind


def test_nothing_special_unless_asked_for() -> None:
    assert {special(slot, SINGLES, [], {}) for slot in range(1, 40)} == {"search"}
    assert special(1, SINGLES, [], EVERY) == "search"


def test_what_cannot_be_made_yet_is_searched_for() -> None:
    assert special(5, SINGLES[:1], [], EVERY) == "search"
    assert special(6, [SINGLES[2]], [], EVERY) == "search"
    assert special(6, SINGLES[:1], [], EVERY) == "distill"


def test_candidates_are_the_best_that_left_outputs() -> None:
    proposal = ensemble(SINGLES)
    assert proposal.kind == "ensemble"
    assert proposal.architecture == ()
    assert proposal.parents == ("0001-000002", "0001-000004", "0001-000001")
    assert len(ensemble([outcome(slot, slot / 100) for slot in range(1, 50)]).parents) == CANDIDATES


def test_models_that_were_scored_again_neither_join_nor_teach() -> None:
    """They take their input as it was prepared for an earlier run."""
    again = [outcome(7, 0.9, "rescore"), outcome(8, 0.8, "rescore")]
    assert special(5, again, [], EVERY) == special(6, again, [], EVERY) == "search"
    assert ensemble([*SINGLES, *again]).parents == ensemble(SINGLES).parents
    assert student(Proposal(("b",), {}), [*SINGLES, *again], []).teacher == "0001-000002"


def test_a_student_does_not_start_from_its_own_teacher() -> None:
    proposal = Proposal(("b",), {"rate": 0.1}, parents=("0001-000002",), mutation={"change": "replace"}, algorithm="x")
    taught = student(proposal, SINGLES, [])
    assert (taught.kind, taught.teacher, taught.parents) == ("distill", "0001-000002", ())
    by_ensemble = student(proposal, SINGLES, [outcome(9, 0.8, "ensemble")])
    assert (by_ensemble.teacher, by_ensemble.parents) == ("0001-000009", ("0001-000002",))
    assert taught.key != proposal.key != by_ensemble.key
    assert Proposal.from_json(dataclasses.asdict(taught)).key == taught.key


@pytest.mark.parametrize(
    ("settings", "ensembles", "by_towers"),
    [
        ({"ensemble_search": "residual"}, [5, 10], True),
        ({"ensemble_search": "adaptive", "ensemble_every": 4}, [4, 8], True),
        ({"ensemble_search": "nonadaptive", "ensemble_every": 4}, [4, 8], False),
        ({"ensemble_every": 4}, [4, 8], False),
        ({"ensemble_search": "none", "ensemble_every": 4}, [], False),
    ],
)
def test_how_ensembles_come_about(settings: dict[str, object], ensembles: list[int], by_towers: bool) -> None:
    assert [slot for slot in range(1, 11) if special(slot, SINGLES, [], settings) == "ensemble"] == ensembles
    assert grows(settings) == by_towers


def grown(slot: int, score: float, members: int) -> Outcome:
    shares = {f"0001-{member:06d}": 1.0 for member in range(2, 2 + members)}
    return dataclasses.replace(outcome(slot, score, "ensemble"), members=shares, adds="logits")


def test_a_tower_stands_beside_the_best_and_starts_from_none_that_it_stands_beside() -> None:
    proposal = Proposal(("b",), {"rate": 0.1}, parents=("0001-000004",), algorithm="x")
    beside = tower(proposal, SINGLES, [])
    assert (beside.kind, beside.base, beside.parents) == ("ensemble", "0001-000002", ("0001-000004",))
    assert (beside.architecture, beside.algorithm) == (("b",), "x")
    assert Proposal.from_json(dataclasses.asdict(beside)) == beside
    assert beside.key != proposal.key

    larger = tower(proposal, SINGLES, [grown(9, 0.8, 3)])
    assert (larger.base, larger.parents) == ("0001-000009", ())
    assert larger.key != beside.key
    assert tower(proposal, SINGLES, [grown(9, 0.8, LARGEST)]).base == "0001-000002"
    unusable = [dataclasses.replace(each, weights=None) for each in SINGLES]
    assert tower(proposal, unusable, []) == proposal


def test_a_tower_stands_beside_the_best_that_it_is_allowed_beside() -> None:
    proposal = Proposal(("b",), {"rate": 0.1}, parents=("0001-000004",), algorithm="x")
    beside = tower(proposal, SINGLES, [grown(9, 0.8, 3)], lambda each: each.base not in ("0001-000009", "0001-000002"))
    assert beside.base == "0001-000004"
    assert tower(proposal, SINGLES, [grown(9, 0.8, 3)], lambda _: False) == proposal


def test_a_grown_ensemble_is_described_by_its_tower_and_its_members() -> None:
    assert described(("a", "b")) == "a > b"
    assert described((), {"x": 0.5, "y": 0.5}) == "ensemble of x, y"
    assert described(("a", "b"), {"x": 1.0, "y": 1.0}) == "a > b in an ensemble of x, y"
    grown_by = tower(Proposal(("b",), {}, parents=("0001-000004",)), SINGLES, [])
    assert described_proposal(dataclasses.asdict(grown_by)) == "b in an ensemble of 0001-000002"
    assert described_proposal(dataclasses.asdict(Proposal(("b",), {}, parents=("x",)))) == "b"
    assert described_proposal(dataclasses.asdict(Proposal((), {}, parents=("x", "y")))) == "ensemble of x, y"
