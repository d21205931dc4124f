"""Bringing what a trial starts from to this machine: the weights of earlier trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msearch_core.algorithms.history import Outcome
from msearch_core.space import Proposal
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.spec import Base, Parent


def sources_of(proposal: Proposal) -> tuple[str, ...]:
    """The uids of the trials whose weights a proposal would inherit."""
    # The shares have come through JSON and may be in any order.
    return tuple(uid for uid in proposal.parents if uid in proposal.shares) or tuple(proposal.parents[:1])


def parents_of(proposal: Proposal, history: Mapping[str, Outcome], settings: Mapping[str, Any]) -> list[Outcome]:
    """The trials whose weights a proposal inherits; the first one says which layer is which.

    Args:
        proposal: what is tried.
        history: the finished trials by uid.
        settings: ``inheritance``; with ``none`` a child has parents and inherits nothing, but for a promotion, which
            is its parent's own training going on.
    """
    if settings.get("inheritance") == "none" and proposal.kind != "promote":
        return []
    return [history[uid] for uid in sources_of(proposal) if uid in history]


def load_parents(artefacts: Artefacts, proposal: Proposal, parents: list[Outcome], folder: Path) -> tuple[Parent, ...]:
    """Fetch the weights to start from; those that were pruned are left out, and without any the trial starts fresh."""
    found = []
    for number, each in enumerate(parents):
        path = artefacts.load(each.weights, folder / f"parent{number}.safetensors") if each.weights else None
        if path:
            share = proposal.shares.get(each.uid, 1.0)
            found.append(Parent(weights=path, architecture=each.architecture, share=share))
    return tuple(found)


def load_base(
    artefacts: Artefacts,
    proposal: Proposal,
    history: Mapping[str, Outcome],
    settings: Mapping[str, Any],
    folder: Path,
) -> Base | None:
    """Fetch the frozen models beside which a proposal's tower is trained; ``None`` if there are none.

    What they say is kept in the folder above the trial's own, for towers to come.

    Raises:
        KeyError: the base is none of the trials on record.
        FileNotFoundError: weights are gone; without them it would be another trial.
    """
    if proposal.base is None:
        return None
    kept = folder.parent / "bases"
    kept.mkdir(parents=True, exist_ok=True)
    return Base(
        members=artefacts.load_members(history[proposal.base], history, folder),
        outputs=str(kept / f"{proposal.base}.safetensors"),
        growth=settings["ensemble_search"],
    )


def inherited_steps(parents: list[Outcome]) -> int:
    """The gradient steps that went into inherited weights; of an average those of its longest line.

    Averaged trials have ancestors in common, which a sum would count again in each generation.
    """
    return max((each.cumulative_steps for each in parents), default=0)
