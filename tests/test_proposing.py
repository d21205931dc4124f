"""A trainer's decisions, against a real log: one slot a trial, one trial a proposal, and what becomes of lost ones."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from msearch_core.config import make_config
from msearch_core.errors import UserError
from msearch_core.session import Session, join
from msearch_core.space import Architecture, Choice, Proposal, SearchSpace
from msearch_core.training.limits import excess, limits_of
from msearch_core.training.proposing import MAX_REDRAWS, Proposer, Refusal
from msearch_core.training.rows import make_row
from msearch_core.training.spec import CountResult, TrialResult
from msearch_core.trial import Trial
from msearch_core.trial_log import MAX_ATTEMPTS, Claim, Identity, StopRecord, layout
from tests.test_board import identity


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "table.csv"
    path.write_text("a,b,y\n" + "".join(f"{i},{i * 7 % 11},{'no' if i % 2 else 'yes'}\n" for i in range(60)))
    return join(make_config(data=str(path), target="y", log=str(tmp_path / "log"), trials=8))


def proposer(session: Session, name: str = "a", refusal: Refusal = lambda _: None) -> Proposer:
    """A trainer on another machine, so that its death shows by silence alone."""
    made = Proposer(session, identity(f"{name}-1-abc"), refusal)
    made.look()
    return made


def finish(session: Session, claim: Claim, objective: float = 0.5) -> None:
    result = TrialResult(status="completed", objective=objective, metrics={"log_loss": 1 - objective}, steps=10)
    me = Identity(**claim.owner)
    assert session.log.append(make_row(session, claim, me, result, cumulative_steps=10))


def work(session: Session, name: str) -> list[Claim]:
    trainer, claims = proposer(session, name), []
    while not trainer.board.is_over:
        if claim := trainer.next():
            claims.append(claim)
            finish(session, claim, objective=len(claims) / 100)
        trainer.look()
    return claims


def test_suggestions_come_first_then_the_algorithm(session: Session) -> None:
    claims = work(session, "a")
    suggested = len(session.space.suggestions)
    kinds = [claim.proposal["kind"] for claim in claims]
    assert kinds == ["seed"] * suggested + ["search"] * (8 - suggested)
    assert [tuple(claim.proposal["architecture"]) for claim in claims[:suggested]] == list(session.space.suggestions)
    assert all(session.space.is_valid(claim.proposal["architecture"]) for claim in claims)
    assert claims[-1].history["results"] or claims[-1].history["chunks"]


def test_one_trainer_alone_is_reproducible(session: Session, tmp_path: Path) -> None:
    first = work(session, "a")
    again = dataclasses.replace(session, log=join(make_config(**config_elsewhere(session, tmp_path))).log)
    second = work(again, "b")
    assert [claim.proposal for claim in first] == [claim.proposal for claim in second]


def config_elsewhere(session: Session, tmp_path: Path) -> dict[str, object]:
    return {"data": session.run.data["data"], "target": "y", "log": str(tmp_path / "other"), "trials": 8}


def test_racing_trainers_spend_the_budget_exactly(session: Session) -> None:
    with ThreadPoolExecutor(4) as pool:
        claims = [claim for made in pool.map(lambda name: work(session, name), "abcd") for claim in made]
    assert sorted(claim.uid for claim in claims) == [f"0001-{slot:06d}" for slot in range(1, 9)]
    assert len({claim.key for claim in claims}) == 8
    frame = session.log.trials()
    assert sorted(frame["slot"]) == list(range(1, 9))


def test_living_trainers_begin_with_slots_of_their_own(session: Session) -> None:
    for name in "abc":
        session.log.store.create(layout.heartbeat_file(f"{name}-1-abc", 0), b"")
    trainers = [proposer(session, name) for name in "abc"]  # all look before any claims
    assert [(claim := trainer.next()) and claim.uid for trainer in trainers] == [
        f"0001-{slot:06d}" for slot in (1, 2, 3)
    ]
    alone = proposer(session, "d")
    assert (claim := alone.next())
    assert claim.uid == "0001-000004"


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_what_others_did_since_a_trainer_looked_costs_it_no_race(session: Session, ahead: int) -> None:
    log = session.log.store
    for name in "abc":
        log.create(layout.heartbeat_file(f"{name}-1-abc", 0), b"")
    fast, late = proposer(session, "a"), proposer(session, "b")
    for _ in range(ahead):
        claim = fast.next()
        assert claim
        finish(session, claim)
        fast.look()
    claim = late.next()
    assert claim
    assert len(log.list("claims/keys")) == ahead + 1  # none was marked for a slot that was lost
    assert (claim.uid, claim.history["results"], claim.history["chunks"]) == ("0001-000002", [], 0)


def test_a_trainer_that_lost_a_race_looks_before_it_tries_again(session: Session) -> None:
    fast, late = proposer(session, "a"), proposer(session, "b")  # neither is seen to beat, so both begin at the lowest
    for _ in range(5):
        claim = fast.next()
        assert claim
        finish(session, claim)
        fast.look()
    claim = late.next()
    assert claim
    assert claim.uid == "0001-000006"
    # It lost one race, not five: that for the first slot, for which both had the same suggestion.
    assert len(session.log.store.list("claims/keys")) == 5 + 1
    assert claim.history["chunks"] + len(claim.history["results"]) == 5  # and says what it knew when it proposed


def test_constraints_are_redrawn(session: Session) -> None:
    small = proposer(session, refusal=lambda proposal: "too deep" if len(proposal.architecture) > 1 else None)
    claims = []
    for _ in range(8):
        claim = small.next()
        assert claim
        finish(session, claim)
        small.look()
        claims.append(claim)
    assert len({claim.uid for claim in claims}) == 8
    assert all(len(claim.proposal["architecture"]) == 1 and claim.refused is None for claim in claims)
    assert any(claim.redraws for claim in claims)


def test_a_slot_for_which_nothing_is_acceptable_says_why(session: Session) -> None:
    claim = proposer(session, refusal=lambda _: "nothing pleases").next()
    assert claim is not None
    assert claim.redraws == MAX_REDRAWS
    assert claim.refused == f"{MAX_REDRAWS} redraws, all refused; the last: nothing pleases"


def test_a_finite_space_is_tried_through_and_no_further(session: Session) -> None:
    blocks = session.space.blocks[:3]
    tiny = SearchSpace("tiny", blocks=blocks, hyperparameters={"optimizer": Choice(("adam",))}, max_depth=1)
    claims = work(
        dataclasses.replace(session, space=tiny, search=dataclasses.replace(session.search, algorithm="random")), "a"
    )
    accepted = [claim.proposal["architecture"][0] for claim in claims if claim.refused is None]
    assert sorted(accepted) == sorted(block.name for block in blocks)
    assert all("tried before" in str(claim.refused) for claim in claims if claim.refused)


def test_a_trial_handed_back_goes_on_with_the_same_proposal(session: Session) -> None:
    first, second = proposer(session, "a"), proposer(session, "b")
    claim = first.next()
    assert claim
    first.board.release(claim)
    second.look()
    taken = second.next()
    assert taken
    assert (taken.uid, taken.attempt, taken.lost) == (claim.uid, 2, 0)
    assert Proposal.from_json(taken.proposal) == Proposal.from_json(claim.proposal)


def watch_for_long(trainer: Proposer) -> None:
    """Look at the log for longer than a lease, by the trainer's own clock."""
    for second in range(0, 100, 10):
        trainer.board.look(now=float(second))


