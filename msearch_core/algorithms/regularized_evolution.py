"""Regularized evolution (Real et al., AAAI 2019): the youngest trials compete, and age removes the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.history import Outcome, best
from msearch_core.algorithms.mutation import cross, cross_values, draw_kinds, mutate, tune
from msearch_core.space import Proposal, SearchSpace, Value


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    population: int = 20,
    tournament: int = 8,
    random_trials: int = 10,
    crossover_probability: float = 0.2,
    deepen_probability: float = 0.3,
    shorten_probability: float = 0.1,
    tune_probability: float = 0.5,
) -> Proposal:
    """Mutate the best of a few trials drawn from the population, after crossing it with another one now and then.

    Args:
        history: the finished trials, oldest first.
        pending: what others are trying.
        space: what may be proposed.
        rng: the only source of chance.
        population: how many of the youngest scored trials may become parents.
        tournament: how many of them compete to be one.
        random_trials: so many random trials found the population.
        crossover_probability: share of children that have two parents; no block is mutated then.
        deepen_probability: share of mutations that add a block.
        shorten_probability: share of mutations that remove one.
        tune_probability: share of children with one hyperparameter changed.
    """
    scored = (outcome for outcome in reversed(history) if outcome.score is not None)
    alive = [outcome for outcome, _ in zip(scored, range(population), strict=False)]
    if not alive or len(history) + len(pending) < random_trials:
        return random_search.propose(history, pending, space, rng)

    def winner() -> Outcome:
        drawn = rng.choice(len(alive), size=min(tournament, len(alive)), replace=False)
        return best([alive[int(number)] for number in drawn], 1)[0]

    parent, under_way = winner(), {proposal.architecture for proposal in pending}
    parents: tuple[str, ...] = (parent.uid,)
    values = parent.hyperparameters
    child = None
    if rng.random() < crossover_probability:
        other = winner()
        child = cross(parent.architecture, other.architecture, space, rng)
    if child is not None and child not in under_way:
        parents, values = (parent.uid, other.uid), cross_values(values, other.hyperparameters, rng)
        mutation: dict[str, Value] = {"change": "crossover"}
    else:
        kinds = draw_kinds(len(parent.architecture), space.max_length, deepen_probability, shorten_probability, rng)
        child, mutation = mutate(parent.architecture, kinds, space, rng, under_way)
    hyperparameters, tuned = tune(values, space, rng, 1.0 if child == parent.architecture else tune_probability)
    return Proposal(child, hyperparameters, parents=parents, mutation=mutation | tuned)
