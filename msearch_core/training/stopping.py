"""Ending trials that fall behind, by what all trainers have published of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msearch_core.algorithms.early_stopping import RUNGS, Reached, beats_median, goes_on
from msearch_core.algorithms.history import Outcome
from msearch_core.algorithms.promotion import PROMOTION
from msearch_core.training.spec import ProgressRecord
from msearch_core.trial_log import Board, Claim
from msearch_core.trial_log.layout import parse_uid
from msearch_core.trial_log.rungs import RungRecord, Rungs

COUNTED = ("parameters", "flops")
"""Costs that are known before a trial ends; another one is stood for by the parameters."""


class EarlyStopping:
    """One trainer's decisions on its own trials, made from the log alone.

    Args:
        board: the run.
        history: the finished trials by uid, kept up to date by the caller.
        direction: of the objective, ``max`` or ``min``.
        settings: ``early_stopping``, of which ``asha`` and ``median`` end trials, and what to ``minimize`` beside the
            objective.

    Attributes:
        rule: the one of ``early_stopping``; ``None`` if no trial is ended early.
    """

    def __init__(
        self, board: Board, history: Mapping[str, Outcome], direction: str, settings: Mapping[str, Any]
    ) -> None:
        self._board = board
        self._history = history
        self._sign = 1.0 if direction == "max" else -1.0
        rule = settings.get("early_stopping")
        self.rule = None if rule == PROMOTION else rule
        self._minimize = settings.get("minimize")
        self._rungs = Rungs(board.store)
        self._passed: dict[str, int] = {}

    def verdict(self, claim: Claim, progress: ProgressRecord) -> str | None:
        """Publish each rung that the trial has come to; say why it should end, or ``None`` if it goes on.

        Raises:
            OSError: the store is away; asked again, it takes up the rung at which it failed.
        """
        if not self.rule:
            return None
        for rung in range(self._passed.get(claim.uid, 0), len(RUNGS) - 1):
            if len(progress.curve) < RUNGS[rung]:
                return None
            self._publish(claim, rung, progress)
            folders = {parse_uid(uid).folder for uid in self._board.claims.latest}
            self._rungs.refresh(folders, self._history.__contains__)
            # Not before: where the store was away, the caller asks again.
            self._passed[claim.uid] = rung + 1
            if not self._goes_on(claim.uid, rung, progress):
                return f"early stopping ({self.rule}) after {RUNGS[rung]} of {RUNGS[-1]} evaluations"
        return None

    def _publish(self, claim: Claim, rung: int, progress: ProgressRecord) -> None:
        reached = RungRecord(
            uid=claim.uid,
            attempt=claim.attempt,
            rung=rung,
            objective=progress.curve[RUNGS[rung] - 1],
            cost=self._cost(progress),
        )
        self._rungs.publish(reached)

    def _goes_on(self, uid: str, rung: int, progress: ProgressRecord) -> bool:
        # What an ensemble scores on its way cannot be compared with what a model by itself does.
        alone = {each: outcome for each, outcome in self._history.items() if outcome.kind != "ensemble"}
        curves = {each: self._scores(outcome.curve) for each, outcome in alone.items()}
        for each, reached in self._rungs.reached.items():
            if each not in curves:
                curves[each] = [self._sign * reached[level].objective for level in sorted(reached)]
        own = self._scores(progress.curve)[: rung + 1]
        others = {each: curve for each, curve in curves.items() if each != uid and len(curve) > rung}
        if self.rule == "median":
            return beats_median(own, others.values())
        peers = [Reached(each, curve[rung], self._cost_of(each)) for each, curve in others.items()]
        return goes_on(Reached(uid, own[rung], self._cost(progress) or 0.0), peers)

    def _scores(self, curve: Sequence[float]) -> list[float]:
        """A curve's scores at the rungs before the last."""
        return [self._sign * curve[point - 1] for point in RUNGS[:-1] if len(curve) >= point]

    def _cost(self, progress: ProgressRecord) -> float | None:
        if self._minimize is None:
            return None
        return float(getattr(progress, self._minimize if self._minimize in COUNTED else "parameters"))

    def _cost_of(self, uid: str) -> float:
        if self._minimize is None:
            return 0.0
        if uid in self._history:
            name = self._minimize if self._minimize in COUNTED else "parameters"
            return float(getattr(self._history[uid], name) or 0.0)
        return max((reached.cost or 0.0 for reached in self._rungs.reached[uid].values()), default=0.0)