def test_a_poison_trial_is_given_up_after_three_trainers(session: Session) -> None:
    claims = []
    for name in "abcd":
        trainer = Proposer(session, identity(f"{name}-1-abc"))
        session.log.store.create(layout.heartbeat_file(trainer.me.trainer, 0), b"")
        watch_for_long(trainer)  # and sees whoever had the trial before fall silent
        claims.append(trainer.next())
    assert [(claim and claim.uid, claim and claim.attempt, claim and claim.lost) for claim in claims] == [
        ("0001-000001", 1, 0),
        ("0001-000001", 2, 1),
        ("0001-000001", 3, 2),
        ("0001-000001", 4, MAX_ATTEMPTS),
    ]
    assert len({Proposal.from_json(claim.proposal).key for claim in claims if claim}) == 1


def test_a_claim_whose_reply_was_lost_is_ones_own(session: Session) -> None:
    trainer = proposer(session)
    claim = trainer.next()
    assert claim
    forgetful = Proposer(session, trainer.me)  # as if it had never heard that the claim was made
    forgetful.look()
    again = forgetful.next()
    assert again
    assert (again.uid, again.attempt) == (claim.uid, claim.attempt)


def test_a_damaged_claim_gets_a_new_proposal(session: Session) -> None:
    session.log.store.create(layout.claim_file("0001-000001", 1), b"\x00")
    claim = proposer(session).next()
    assert claim
    assert (claim.uid, claim.attempt) == ("0001-000001", 2)
    assert session.space.is_valid(claim.proposal["architecture"])


