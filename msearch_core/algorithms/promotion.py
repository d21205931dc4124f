"""Successive halving by promotion: every trial ends at its first rung, and the best of a rung go on as new trials.

A promotion is a trial of kind ``promote``: its parent's architecture and hyperparameters, trained on from where the
parent ended to the next rung. A *lineage* is a trial with its promotions; what it came to is what its furthest one did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from msearch_core.algorithms.early_stopping import RUNGS, Reached, promotable
from msearch_core.algorithms.history import Cost, Outcome
from msearch_core.proposal import Proposal

PROMOTION = "promotion"
"""The value of the setting ``early_stopping``."""


def promotions(history: Sequence[Outcome], under_way: Collection[str], minimize: Cost | None) -> Iterator[Proposal]:
    """The trials that may be promoted now, those of the furthest rung first, and of a rung the best.

    Each assumes that those before it are promoted by somebody else.

    Args:
        history: the finished trials.
        under_way: uids of trials whose promotions are claimed and not finished.
        minimize: what counts beside the score, if anything.
    """
    promoted = {*under_way, *(each.parents[0] for each in history if _is_promotion(each))}
    ended: defaultdict[int, dict[str, Outcome]] = defaultdict(dict)
    for each in history:
        if each.rung is not None and each.score is not None:
            ended[each.rung][each.uid] = each
    for rung in range(len(RUNGS) - 2, -1, -1):
        reached = [_reached(each, minimize) for each in ended[rung].values()]
        while (found := promotable(reached, promoted)) is not None:
            promoted.add(found.uid)
            yield promotion(ended[rung][found.uid])


def promotion(parent: Outcome) -> Proposal:
    """The trial that trains another one on, a student with the same teacher."""
    return Proposal(
        parent.architecture,
        dict(parent.hyperparameters),
        kind="promote",
        parents=(parent.uid,),
        mutation={"change": "none"},
        algorithm="asha",
        teacher=parent.teacher,
    )


def furthest(history: Sequence[Outcome]) -> list[Outcome]:
    """One trial a lineage: the furthest that has a score.

    Algorithms and ensembles choose among these: one architecture would else be several of the best. A promotion that
    failed says nothing against what it was made from.
    """
    promoted = {each.parents[0] for each in history if _is_promotion(each) and each.score is not None}
    return [each for each in history if each.uid not in promoted and not (_is_promotion(each) and each.score is None)]


def _is_promotion(trial: Outcome) -> bool:
    return trial.kind == "promote" and bool(trial.parents)


def _reached(trial: Outcome, minimize: Cost | None) -> Reached:
    cost = None if minimize is None else getattr(trial, minimize)
    unknown = 0.0 if minimize is None else float("inf")
    return Reached(trial.uid, trial.score or 0.0, unknown if cost is None else float(cost), trial.tie_break)
