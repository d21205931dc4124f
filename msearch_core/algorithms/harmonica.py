"""Harmonica (Hazan et al., ICLR 2018): sparse recovery of the score's Fourier expansion over yes-no questions.

A trial becomes a vector of +1 and -1: whether it holds a block or a family, whether it is so deep, whether a
hyperparameter has an option or lies in a quarter of its range. A parity is the product of a few of these. The Lasso
finds the parities that matter; the questions in the greatest of them are answered in one of the best ways that the
space allows, and what is left open stays as it was drawn. The model is fitted anew at the end of each stage, whose
trials the answers of the stages before it restricted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.candidates import candidates
from msearch_core.algorithms.features import small_fits, training_set
from msearch_core.algorithms.history import Outcome, best
from msearch_core.space import Proposal, SearchSpace, Uniform

Parity = tuple[str, ...]


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    stage_trials: int = 20,
    growth: float = 1.3,
    degree: int = 2,
    parities: int = 8,
    questions: int = 12,
    restrictions: int = 4,
    penalty: float = 0.05,
    candidate_count: int = 64,
    random_probability: float = 0.1,
    training_trials: int = 500,
) -> Proposal:
    """Draw from the part of the space that the greatest Fourier coefficients speak for.

    Args:
        history: the finished trials, oldest first.
        pending: what others are trying.
        space: what may be proposed.
        rng: the only source of chance.
        stage_trials: so many random trials are the first stage.
        growth: at the end of each stage there are so many times the trials of the stage before.
        degree: how many questions a parity may join.
        parities: how many of the greatest coefficients decide.
        questions: parities of a higher degree join these most important questions only.
        restrictions: one of so many best ways to answer is used.
        penalty: strength of the Lasso's penalty on coefficients.
        candidate_count: how many draws the answers restrict.
        random_probability: share of proposals that are not restricted.
        training_trials: the Lasso is fitted to this many trials at most.
    """
    if not best(history, 1) or len(history) < stage_trials or rng.random() < random_probability:
        return random_search.propose(history, pending, space, rng)
    stage = int(math.log(len(history) / stage_trials, growth))
    seen = history[: round(stage_trials * growth**stage)]
    fitted, targets = training_set(seen, training_trials, np.random.default_rng(stage))
    polynomial = _sparse_polynomial(
        [_answers(each, space) for each in fitted], targets, degree, parities, questions, penalty
    )
    drawn = candidates(best(fitted, parities), history, pending, space, rng, count=candidate_count)
    deciding = frozenset(name for parity in polynomial for name in parity)
    answers = [_answers(each, space) & deciding for each in drawn]
    worth = {each: sum(weight * _sign(parity, each) for parity, weight in polynomial.items()) for each in answers}
    kept = sorted(worth, key=lambda each: (-worth[each], sorted(each)))[:restrictions]
    chosen = kept[int(rng.integers(len(kept)))]
    fitting = [candidate for candidate, each in zip(drawn, answers, strict=True) if each == chosen]
    return fitting[int(rng.integers(len(fitting)))]


def _answers(trial: Outcome | Proposal, space: SearchSpace) -> frozenset[str]:
    """The questions that a trial answers with yes."""
    yes = {*trial.architecture, *(name.partition("(")[0] for name in trial.architecture)}
    yes |= {f"{depth} or deeper" for depth in range(2, len(trial.architecture) + 1)}
    for name, distribution in space.hyperparameters.items():
        value = trial.hyperparameters.get(name)
        if value is not None and isinstance(distribution, Uniform):
            yes.add(f"{name} in quarter {min(int(4 * distribution.to_unit(value)), 3)}")
        else:
            yes.add(f"{name}={value}")
    return frozenset(yes)


def _sign(parity: Parity, yes: frozenset[str]) -> int:
    return -1 if sum(name not in yes for name in parity) % 2 else 1


def _sparse_polynomial(
    answered: Sequence[frozenset[str]],
    targets: np.ndarray,
    degree: int,
    parities: int,
    questions: int,
    penalty: float,
) -> dict[Parity, float]:
    """The parities with the greatest coefficients; those of higher degree join the most important single questions."""
    single: list[Parity] = [(name,) for name in sorted(frozenset().union(*answered))]
    important = _lasso(single, answered, targets, questions, penalty)
    names = sorted(name for (name,) in important)
    joined = [each for size in range(1, degree + 1) for each in itertools.combinations(names, size)]
    return _lasso(joined, answered, targets, parities, penalty)


def _lasso(
    parities: Sequence[Parity], answered: Sequence[frozenset[str]], targets: np.ndarray, count: int, penalty: float
) -> dict[Parity, float]:
    """At most so many parities with their coefficients; none whose coefficient is zero."""
    from sklearn.linear_model import Lasso

    if not parities:
        return {}
    names = sorted({name for parity in parities for name in parity})
    single = {name: np.array([1.0 if name in yes else -1.0 for yes in answered]) for name in names}
    signs = np.stack([math.prod(single[name] for name in parity) for parity in parities], axis=1)
    with small_fits():
        weights = Lasso(alpha=penalty, max_iter=2000, tol=1e-2).fit(signs, targets).coef_
    greatest = np.argsort(-np.abs(weights), kind="stable")[:count]
    return {parities[place]: float(weights[place]) for place in greatest if weights[place]}
