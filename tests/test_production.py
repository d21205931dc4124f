"""What is in use, and when a new winner takes its place."""

import dataclasses
from pathlib import Path

import pytest

from msearch_core import production
from msearch_core.api import SearchResult, find_model, predict
from msearch_core.errors import UserError
from msearch_core.trial import Trial
from msearch_core.trial_log import TrialLog, WinnerRecord
from msearch_core.trial_log.check import Checker
from tests.test_log_contract import run_record, search_record


@pytest.fixture
def log(tmp_path: Path) -> TrialLog:
    made = TrialLog(str(tmp_path / "log"))
    made.open(search_record())
    for run in ("0001", "0002", "0003"):
        made.add_winner(winner(run, 0.9))
    return made


def winner(run: str, accuracy: float) -> WinnerRecord:
    return WinnerRecord(
        run=run, trials=1, uid=f"{run}-000001", model="", validation={"accuracy": accuracy}, test={}, test_openings=1
    )


def rescore(log: TrialLog, accuracy: float | None, error: float | None = 0.02, name: str = "accuracy") -> None:
    """The model in use, scored again on the data of run 2."""
    log.append(
        Trial(
            uid="0002-r00001", search="s", run="0002", kind="rescore", parents=("0001-000001",), objective=accuracy,
            status="failed" if accuracy is None else "completed", objective_se=error, objective_name=name,
            error="new classes" if accuracy is None else None,
        )
    )  # fmt: skip


def test_the_newest_winner_goes_into_use(log: TrialLog) -> None:
    assert production.in_use(log) is None
    assert production.promote(log).uid == "0003-000001"
    assert production.promote(log, "0001-000001").run == "0001"
    assert [each.uid for each in log.productions()] == ["0003-000001", "0001-000001"]
    assert find_model(log.url) == f"{log.url}/models/0001-000001"
    with pytest.raises(UserError, match="in use already"):
        production.promote(log, "0001-000001")
    with pytest.raises(UserError, match="no winner 0009-000001"):
        production.promote(log, "0009-000001")
    assert Checker(log.store).report().is_sound


def test_what_holds_no_model_is_told_apart(tmp_path: Path) -> None:
    running = TrialLog(str(tmp_path / "running"))
    running.open(search_record())
    running.add_run(run_record())
    with pytest.raises(UserError, match=r"running has no winner yet, which is named when its search ends; .*trials"):
        find_model(str(tmp_path / "running"))
    (tmp_path / "model.keras").touch()
    with pytest.raises(UserError, match=r"model\.keras is a file; expected first a log"):
        find_model(str(tmp_path / "model.keras"))
    with pytest.raises(UserError, match="then the data's path; data is a DataFrame"):
        predict(running.url, running.trials())  # type: ignore[arg-type]


def test_a_search_predicts_with_its_own_winner_whatever_is_in_use(log: TrialLog) -> None:
    production.promote(log, "0003-000001")
    result = SearchResult(log, run_record(), log.winners()[0])
    assert result.model == f"{log.url}/models/0001-000001"


def test_rolling_back_goes_back_and_back(log: TrialLog) -> None:
    with pytest.raises(UserError, match="nothing was in use before"):
        production.roll_back(log)
    for run in ("0001", "0002", "0003"):
        production.promote(log, f"{run}-000001")
    assert production.roll_back(log).uid == "0002-000001"
    assert production.roll_back(log).uid == "0001-000001"
    with pytest.raises(UserError, match="nothing was in use before 0001-000001"):
        production.roll_back(log)
    production.promote(log, "0003-000001")
    assert production.roll_back(log).uid == "0001-000001"
    assert len(log.productions()) == 7, "the history is kept"


@pytest.mark.parametrize(
    ("old", "new", "better"), [(0.90, 0.93, True), (0.90, 0.915, False), (0.90, 0.90, False), (0.95, 0.90, False)]
)
def test_better_by_more_than_the_standard_error(log: TrialLog, old: float, new: float, better: bool) -> None:
    production.promote(log, "0001-000001")
    rescore(log, old)
    decided, reason = production.decide(log, run_record(run="0002"), winner("0002", new))
    assert decided is better
    assert f"{new:.4f} against 0001-000001 {old:.4f} ± 0.0200" in reason


def test_a_standard_error_that_is_not_known_holds_nothing_up(log: TrialLog) -> None:
    production.promote(log, "0001-000001")
    rescore(log, 0.9, None)
    decided, reason = production.decide(log, run_record(run="0002"), winner("0002", 0.91))
    assert decided
    assert "0.9100 against 0001-000001 0.9000 ± 0.0000" in reason


def test_less_is_better_where_it_is(tmp_path: Path) -> None:
    log = TrialLog(str(tmp_path / "losses"))
    log.open(search_record(objective="rmse", direction="min"))
    first = WinnerRecord(
        run="0001", trials=1, uid="0001-000001", model="", validation={"rmse": 2.0}, test={}, test_openings=1
    )
    log.add_winner(first)
    production.promote(log)
    rescore(log, 2.0, 0.5, "rmse")
    second = {**vars(first), "run": "0002", "uid": "0002-000001"}
    for value, better in ((1.0, True), (1.6, False), (3.0, False)):
        decided, _ = production.decide(
            log, run_record(run="0002"), WinnerRecord(**{**second, "validation": {"rmse": value}})
        )
        assert decided is better


def test_a_model_that_cannot_be_scored_again_is_replaced(log: TrialLog) -> None:
    assert production.decide(log, run_record(run="0002"), winner("0002", 0.1)) == (True, "nothing was in use")
    production.promote(log, "0001-000001")
    rescore(log, None)
    decided, reason = production.decide(log, run_record(run="0002"), winner("0002", 0.1))
    assert decided
    assert "new classes" in reason


def test_a_model_that_was_never_scored_on_the_data_is_not_replaced_unseen(log: TrialLog) -> None:
    production.promote(log, "0001-000001")
    decided, reason = production.decide(log, run_record(run="0002"), winner("0002", 0.99))
    assert not decided
    assert reason == "the model in use, 0001-000001, was not scored on the data of run 0002"


@pytest.mark.parametrize(("new", "better"), [(0.93, True), (0.91, False)])
def test_a_model_in_use_of_the_same_run_is_compared_by_its_own_score(log: TrialLog, new: float, better: bool) -> None:
    production.promote(log, "0002-000001")
    for uid, objective, error in (("0002-000001", 0.9, 0.02), ("0002-000002", 0.1, None)):
        log.append(
            Trial(
                uid=uid, search="s", run="0002", kind="search", status="completed", objective=objective,
                objective_se=error, objective_name="accuracy",
            )
        )  # fmt: skip
    decided, reason = production.decide(
        log, run_record(run="0002"), dataclasses.replace(winner("0002", new), uid="0002-000002")
    )
    assert decided is better
    assert "against 0002-000001 0.9000 ± 0.0200" in reason


def test_the_same_model_is_not_promoted_twice(log: TrialLog) -> None:
    production.promote(log, "0002-000001")
    decided, reason = production.decide(log, run_record(run="0002"), winner("0002", 0.9))
    assert (decided, reason) == (False, "0002-000001 is in use already")
