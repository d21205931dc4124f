"""Whether a run is still at work."""

from __future__ import annotations

from msearch_core.trial_log import RunRecord, TrialLog, WinnerRecord


def winner_of(log: TrialLog, run: RunRecord | None) -> WinnerRecord | None:
    """The newest winner of a run, if one is named."""
    return next((each for each in reversed(log.winners()) if run and each.run == run.run), None)


def is_running(log: TrialLog, run: RunRecord | None, winner: WinnerRecord | None) -> bool:
    """Whether more is to come: no winner is named, and slots are open or a trainer is at work."""
    if run is None or winner is not None:
        return False
    board = log.board(run, ("uid", "run"))
    board.look()
    return not board.is_over
