"""What kind of trial a slot is for, besides the search itself.

A run goes through its suggestions, then searches. Where it is asked for, every so many slots one is an ensemble of
what has been found by then, and the slot after it, or every so many, a student of the best of all. A run whose budget
is a multiple of that ends with an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msearch_core.algorithms.history import Outcome, best
from msearch_core.proposal import Proposal

CANDIDATES = 10
"""The members of an ensemble are chosen among so many of the best trials."""


def special(slot: int, singles: Sequence[Outcome], ensembles: Sequence[Outcome], settings: Mapping[str, Any]) -> str:
    """The kind of trial that a slot is for.

    Args:
        slot: the slot's number, from 1.
        singles: the trials that trained a model of their own.
        ensembles: the others.
        settings: ``ensemble_every`` and ``distill_every``: one slot in so many; ``None`` or 0 for none.

    Returns:
        ``ensemble``, ``distill`` or ``search``; what there is nothing to make of yet becomes a ``search``.
    """
    if _is_due(slot, settings.get("ensemble_every")) and len(best(_of_this_data(singles), 2)) == 2:
        return "ensemble"
    if _is_due(slot - 1, settings.get("distill_every")) and best([*_of_this_data(singles), *ensembles], 1):
        return "distill"
    return "search"


def ensemble(singles: Sequence[Outcome]) -> Proposal:
    """Choose members among the best trials, by what they have said of the validation split."""
    candidates = [each.uid for each in best(_of_this_data(singles), CANDIDATES) if each.predictions and each.weights]
    return Proposal((), kind="ensemble", parents=tuple(candidates), algorithm="ensemble_selection")


def student(proposal: Proposal, singles: Sequence[Outcome], ensembles: Sequence[Outcome]) -> Proposal:
    """Let what an algorithm has proposed learn from the best of all.

    A student does not start from its own teacher: it would be a copy that is told what it says already.
    """
    teacher = best([*_of_this_data(singles), *ensembles], 1)[0].uid
    parents = () if teacher in proposal.parents[:1] else proposal.parents
    return Proposal(
        proposal.architecture,
        proposal.hyperparameters,
        kind="distill",
        parents=parents,
        mutation=proposal.mutation,
        algorithm=proposal.algorithm,
        teacher=teacher,
    )


def _of_this_data(singles: Sequence[Outcome]) -> list[Outcome]:
    """Those trained in this run: a model that was scored again takes its input as an earlier run prepared it."""
    return [each for each in singles if each.kind != "rescore"]


def _is_due(slot: int, every: int | None) -> bool:
    return bool(every) and slot > 0 and slot % int(every or 1) == 0
