"""A linear model over blocks, positions and hyperparameters, fitted by ridge regression (Hoerl and Kennard 1970).

Model Search (2021) chooses among mutations in the same way. The model knows no uncertainty: random proposals explore.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.candidates import candidates
from msearch_core.algorithms.features import describe, matrix, small_fits, training_set
from msearch_core.algorithms.history import Outcome, best
from msearch_core.space import Proposal, SearchSpace


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    random_trials: int = 10,
    beam_size: int = 5,
    candidate_count: int = 48,
    random_probability: float = 0.1,
    regularization: float = 1.0,
    training_trials: int = 300,
) -> Proposal:
    """Propose the candidate for which the model predicts most.

    Args:
        history: the finished trials.
        pending: what others are trying.
        space: what may be proposed.
        rng: the only source of chance.
        random_trials: so many random trials come before the first fit.
        beam_size: candidates descend from this many of the best.
        candidate_count: how many the model chooses among.
        random_probability: share of proposals that ignore the model.
        regularization: strength of the penalty on squared coefficients.
        training_trials: the model is fitted to this many trials at most.
    """
    from sklearn.linear_model import Ridge

    parents = best(history, beam_size)
    if not parents or len(history) < random_trials or rng.random() < random_probability:
        return random_search.propose(history, pending, space, rng)
    fitted, targets = training_set(history, training_trials, rng)
    drawn = candidates(parents, history, pending, space, rng, count=candidate_count)
    trials: list[Outcome | Proposal] = [*fitted, *drawn]
    rows = matrix([describe(each, space) for each in trials])
    with small_fits():
        model = Ridge(alpha=regularization).fit(rows[: len(fitted)], targets)
    return drawn[int(np.argmax(model.predict(rows[len(fitted) :])))]
