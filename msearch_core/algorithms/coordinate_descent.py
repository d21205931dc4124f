"""Coordinate descent over blocks, as in Model Search (Mazzawi et al., INTERSPEECH 2019).

One of the best architectures so far is changed in one place: it grows by a block if enough trials have been made to
allow that depth, or else one of its blocks is replaced. The child keeps its parent's hyperparameters but for at most
one, and starts from its parent's weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.history import Outcome, best
from msearch_core.space import Architecture, Proposal, SearchSpace, Value

BEAM_SIZE = 3
"""A parent is drawn from this many of the best trials."""
RANDOM_TRIALS = 4
"""This many random trials come before the first descent."""
TRIALS_PER_DEPTH = 5
"""The allowed depth grows by one with each so many trials."""
RANDOM_PROBABILITY = 0.1
"""Share of proposals that ignore the history."""
DEEPEN_PROBABILITY = 0.4
"""Share of mutations that add a block, where depth allows."""
TUNE_PROBABILITY = 0.5
"""Share of mutations that also redraw one hyperparameter."""


def propose(
    history: Sequence[Outcome], pending: Sequence[Proposal], space: SearchSpace, rng: np.random.Generator
) -> Proposal:
    """Mutate one of the best trials; at random while there are too few."""
    beam = best(history, BEAM_SIZE)
    made = len(history) + len(pending)
    if not beam or made < RANDOM_TRIALS or rng.random() < RANDOM_PROBABILITY:
        return random_search.propose(history, pending, space, rng)
    parent = beam[int(rng.integers(len(beam)))]
    under_way = {proposal.architecture for proposal in pending}
    architecture, mutation = _mutate(parent.architecture, _allowed_depth(space, made), under_way, space, rng)
    hyperparameters, tuned = _tune(parent, architecture == parent.architecture, space, rng)
    return Proposal(architecture, hyperparameters, parents=(parent.uid,), mutation=mutation | tuned)


def _allowed_depth(space: SearchSpace, trials: int) -> int:
    return min(space.max_depth, max(2, space.min_depth) + trials // TRIALS_PER_DEPTH)


def _mutate(
    parent: Architecture, depth: int, under_way: set[Architecture], space: SearchSpace, rng: np.random.Generator
) -> tuple[Architecture, dict[str, Value]]:
    """Deepen or replace in a random place; the parent itself where no place allows either."""
    deepen = len(parent) < depth and rng.random() < DEEPEN_PROBABILITY
    for kind in ("deepen", "replace") if deepen else ("replace",):
        for position, candidates in _children(kind, parent, space, rng):
            fresh = [candidate for candidate in candidates if candidate not in under_way]
            if fresh:
                child = fresh[int(rng.integers(len(fresh)))]
                return child, {"change": kind, "position": position, "block": child[position]}
    return parent, {"change": "none"}


def _children(
    kind: str, parent: Architecture, space: SearchSpace, rng: np.random.Generator
) -> Iterator[tuple[int, list[Architecture]]]:
    neighbours = space.insertions if kind == "deepen" else space.replacements
    places = len(parent) + 1 if kind == "deepen" else len(parent)
    for position in rng.permutation(places):
        yield int(position), neighbours(parent, int(position))


def _tune(
    parent: Outcome, must: bool, space: SearchSpace, rng: np.random.Generator
) -> tuple[dict[str, Value], dict[str, Value]]:
    """The parent's hyperparameters with at most one drawn anew."""
    values = {**space.random_hyperparameters(rng), **parent.hyperparameters}
    if not values or not (must or rng.random() < TUNE_PROBABILITY):
        return values, {}
    name = sorted(space.hyperparameters)[int(rng.integers(len(space.hyperparameters)))]
    values[name] = space.hyperparameters[name].sample(rng)
    return values, {"hyperparameter": name}
