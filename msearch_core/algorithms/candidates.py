"""Where the algorithms that fit a model take the proposals from that the model chooses among."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.history import Outcome
from msearch_core.algorithms.mutation import cross, cross_values, draw_kinds, mutate, tune
from msearch_core.space import Proposal, SearchSpace, Value


def candidates(
    parents: Sequence[Outcome],
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    count: int,
    random_share: float = 0.25,
    crossover_share: float = 0.25,
) -> list[Proposal]:
    """Random draws, and children of the parents by mutation and crossover, that nobody has tried or is trying.

    Args:
        parents: good trials; without any, all candidates are random.
        history: all finished trials.
        pending: what others are trying; their architectures are left to them where there are others.
        space: what may be proposed.
        rng: the only source of chance.
        count: how many to draw.
        random_share: share of random draws.
        crossover_share: share of the children that have two parents.

    Returns:
        At least one candidate and at most ``count``.
    """
    drawn = [
        random_search.propose((), pending, space, rng)
        if not parents or rng.random() < random_share
        else _child(parents, space, rng, crossover_share)
        for _ in range(count)
    ]
    architectures = {candidate.architecture for candidate in drawn}
    tried = {_identity(each) for each in history if each.architecture in architectures}
    tried |= {_identity(each) for each in pending}
    under_way = {each.architecture for each in pending}
    fresh = [candidate for candidate in drawn if _identity(candidate) not in tried]
    apart = [candidate for candidate in fresh if candidate.architecture not in under_way]
    return apart or fresh or drawn


def _child(
    parents: Sequence[Outcome], space: SearchSpace, rng: np.random.Generator, crossover_share: float
) -> Proposal:
    parent = parents[int(rng.integers(len(parents)))]
    values: Mapping[str, Value] = parent.hyperparameters
    uids: tuple[str, ...] = (parent.uid,)
    child = None
    if rng.random() < crossover_share:
        other = parents[int(rng.integers(len(parents)))]
        if (child := cross(parent.architecture, other.architecture, space, rng)) is not None:
            values, uids = cross_values(values, other.hyperparameters, rng), (parent.uid, other.uid)
    mutation: dict[str, Value] = {"change": "crossover"}
    if child is None:
        kinds = draw_kinds(len(parent.architecture), space.max_length, 0.3, 0.1, rng)
        child, mutation = mutate(parent.architecture, kinds, space, rng)
        if rng.random() < 0.25:  # only the hyperparameters change
            child, mutation = parent.architecture, {"change": "none"}
    made = Proposal(child, values, parents=uids, mutation=mutation)
    hyperparameters, tuned = tune(values, space, rng, 1.0 if child == parent.architecture else 0.5)
    return replace(made, hyperparameters=hyperparameters, mutation={**mutation, **tuned})


def _identity(trial: Outcome | Proposal) -> Hashable:
    return trial.architecture, frozenset(trial.hyperparameters.items())
