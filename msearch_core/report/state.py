"""Whether a run is still at work."""

from __future__ import annotations

import time

from msearch_core.algorithms.history import outcomes
from msearch_core.trial_log import Board, RunRecord, TrialLog, WinnerRecord
from msearch_core.winning import candidates, choose

NAMING_SECONDS = 300.0
"""A run that has been over for so long without a winner gets none: whoever should name it was stopped or died."""


def winner_of(log: TrialLog, run: RunRecord | None) -> WinnerRecord | None:
    """The newest winner of a run, if one is named."""
    return next((each for each in reversed(log.winners()) if run and each.run == run.run), None)


def is_running(log: TrialLog, run: RunRecord | None, winner: WinnerRecord | None) -> bool:
    """Whether more is to come: slots are open, or a trainer is at work."""
    if run is None:
        return False
    board = log.board(run, ("uid", "run"))
    board.look()
    return not (board.is_over or _is_settled(board, winner))


def _is_settled(board: Board, winner: WinnerRecord | None) -> bool:
    """Whether the winner is that of the run as it stands, and not of a budget that was extended since."""
    spent = board.is_complete or board.stopped is not None
    return spent and winner is not None and winner.trials >= board.done


class Watch:
    """Whether the newest run of a log has ended, asked again and again.

    Args:
        log: the trial log.
    """

    def __init__(self, log: TrialLog) -> None:
        self._log = log
        self._board: Board | None = None
        self._over_since: float | None = None

    def has_ended(self, now: float | None = None) -> bool:
        """Whether nothing more is to come: its winner is named, or it is over and none can or will be.

        Args:
            now: monotonic seconds, for tests.
        """
        run = next(reversed(self._log.runs()), None)
        if run is None:
            return False
        now = time.monotonic() if now is None else now
        if self._board is None or self._board.run != run.run:
            self._board, self._over_since = self._log.board(run, ("uid", "run")), None
        self._board.look(now)
        if _is_settled(self._board, winner_of(self._log, run)):
            return True
        if not self._board.is_over:
            self._over_since = None
            return False
        if self._over_since is None:
            self._over_since = now
        return now - self._over_since > NAMING_SECONDS or not self._can_win(run)

    def _can_win(self, run: RunRecord) -> bool:
        history = outcomes(self._log.table(), run.run)
        return choose(candidates(self._log, history, self._log.winners())) is not None
