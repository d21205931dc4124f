"""A trainer's decision to end a trial, from the rows and the rungs of the others."""

import dataclasses

import pytest

from msearch_core.algorithms.history import Outcome
from msearch_core.training.spec import ProgressRecord
from msearch_core.training.stopping import EarlyStopping
from msearch_core.trial_log import TrialLog
from msearch_core.trial_log.layout import rung_file
from msearch_core.trial_log.rungs import Rungs
from msearch_core.trial_log.store import Store
from tests.test_board import claim
from tests.test_log_contract import run_record, search_record


@pytest.fixture
def log(tmp_path) -> TrialLog:
    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.add_run(run_record(50))
    return log


def finished(slot: int, *curve: float) -> Outcome:
    return Outcome(
        uid=f"0001-{slot:06d}",
        score=curve[-1],
        tie_break=0.0,
        architecture=("a",),
        hyperparameters={},
        parameters=100,
        weights=None,
        cumulative_steps=1,
        curve=curve,
    )


def reached(*curve: float, parameters: int = 100) -> ProgressRecord:
    return ProgressRecord(curve=curve, parameters=parameters, flops=200)


def stopping(log: TrialLog, history: list[Outcome], direction: str = "max", **settings: str) -> EarlyStopping:
    board = log.board(log.runs()[0])
    board.look()
    return EarlyStopping(board, {each.uid: each for each in history}, direction, settings)


GOOD = [finished(slot, *[0.8 + slot / 100] * 10) for slot in range(1, 7)]


def test_a_trial_that_is_behind_at_its_first_rung_ends_there(log: TrialLog) -> None:
    rule = stopping(log, GOOD, early_stopping="asha")
    verdict = rule.verdict(claim(9), reached(0.5))
    assert verdict is not None
    assert "after 1 of 10" in verdict
    assert stopping(log, GOOD, early_stopping="asha").verdict(claim(10), reached(0.9)) is None


def test_without_a_rule_nothing_is_published(log: TrialLog) -> None:
    assert stopping(log, GOOD).verdict(claim(9), reached(0.0)) is None
    assert log.store.list("rungs") == []


def test_trials_under_way_are_compared_with_each_other(log: TrialLog) -> None:
    first = stopping(log, [], early_stopping="asha")
    for slot in range(1, 6):
        own = dataclasses.replace(claim(slot), key=f"{slot:016x}")
        assert first._board.claim(own)
        assert first.verdict(own, reached(0.9 + slot / 100)) is None
    second = stopping(log, [], early_stopping="asha")
    assert second.verdict(claim(6), reached(0.3)) is not None


def test_an_ensemble_is_no_peer(log: TrialLog) -> None:
    ensembles = [dataclasses.replace(each, kind="ensemble") for each in GOOD]
    assert stopping(log, ensembles, early_stopping="asha").verdict(claim(9), reached(0.5)) is None


def test_the_second_rung_is_compared_with_second_rungs(log: TrialLog) -> None:
    late = [finished(slot, 0.1, 0.2, 0.9 + slot / 1000) for slot in range(1, 7)]
    rule = stopping(log, late, early_stopping="asha")
    assert rule.verdict(claim(9), reached(0.5)) is None
    assert rule.verdict(claim(9), reached(0.5, 0.6)) is None
    verdict = rule.verdict(claim(9), reached(0.5, 0.6, 0.7))
    assert verdict is not None
    assert "after 3 of 10" in verdict


class Away(Store):
    """A store that fails the first request of one kind."""

    def __init__(self, store: Store, failing: str) -> None:
        super().__init__(store.fs, store.root)
        self.store, self.failing = store, {failing}

    def create(self, name: str, data: bytes) -> bool:
        self._fail("create")
        return self.store.create(name, data)

    def list_many(self, folders):
        self._fail("list")
        return self.store.list_many(folders)

    def _fail(self, request: str) -> None:
        if request in self.failing:
            self.failing.remove(request)
            raise OSError("503 Service Unavailable")


@pytest.mark.parametrize("failing", ["create", "list"])
def test_a_rung_that_could_not_be_told_is_told_when_the_store_is_back(log: TrialLog, failing: str) -> None:
    rule = stopping(log, GOOD, early_stopping="asha")
    rule._rungs = Rungs(Away(log.store, failing))
    with pytest.raises(OSError, match="503"):
        rule.verdict(claim(9), reached(0.5))
    assert rule.verdict(claim(9), reached(0.5)) is not None
    assert log.store.read(rung_file("0001-000009", 1, 0))


def test_a_loss_is_the_better_the_smaller(log: TrialLog) -> None:
    losses = [finished(slot, *[0.2 + slot / 100] * 10) for slot in range(1, 7)]
    assert stopping(log, losses, "min", early_stopping="median").verdict(claim(9), reached(0.1)) is None
    assert stopping(log, losses, "min", early_stopping="median").verdict(claim(9), reached(0.9)) is not None


def test_a_small_model_goes_on_where_size_counts(log: TrialLog) -> None:
    behind = reached(0.5, parameters=10)
    assert stopping(log, GOOD, early_stopping="asha").verdict(claim(9), behind) is not None
    assert stopping(log, GOOD, early_stopping="asha", minimize="parameters").verdict(claim(10), behind) is None
