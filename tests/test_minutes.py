"""How long a run has been searched for, which is all that a budget in minutes knows after a search was killed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.search import budget_used
from msearch_core.trial_log import StopRecord, TrialLog
from msearch_core.trial_log.records import UNLIMITED_TRIALS
from tests.test_log_contract import run_record, search_record, trial

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def searched(spans: list[tuple[int, int]], **fields: object) -> TrialLog:
    """A log whose trials were under way from one minute to another."""
    log = TrialLog(f"memory://{uuid.uuid4().hex}")
    log.open(search_record())
    log.add_run(run_record(len(spans) + 1))
    for slot, (start, end) in enumerate(spans, 1):
        at = {"started_at": BEGAN + timedelta(minutes=start), "finished_at": BEGAN + timedelta(minutes=end)}
        log.append(trial(slot, **({"run": "0001"} | at | fields)))
    return log


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted).map(tuple), max_size=8))
def test_each_minute_in_which_a_trial_was_under_way_counts_once(spans: list[tuple[int, int]]) -> None:
    covered = {minute for start, end in spans for minute in range(start, end)}
    assert searched(spans).minutes_used(run_record()) == len(covered)


def test_time_that_a_stop_tells_counts_though_no_trial_was_under_way() -> None:
    log = searched([(0, 3)])
    log.stop(run_record(), StopRecord(reason="5 minutes", minutes=5.0))
    assert log.minutes_used(run_record(extension=2)) == 5.0
    log.append(trial(2, run="0001", started_at=BEGAN, finished_at=BEGAN + timedelta(minutes=7)))
    assert log.minutes_used(run_record(extension=2)) == 7.0


def test_other_runs_and_what_was_scored_again_do_not_count() -> None:
    assert searched([(0, 3)], run="0002").minutes_used(run_record()) == 0.0
    assert searched([(0, 3)], kind="rescore").minutes_used(run_record()) == 0.0


@pytest.mark.parametrize(
    ("trials", "minutes", "budget", "counted"),
    [
        (20, None, "20 trials", "1 of 20 trials"),
        (2000, 0.5, "2,000 trials or 0.5 minutes", "1 of 2,000 trials"),
        (UNLIMITED_TRIALS, 10.0, "10 minutes", "1 trials"),
    ],
)
def test_a_budget_in_words(trials: int, minutes: float | None, budget: str, counted: str) -> None:
    record = run_record(trials, minutes=minutes)
    assert (record.budget, record.counted(1)) == (budget, counted)


@pytest.mark.parametrize(
    ("trials", "limit", "minutes", "percent"),
    [(4, None, 99.0, 25.0), (4, 10.0, 1.0, 25.0), (4, 10.0, 5.0, 50.0), (UNLIMITED_TRIALS, 10.0, 20.0, 100.0)],
)
def test_the_share_of_a_budget_that_is_used(trials: int, limit: float | None, minutes: float, percent: float) -> None:
    log = searched([(0, 1)])
    board = log.board(run_record(trials, minutes=limit))
    board.look()
    assert budget_used(board, minutes) == percent