def test_a_stopped_run_gives_no_more_trials(session: Session) -> None:
    trainer = proposer(session)
    session.log.stop(session.run, StopRecord(reason="enough"))
    trainer.look()
    assert trainer.next() is None
    assert trainer.board.is_over


def test_a_proposal_survives_json(session: Session) -> None:
    claim = proposer(session).next()
    assert claim
    again = Claim.from_bytes(claim.to_bytes())
    assert again == dataclasses.replace(claim, proposal=again.proposal)
    assert Proposal.from_json(again.proposal) == Proposal.from_json(claim.proposal)
    assert Proposal.from_json(again.proposal).key == claim.key


def small(architecture: Architecture) -> bool:
    return sum("units=" in name for name in architecture) <= 1


def test_trainers_with_limits_share_the_work(session: Session) -> None:
    """One takes what is small and one the rest; the budget is exact, and nothing is called infeasible."""
    modest, large = proposer(session, "a"), proposer(session, "b")
    modest.takes, large.takes = small, lambda architecture: not small(architecture)
    taken: dict[str, list[Architecture]] = {"a": [], "b": []}
    for _ in range(40):
        for name, trainer in (("a", modest), ("b", large)):
            trainer.look()
            if claim := trainer.next():
                taken[name].append(tuple(claim.proposal["architecture"]))
                finish(session, claim)
    assert len(taken["a"]) + len(taken["b"]) == 8
    assert all(small(architecture) for architecture in taken["a"])
    assert not any(small(architecture) for architecture in taken["b"])
    assert set(session.log.trials()["status"]) == {"completed"}


def test_a_trial_that_is_too_large_is_not_taken_over(session: Session) -> None:
    first = proposer(session, "a")
    claim = first.next()
    assert claim
    first.board.release(claim)
    modest = proposer(session, "b")
    modest.takes = lambda architecture: architecture != tuple(claim.proposal["architecture"])
    again = modest.next()
    assert again is None or again.uid != claim.uid
    taker = proposer(session, "c")
    assert (found := taker.next())
    assert (found.uid, found.attempt) == (claim.uid, 2)


def test_a_new_run_begins_with_the_best_of_the_last_one(session: Session) -> None:
    architectures = list(session.space.suggestions)[:2]
    for number, (architecture, score) in enumerate(zip(architectures, (0.7, 0.9), strict=True), start=1):
        session.log.append(
            Trial(
                uid=f"0001-r{number:05d}", search="s", run="0001", kind="rescore", status="completed", objective=score,
                direction="max", architecture=architecture, parents=(f"0000-{number:06d}",), weights="weights/old",
                hyperparameters={"learning_rate": 0.01}, cumulative_steps=500,
            )
        )  # fmt: skip
    session.log.seal()
    claims = work(session, "a")
    first, second, third = (claim.proposal for claim in claims[:3])
    assert (tuple(first["architecture"]), first["parents"]) == (architectures[1], ("0001-r00002",))
    assert (tuple(second["architecture"]), second["parents"]) == (architectures[0], ("0001-r00001",))
    assert (first["kind"], first["algorithm"], first["hyperparameters"]) == ("seed", "refresh", {"learning_rate": 0.01})
    assert third["algorithm"] == session.search.algorithm
    assert [claim.uid for claim in claims] == [f"0001-{slot:06d}" for slot in range(1, 9)], "they take no slot"


def with_settings(session: Session, algorithm: str, **settings: object) -> Session:
    search = dataclasses.replace(session.search, algorithm=algorithm, settings=session.search.settings | settings)
    return dataclasses.replace(session, search=search)


