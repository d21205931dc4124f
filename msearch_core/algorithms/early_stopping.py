"""Spending steps on the trials that deserve them, decided from what trials reached at common rungs.

A rung is a share of a whole training after which trials are compared. Every rule is a pure function of the scores
reached there, so that each trainer decides alone and all decide alike. A score has its sign such that more is better.
With a cost beside the score, a trial is as good as few others dominate it (Fonseca and Fleming, ICGA 1993); without
one, as few others beat it.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

EVALUATIONS = 10
"""A trial is evaluated so many times, evenly spaced."""
RUNGS = (1, 3, EVALUATIONS)
"""Trials are compared after so many of their evaluations; the last is the whole training."""
REDUCTION = 3
"""One of so many trials goes on from a rung."""
LEAST_PEERS = 4
"""The median rule stops nothing before so many others have come as far."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What one trial has reached at one rung.

    Attributes:
        uid: the trial.
        score: the objective, more is better.
        cost: what the search minimises beside it, if anything: less is better.
        tie_break: tells trials with equal scores and costs apart where only some may go on: more is better.
    """

    uid: str
    score: float
    cost: float = 0.0
    tie_break: float = 0.0

    def dominates(self, other: Reached) -> bool:
        """Whether it is no worse in either respect, and better in one."""
        return (self.score >= other.score and self.cost <= other.cost) and (self.score, self.cost) != (
            other.score,
            other.cost,
        )


def goes_on(own: Reached, peers: Collection[Reached], reduction: int = REDUCTION) -> bool:
    """The stopping form of asynchronous successive halving (Li et al., MLSys 2020).

    A trial goes on if it is in the top ``1 / reduction`` of all that have come to the rung so far, itself included. The
    first ``reduction - 1`` trials at a rung go on, since nothing can be said of them yet.

    Args:
        own: what the trial has reached.
        peers: what other trials had reached at the same rung.
        reduction: one of so many goes on.
    """
    count = 1 + len(peers)
    return count < reduction or _better(own, peers) < count // reduction


def promotable(rung: Sequence[Reached], promoted: Collection[str], reduction: int = REDUCTION) -> Reached | None:
    """The promotion form of asynchronous successive halving (Li et al., MLSys 2020).

    Beyond the paper, no more than ``1 / reduction`` of a rung are ever promoted: where later trials are better than
    earlier ones, since they inherit from them, each would be in the top when it comes, and all would go on.

    Args:
        rung: what the trials that ended at a rung have reached.
        promoted: uids of those that were promoted already, from this rung or another.
        reduction: one of so many is promoted.

    Returns:
        The best trial in the top ``1 / reduction`` that was not promoted yet, if there is one.
    """
    allowed = len(rung) // reduction
    if sum(each.uid in promoted for each in rung) >= allowed:
        return None
    better = _better_than_each(rung)
    order = sorted(rung, key=lambda each: (better[each.uid], -each.score, -each.tie_break, each.uid))
    return next((each for each in order[:allowed] if each.uid not in promoted), None)


def rung_reached(evaluations: int) -> int | None:
    """The highest rung that a training has come to after so many evaluations; ``None`` before the first one."""
    return bisect_right(RUNGS, evaluations) - 1 if evaluations >= RUNGS[0] else None


def beats_median(curve: Sequence[float], peers: Collection[Sequence[float]], least: int = LEAST_PEERS) -> bool:
    """The median stopping rule (Golovin et al., KDD 2017).

    A trial goes on if its best score so far is no worse than the median of the others' averages up to the same rung.

    Args:
        curve: the trial's scores at the rungs so far, the latest last.
        peers: the scores of other trials at the same rungs, each at least as long as ``curve`` to count.
        least: fewer peers stop nothing.
    """
    averages = [sum(peer[: len(curve)]) / len(curve) for peer in peers if len(peer) >= len(curve)]
    return len(averages) < least or max(curve) >= median(averages)


def _better(own: Reached, peers: Collection[Reached]) -> int:
    return sum(peer.dominates(own) for peer in peers)


def _better_than_each(rung: Sequence[Reached]) -> dict[str, int]:
    """By uid, how many dominate each. In order of score, those are the earlier ones that cost no more."""
    counts: dict[str, int] = {}
    costs: list[float] = []
    order = sorted(rung, key=lambda each: (-each.score, each.cost))
    for (_, cost), equals in groupby(order, key=lambda each: (each.score, each.cost)):
        together = [each.uid for each in equals]
        counts.update(dict.fromkeys(together, bisect_right(costs, cost)))
        for _ in together:
            insort(costs, cost)
    return counts
