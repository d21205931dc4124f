"""How far a trial trains, and what it takes over from its parent where it is a promotion. Free of TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msearch_core.algorithms.early_stopping import EVALUATIONS, RUNGS, rung_reached
from msearch_core.algorithms.history import Outcome
from msearch_core.algorithms.promotion import PROMOTION
from msearch_core.space import Proposal
from msearch_core.training.spec import TrialResult


@dataclass(frozen=True)
class Stage:
    """The part of a whole training that one trial is.

    Attributes:
        is_rung: whether trials are compared at rungs at all.
        rung: where the trial ends; the last one is the end of a whole training.
        seed: of the training. A promotion has its parent's: it goes on with the same examples in the same order.
        batch_size: examples a step, for the same reason.
        parent: the trial that is trained on, where this is a promotion.
    """

    is_rung: bool
    rung: int
    seed: int
    batch_size: int
    parent: Outcome | None = None

    @property
    def evaluations(self) -> int:
        """After how many of a whole training's evaluations the trial ends."""
        return RUNGS[self.rung]

    def reached(self, result: TrialResult) -> int | None:
        """The row's ``rung``: where the trial ended as it was meant to, or the last one that it came to before."""
        if not self.is_rung or result.curve is None:
            return None
        if result.status == "completed":
            return self.rung
        before = RUNGS[self.rung - 1] if self.parent and self.rung else 0
        return rung_reached(before + len(result.curve))

    def may_go_on(self, result: TrialResult) -> bool:
        """Whether another trial may go on from where this one ended."""
        return self.evaluations < EVALUATIONS and result.status == "completed"


def stage_of(proposal: Proposal, parent: Outcome | None, settings: Mapping[str, Any], seed: int) -> Stage:
    """The stage of a proposal.

    Args:
        proposal: what is tried.
        parent: its first parent, if that is on record.
        settings: those of the search.
        seed: of the trial, where it is no promotion.
    """
    rule, batch_size, last = settings.get("early_stopping"), int(settings["batch_size"]), len(RUNGS) - 1
    if proposal.kind == "promote" and parent is not None:
        return Stage(
            is_rung=True,
            rung=min(last, 1 + (parent.rung or 0)),
            seed=seed if parent.seed is None else parent.seed,
            batch_size=parent.batch_size or batch_size,
            parent=parent,
        )
    # Only models by themselves are promoted: a tower that ended at the first rung would stay there.
    return Stage(rule is not None, 0 if rule == PROMOTION and not proposal.base else last, seed, batch_size)
