"""Architectures and hyperparameters as numbers, for the algorithms that fit a model to the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from msearch_core.algorithms.history import Outcome, best
from msearch_core.space import Proposal, SearchSpace, Uniform


def describe(trial: Outcome | Proposal, space: SearchSpace) -> dict[str, float]:
    """Features by name, each zero where it is not mentioned.

    Which block and which family stands at each position, how often each block and each family occurs, the depth, and
    the hyperparameters: one feature an option, and place and squared distance from the middle on a range.
    """
    features: dict[str, float] = {"depth": len(trial.architecture) / space.max_length}
    families = [name.partition("(")[0] for name in trial.architecture]
    for position, (name, family) in enumerate(zip(trial.architecture, families, strict=True)):
        features[f"{position} {name}"] = features[f"{position} {family}"] = 0.5
    for name, count in Counter([*trial.architecture, *families]).items():
        features[name] = count**0.5
    for name, distribution in space.hyperparameters.items():
        value = trial.hyperparameters.get(name)
        if value is None:
            continue
        if isinstance(distribution, Uniform):
            place = distribution.to_unit(value) - 0.5
            features[name], features[f"{name}^2"] = 2.0 * place, 4.0 * place**2
        else:
            features[f"{name}={value}"] = 0.7
    return features


def matrix(rows: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Described rows as ``float64 (rows, features)``, of all features that occur in them."""
    columns: dict[str, int] = {}
    for row in rows:
        for name in row:
            columns.setdefault(name, len(columns))
    values = np.zeros((len(rows), len(columns)))
    for number, row in enumerate(rows):
        values[number, [columns[name] for name in row]] = list(row.values())
    return values


def training_set(history: Sequence[Outcome], limit: int, rng: np.random.Generator) -> tuple[list[Outcome], np.ndarray]:
    """Trials to fit a model to, and their targets ``float64 (trials,)``.

    A target is the normal score of the trial's rank, so that no outlier and no unit matters. A failed trial counts as
    no better than the worst. Of a long history the better half of the limit are the best trials, the others a draw.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    if len(history) > limit:
        chosen = best(history, limit // 2)
        drawn = rng.choice(len(history), size=limit - len(chosen), replace=False)
        history = list({outcome.uid: outcome for outcome in (*chosen, *(history[place] for place in drawn))}.values())
    scores = [outcome.score for outcome in history if outcome.score is not None]
    worst = min(scores, default=0.0)
    ranks = rankdata([worst if outcome.score is None else outcome.score for outcome in history])
    return list(history), ndtri((ranks - 0.5) / len(history))


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def small_fits() -> Iterator[None]:
    """Scikit-learn without what costs more than so small a fit: checks, and threads that wait for one another."""
    import sklearn

    with _libraries().limit(limits=1), sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        yield
