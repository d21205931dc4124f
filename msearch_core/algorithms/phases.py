"""What kind of trial a slot is for, besides the search itself.

A run goes through its suggestions, then searches. Where it is asked for, every so many slots one is an ensemble of
what has been found by then, and the slot after it, or every so many, a student of the best of all. A run whose budget
is a multiple of that ends with an ensemble.

An ensemble's members are chosen among the trials (`ensemble`), or it grows: what an algorithm proposes is trained as
one more tower beside the best model or ensemble so far (`tower`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from msearch_core.algorithms.history import Outcome, best
from msearch_core.proposal import Proposal

CANDIDATES = 10
"""The members of an ensemble are chosen among so many of the best trials."""
LARGEST = 8
"""An ensemble grows to so many members."""
EVERY = 5
"""One slot in so many is an ensemble where they are asked for without saying how often."""


def special(slot: int, singles: Sequence[Outcome], ensembles: Sequence[Outcome], settings: Mapping[str, Any]) -> str:
    """The kind of trial that a slot is for.

    Args:
        slot: the slot's number, from 1.
        singles: the trials that trained a model of their own.
        ensembles: the others.
        settings: ``ensemble_every`` and ``distill_every``: one slot in so many; ``None`` or 0 for none. With
            ``ensemble_search``, ensembles are made whether or not it is said how often, unless it is ``none``.

    Returns:
        ``ensemble``, ``distill`` or ``search``; what there is nothing to make of yet becomes a ``search``.
    """
    if _is_due(slot, _ensemble_every(settings)) and len(best(_of_this_data(singles), 2)) == 2:
        return "ensemble"
    if _is_due(slot - 1, settings.get("distill_every")) and best([*_of_this_data(singles), *ensembles], 1):
        return "distill"
    return "search"


def ensemble(singles: Sequence[Outcome]) -> Proposal:
    """Choose members among the best trials, by what they have said of the validation split."""
    candidates = [each.uid for each in best(_of_this_data(singles), CANDIDATES) if each.predictions and each.weights]
    return Proposal((), kind="ensemble", parents=tuple(candidates), algorithm="ensemble_selection")


def grows(settings: Mapping[str, Any]) -> bool:
    """Whether ensembles are made by training one more tower, not by choosing among trials."""
    return settings.get("ensemble_search") in ("adaptive", "residual")


def tower(
    proposal: Proposal,
    singles: Sequence[Outcome],
    ensembles: Sequence[Outcome],
    allows: Callable[[Proposal], bool] = lambda _: True,
) -> Proposal:
    """Let what an algorithm has proposed be trained beside the best model or ensemble so far that it is allowed beside.

    A tower does not start from one that it stands beside: it would say the same again. Without a model to stand beside
    it remains what it was.
    """
    usable = [each for each in [*_of_this_data(singles), *ensembles] if each.weights and len(each.members) < LARGEST]
    towers = (_beside(base, proposal) for base in best(usable, len(usable)))
    return next(filter(allows, towers), proposal)


def _beside(base: Outcome, proposal: Proposal) -> Proposal:
    parents = () if {base.uid, *base.members} & set(proposal.parents[:1]) else proposal.parents
    return replace(proposal, kind="ensemble", parents=parents, base=base.uid)


def student(proposal: Proposal, singles: Sequence[Outcome], ensembles: Sequence[Outcome]) -> Proposal:
    """Let what an algorithm has proposed learn from the best of all.

    A student does not start from its own teacher: it would be a copy that is told what it says already.
    """
    teacher = best([*_of_this_data(singles), *ensembles], 1)[0].uid
    parents = () if teacher in proposal.parents[:1] else proposal.parents
    return replace(proposal, kind="distill", parents=parents, teacher=teacher)


def _ensemble_every(settings: Mapping[str, Any]) -> int | None:
    mode = settings.get("ensemble_search")
    return None if mode == "none" else settings.get("ensemble_every") or (EVERY if mode else None)


def _of_this_data(singles: Sequence[Outcome]) -> list[Outcome]:
    """Those trained in this run: a model that was scored again takes its input as an earlier run prepared it."""
    return [each for each in singles if each.kind != "rescore"]


def _is_due(slot: int, every: int | None) -> bool:
    return bool(every) and slot > 0 and slot % int(every or 1) == 0
