"""What a running search says of itself, on a terminal and where there is none."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from msearch_core.algorithms.history import COLUMNS
from msearch_core.progress import Progress, follow
from msearch_core.trial_log import TrialLog
from tests.test_board import claim
from tests.test_log_contract import run_record, search_record, trial


@pytest.fixture
def log(tmp_path: Path) -> TrialLog:
    made = TrialLog(str(tmp_path / "log"))
    made.open(search_record())
    made.add_run(run_record(3))
    return made


def followed(log: TrialLog, running: Iterator[bool]) -> list[str]:
    said = io.StringIO()
    progress = Progress(log.search(), log.board(run_record(3), COLUMNS))
    follow(progress, Console(file=said, width=200), running)
    return said.getvalue().splitlines()


def finishing(log: TrialLog, *slots: int) -> Iterator[bool]:
    for slot in slots:
        log.append(trial(slot, run="0001", architecture=("dense(units=64)",), direction="max"))
        yield True


def test_each_trial_is_a_line(log: TrialLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msearch_core.progress.LOOK_SECONDS", 0.0)
    first, second = followed(log, finishing(log, 1, 2))
    assert first == "1/3  0001-000001  accuracy 0.0100  dense(units=64)"
    assert second.startswith("2/3  0001-000002")


def test_without_trainers_it_says_what_it_waits_for(log: TrialLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msearch_core.progress.LOOK_SECONDS", 0.0)
    log.set_trainers("0001", 0)
    (said,) = [line for line in followed(log, iter([True, True])) if "trainer" in line]
    assert said == "no trainer is wanted; `msearch trainers LOG NUMBER` asks for some again"


def test_minutes_of_an_earlier_search_are_no_longer_to_go(tmp_path: Path) -> None:
    log = TrialLog(str(tmp_path / "log"))
    log.open(search_record())
    progress = Progress(log.search(), log.board(run_record(100, minutes=10.0), COLUMNS), used=9.0)
    progress.look()
    log.append(trial(1, run="0001", direction="max"))
    progress.look()
    progress._began -= 30.0
    assert progress.remaining_seconds is not None
    assert progress.remaining_seconds < 31.0


def test_a_search_that_goes_on_counts_what_was_there(log: TrialLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msearch_core.progress.LOOK_SECONDS", 0.0)
    list(finishing(log, 1, 2))
    earlier, last = followed(log, finishing(log, 3))
    assert earlier == "2/3 trials are on record already; the best is 0001-000002, accuracy 0.0200"
    assert last.startswith("3/3  0001-000003")


def drawn(progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(progress)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_what_is_drawn_does_not_touch_the_board_that_another_thread_changes(tmp_path: Path) -> None:
    log = TrialLog(str(tmp_path))
    record = log.open(search_record())
    log.add_run(run_record(2))
    progress = Progress(record, log.board(run_record(2)))
    progress.board.claim(claim(1))
    assert "starting" in drawn(progress), "nobody has looked yet"
    progress.look()
    log.append(trial(1))
    progress.board.look()  # as far as a look of the other thread may have come
    assert "0001-000001" in drawn(progress)
    progress.look()
    assert "0001-000001" not in drawn(progress)
