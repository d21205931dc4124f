"""Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) over blocks and hyperparameters.

One density is fitted to the good trials and one to the others; the candidate whose ratio of the two is greatest is
proposed. Candidates are children of good trials rather than draws of one block after another from the good density:
few of those would be valid.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.candidates import candidates
from msearch_core.algorithms.features import training_set
from msearch_core.algorithms.history import Outcome, best
from msearch_core.space import Proposal, SearchSpace, Uniform

END = ""
"""Stands where an architecture has ended."""


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    random_trials: int = 10,
    good_share: float = 0.1,
    candidate_count: int = 48,
    prior: float = 1.0,
    bandwidth: float = 0.15,
    training_trials: int = 500,
) -> Proposal:
    """Propose the candidate that looks most like the good trials and least like the others.

    Args:
        history: the finished trials.
        pending: what others are trying; counted among the others.
        space: what may be proposed.
        rng: the only source of chance.
        random_trials: so many random trials come before the first fit.
        good_share: share of the trials that are good.
        candidate_count: how many the ratio chooses among.
        prior: weight of the even distribution, in trials.
        bandwidth: standard deviation of a kernel, where a hyperparameter's range is one.
        training_trials: the densities are fitted to this many trials at most.
    """
    if not best(history, 1) or len(history) < random_trials:
        return random_search.propose(history, pending, space, rng)
    fitted, _ = training_set(history, training_trials, rng)
    good = best(fitted, max(2, round(good_share * len(fitted))))
    names = {outcome.uid for outcome in good}
    others = [outcome for outcome in fitted if outcome.uid not in names]
    drawn = candidates(good, history, pending, space, rng, count=candidate_count)
    ratios = _log_density(drawn, good, space, prior, bandwidth)
    ratios -= _log_density(drawn, [*others, *pending], space, prior, bandwidth)
    return drawn[int(np.argmax(ratios))]


def _log_density(
    asked: Sequence[Proposal],
    trials: Sequence[Outcome | Proposal],
    space: SearchSpace,
    prior: float,
    bandwidth: float,
) -> np.ndarray:
    """The logarithm of the estimated density at each proposal, ``float64 (proposals,)``, up to a constant."""
    counts = Counter(fact for trial in trials for fact in _facts(trial, space))
    even = prior / (len(space.blocks) + 1)
    total = np.array(
        [sum(math.log((even + counts[fact]) / (prior + len(trials))) for fact in _facts(each, space)) for each in asked]
    )
    for name, distribution in space.hyperparameters.items():
        values = [each.hyperparameters[name] for each in asked]
        seen = [each.hyperparameters[name] for each in trials if name in each.hyperparameters]
        if isinstance(distribution, Uniform):
            places = np.array([distribution.to_unit(value) for value in values])
            centres = np.array([distribution.to_unit(value) for value in seen])
            kernels = np.exp(-(((places[:, None] - centres) / bandwidth) ** 2) / 2) / (bandwidth * np.sqrt(2 * np.pi))
            weights = prior + kernels.sum(axis=1)
        else:
            found = Counter(seen)
            weights = np.array([prior / len(distribution.options) + found[value] for value in values])
        total += np.log(weights / (prior + len(seen)))
    return total


def _facts(trial: Outcome | Proposal, space: SearchSpace) -> set[tuple[object, ...]]:
    """Which block stands at each position, which blocks occur, and which follow on which."""
    items = (*trial.architecture, *[END] * (space.max_length - len(trial.architecture)))
    following = itertools.pairwise(trial.architecture)
    return {*enumerate(items), *((name,) for name in trial.architecture), *following}