def test_an_ensemble_is_for_trainers_of_any_limits(session: Session) -> None:
    asked = with_settings(session, "random", ensemble_every=3)
    first, modest = proposer(asked, "a"), proposer(asked, "b")
    modest.takes = lambda _: False
    assert modest.next() is None
    for _ in range(2):
        claim = first.next()
        assert claim
        result = TrialResult(status="completed", objective=0.5, steps=10)
        files = {"weights": f"weights/{claim.uid}", "predictions": f"predictions/{claim.uid}"}
        assert session.log.append(make_row(asked, claim, first.me, result, **files))
        first.look()
    modest.look()
    claim = modest.next()
    assert claim
    assert claim.proposal["kind"] == "ensemble"
    modest.board.release(claim)
    modest.look()
    again = modest.next()
    assert again
    assert (again.uid, again.attempt) == (claim.uid, 2)


def test_an_algorithm_gets_the_options_of_the_search(session: Session) -> None:
    always = with_settings(session, "coordinate_descent", algorithm_options={"random_probability": 1.0})
    assert all(not claim.proposal["parents"] for claim in work(always, "a"))


def test_options_that_the_algorithm_does_not_have_are_refused(session: Session) -> None:
    wrong = with_settings(session, "random", algorithm_options={"population": 3})
    with pytest.raises(UserError, match="random has no option 'population'"):
        proposer(wrong).next()


@pytest.mark.parametrize(("minimize", "parent"), [(None, "0001-000003"), ("parameters", "0001-000001")])
def test_parents_come_from_the_front_of_score_and_cost(session: Session, minimize: str | None, parent: str) -> None:
    options = {"beam_size": 1, "random_trials": 1, "random_probability": 0.0}
    asked = with_settings(session, "coordinate_descent", algorithm_options=options, minimize=minimize)
    trainer = proposer(asked)
    # The first and the last are the ends of the front, of which the earlier comes first.
    for score, parameters in ((0.5, 10), (0.4, 30), (0.9, 40)):
        claim = trainer.next()
        assert claim
        result = TrialResult(status="completed", objective=score, steps=10, parameters=parameters)
        assert session.log.append(make_row(asked, claim, trainer.me, result, cumulative_steps=10))
        trainer.look()
    proposal = next(trainer.proposals(8, np.random.default_rng(0)))
    assert proposal.parents == (parent,)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"max_params": 1234, "max_flops": None}, None),
        ({"max_params": 1000}, "1,234 parameters, 1,000 are allowed"),
        ({"max_params": 9999, "max_flops": 5000}, "56,789 FLOPs an example, 5,000 are allowed"),
        ({"max_bytes": 4000}, "4,936 bytes, 4,000 are allowed"),
        ({"max_latency_ms": 0.25}, "1.23 ms a prediction, 0.25 are allowed"),
    ],
)
def test_a_limit_that_is_broken_is_said(settings: dict[str, float | None], said: str | None) -> None:
    cost = CountResult(parameters=1234, flops=56789, model_bytes=4936, latency_ms=1.2345)
    assert excess(cost, limits_of({"steps": 3, **settings})) == said
    assert excess(CountResult(), limits_of(settings)) is None


def test_the_best_of_a_rung_is_promoted_once_by_whoever_comes_first(session: Session) -> None:
    """Both have seen the same; the claim's key decides, and the other one goes on searching."""
    asked = with_settings(session, "random", early_stopping="promotion")
    first, second = proposer(asked, "a"), proposer(asked, "b")
    suggested = len(session.space.suggestions)
    for number in range(suggested):
        claim = first.next()
        assert claim
        result = TrialResult(status="completed", objective=number / 10, curve=(number / 10,), steps=10)
        assert asked.log.append(make_row(asked, claim, first.me, result, rung=0, seed=number, batch_size=32))
        first.look()
    second.look()
    claims = [trainer.next() for trainer in (first, second)]
    kinds = [claim and claim.proposal["kind"] for claim in claims]
    assert kinds[0] == "promote"
    assert claims[0].proposal["parents"] == (f"0001-{suggested:06d}",)
    assert [kind for kind in kinds if kind == "promote"] == ["promote"] * min(2, suggested // 3)
    first.board.release(claims[0])
    again = proposer(asked, "c").next()
    assert (again.uid, again.attempt, again.proposal["kind"]) == (claims[0].uid, 2, "promote")
