"""Local search (White et al., UAI 2021): try the neighbours of the best trial, then those of the next best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.history import Outcome, best
from msearch_core.algorithms.mutation import neighbours, tune
from msearch_core.space import Proposal, SearchSpace


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    random_trials: int = 8,
    beam_size: int = 10,
    random_probability: float = 0.05,
    tune_probability: float = 0.3,
) -> Proposal:
    """Try a neighbour of the best trial that nobody has tried: one block, or one hyperparameter, is different.

    Args:
        history: the finished trials.
        pending: what others are trying.
        space: what may be proposed.
        rng: the only source of chance.
        random_trials: so many random trials come first, of which the best is the start.
        beam_size: how many of the best are looked at for a neighbour that is left.
        random_probability: share of proposals that ignore the history, as restarts.
        tune_probability: share of neighbours that differ in a hyperparameter.
    """
    starts = best(history, beam_size)
    if not starts or len(history) + len(pending) < random_trials or rng.random() < random_probability:
        return random_search.propose(history, pending, space, rng)
    if space.hyperparameters and rng.random() < tune_probability:
        hyperparameters, tuned = tune(starts[0].hyperparameters, space, rng)
        return Proposal(starts[0].architecture, hyperparameters, parents=(starts[0].uid,), mutation=tuned)
    tried = {each.architecture for each in history} | {each.architecture for each in pending}
    for start in starts:
        left = [child for child in neighbours(start.architecture, space) if child not in tried]
        if left:
            child = left[int(rng.integers(len(left)))]
            return Proposal(child, dict(start.hyperparameters), parents=(start.uid,), mutation={"change": "neighbour"})
    return random_search.propose(history, pending, space, rng)
