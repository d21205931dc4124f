"""Bayesian optimisation: a Gaussian process and expected improvement (Jones et al. 1998; Snoek et al. 2012).

The process sees an architecture as its blocks, their families and positions (compare NASBOT, Kandasamy et al. 2018,
and BANANAS, White et al. 2021), together with the hyperparameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.candidates import candidates
from msearch_core.algorithms.features import describe, matrix, small_fits, training_set
from msearch_core.algorithms.history import Outcome, best
from msearch_core.space import Proposal, SearchSpace

LENGTHS = (1.0, 2.0, 4.0)
"""Length scales of the kernel; the likeliest on the history is used."""


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    random_trials: int = 10,
    beam_size: int = 8,
    candidate_count: int = 48,
    noise: float = 0.1,
    training_trials: int = 120,
) -> Proposal:
    """Propose the candidate with the greatest expected improvement.

    Args:
        history: the finished trials.
        pending: what others are trying; taken for average until their scores are known.
        space: what may be proposed.
        rng: the only source of chance.
        random_trials: so many random trials come before the first fit.
        beam_size: candidates descend from this many of the best.
        candidate_count: how many the process chooses among.
        noise: variance of a score among repetitions, where that of all scores is one.
        training_trials: the process is fitted to this many trials at most.
    """
    parents = best(history, beam_size)
    if not parents or len(history) < random_trials:
        return random_search.propose(history, pending, space, rng)
    fitted, targets = training_set(history, training_trials, rng)
    drawn = candidates(parents, history, pending, space, rng, count=candidate_count)
    known: list[Outcome | Proposal] = [*fitted, *pending]
    rows = matrix([describe(each, space) for each in [*known, *drawn]])
    believed = np.concatenate([targets, np.zeros(len(pending))])
    with small_fits():
        mean, deviation = _posterior(rows[: len(known)], believed, rows[len(known) :], noise)
    return drawn[int(np.argmax(_expected_improvement(mean, deviation, float(targets.max()))))]


def _posterior(
    known: np.ndarray, targets: np.ndarray, asked: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation at the rows asked for, under the likeliest of the length scales."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    processes = [
        GaussianProcessRegressor(Matern(length, nu=2.5), alpha=noise, optimizer=None).fit(known, targets)
        for length in LENGTHS
    ]
    likeliest = max(processes, key=lambda process: process.log_marginal_likelihood_value_)
    mean, deviation = likeliest.predict(asked, return_std=True)
    return mean, deviation


def _expected_improvement(mean: np.ndarray, deviation: np.ndarray, incumbent: float) -> np.ndarray:
    from scipy.special import ndtr

    deviation = np.maximum(deviation, 1e-9)
    better = (mean - incumbent) / deviation
    improvement: np.ndarray = deviation * (better * ndtr(better) + np.exp(-(better**2) / 2) / np.sqrt(2 * np.pi))
    return improvement
