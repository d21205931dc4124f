"""Coordinate descent over blocks, as in Model Search (Mazzawi et al., INTERSPEECH 2019).

One of the best architectures so far is changed in one place: it grows by a block if enough trials have been made to
allow that depth, or else one of its blocks is replaced. The child keeps its parent's hyperparameters but for at most
one, and starts from its parent's weights. Some children keep the whole architecture and are trained on from all of
their parent's weights with one hyperparameter changed, which is the identity mutation of Real et al. (ICML 2017): what
many small changes would each disturb adds up there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.history import Outcome, best
from msearch_core.algorithms.mutation import draw_kinds, mutate, train_on, tune
from msearch_core.space import Proposal, SearchSpace


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    beam_size: int = 3,
    random_trials: int = 4,
    trials_per_depth: int = 5,
    random_probability: float = 0.1,
    deepen_probability: float = 0.4,
    tune_probability: float = 0.5,
    train_on_probability: float = 0.3,
) -> Proposal:
    """Mutate one of the best trials; at random while there are too few.

    Args:
        history: the finished trials.
        pending: what others are trying.
        space: what may be proposed.
        rng: the only source of chance.
        beam_size: a parent is drawn from this many of the best trials.
        random_trials: so many random trials come before the first descent.
        trials_per_depth: the allowed depth grows by one with each so many trials.
        random_probability: share of proposals that ignore the history.
        deepen_probability: share of mutations that add a block, where depth allows.
        tune_probability: share of mutations that also change one hyperparameter.
        train_on_probability: share of children that keep their parent's architecture.
    """
    beam = best(history, beam_size)
    made = len(history) + len(pending)
    if not beam or made < random_trials or rng.random() < random_probability:
        return random_search.propose(history, pending, space, rng)
    parent = beam[int(rng.integers(len(beam)))]
    allowed = max(2, space.min_depth) + made // trials_per_depth
    kinds = draw_kinds(len(parent.architecture), allowed, deepen_probability, 0.0, rng)
    under_way = {proposal.architecture for proposal in pending}
    if rng.random() < train_on_probability:
        architecture, mutation = parent.architecture, train_on()
    else:
        architecture, mutation = mutate(parent.architecture, kinds, space, rng, under_way)
    unchanged = architecture == parent.architecture
    hyperparameters, tuned = tune(parent.hyperparameters, space, rng, 1.0 if unchanged else tune_probability)
    return Proposal(architecture, hyperparameters, parents=(parent.uid,), mutation=mutation | tuned)
