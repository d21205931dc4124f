"""Whose weights a proposed trial starts from, besides its parent's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from msearch_core.algorithms.history import Outcome, best
from msearch_core.proposal import Proposal

AVERAGED = 3
"""The weights of so many trials are averaged at most."""
LEAST_LOSS = 1e-6
"""A loss below it counts as it, so that one trial without a loss does not outweigh all others."""


def with_sources(proposal: Proposal, history: Sequence[Outcome], mode: Any) -> Proposal:
    """The proposal with the trials whose weights it averages, where an average is asked for.

    The first source is the parent, or without one the best trial that begins with the same block. The others are the
    best trials of this run that begin as it does: what lies behind a different first block means something else.
    Its own teacher is never among them.

    Args:
        proposal: what an algorithm proposed.
        history: the finished trials that trained a model of their own.
        mode: ``average`` (all count the same), ``weighted`` (by the inverse of their validation loss), or another one,
            which needs no more than the parent.

    Returns:
        The proposal itself where there is nothing to average.
    """
    if mode not in ("average", "weighted") or not proposal.architecture:
        return proposal
    usable = [each for each in history if each.weights and each.kind != "rescore" and each.uid != proposal.teacher]
    parents = [each for each in usable if each.uid in proposal.parents[:1]]
    if proposal.parents and not parents:
        return proposal
    begin = (parents[0].architecture if parents else proposal.architecture)[:1]
    alike = best((each for each in usable if each.architecture[:1] == begin), AVERAGED)
    sources = list({each.uid: each for each in [*parents, *alike]}.values())[:AVERAGED]
    if not sources:
        return proposal
    counts = [1.0 if mode == "average" else 1.0 / max(-each.tie_break, LEAST_LOSS) for each in sources]
    shares = np.array(counts if sum(counts) > 0 else [1.0] * len(counts)) / (sum(counts) or len(counts))
    return replace(
        proposal,
        parents=tuple(dict.fromkeys([*(each.uid for each in sources), *proposal.parents])),
        shares={each.uid: float(share) for each, share in zip(sources, shares, strict=True)} if sources[1:] else {},
    )
