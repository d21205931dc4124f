"""Which trials belong together, from the outputs that each left on the validation split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Outputs = Mapping[str, np.ndarray]
"""A model's outputs by target: probabilities ``(examples, labels)`` or numbers ``(examples,)``."""


def combine(outputs: Sequence[Outputs], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """The weighted mean of several models' outputs, by target; NaN where one of them has it, as in padded steps."""
    return {name: values.astype(np.float32) for name, values in _mean(outputs, weights).items()}


def select(
    outputs: Sequence[Outputs], score: Callable[[Outputs], tuple[float, ...]], rounds: int = 12
) -> tuple[float, ...]:
    """Greedy forward selection with replacement (Caruana et al., ICML 2004).

    Begins with the best model and adds, again and again, the one that makes the mean best. The mean of the round with
    the best score counts, the earliest of equals, so that a model is left out unless it gains something.

    Args:
        outputs: of the models to choose from, on the validation split.
        score: of such outputs, more is better; what comes later breaks ties, which are common where a few examples
            decide.
        rounds: so many models are in the mean at most, each as often as it was chosen.

    Returns:
        The weights of the models, which sum to one.

    Raises:
        ValueError: there is no model to choose from.
    """
    if not outputs:
        raise ValueError("an ensemble needs at least one model to choose from")
    total = {name: np.zeros_like(values, dtype=np.float64) for name, values in outputs[0].items()}
    chosen: list[int] = []
    best_score: tuple[float, ...] = (-np.inf,)
    best_count = 0
    for count in range(1, rounds + 1):
        means = [{name: (total[name] + each[name]) / count for name in total} for each in outputs]
        scores = [score(mean) for mean in means]
        winner = max(range(len(outputs)), key=scores.__getitem__)
        chosen.append(winner)
        total = {name: total[name] + outputs[winner][name] for name in total}
        if scores[winner] > best_score:
            best_score, best_count = scores[winner], count
    times = Counter(chosen[:best_count])
    return tuple(times[index] / best_count for index in range(len(outputs)))


def fit_weights(outputs: Sequence[Outputs], loss: Callable[[Outputs], float]) -> tuple[float, ...]:
    """Weights that make the mean's loss least, none of them negative.

    Args:
        outputs: as for `select`.
        loss: of such outputs, less is better; smooth, such as the log loss.

    Returns:
        The weights of the models, which sum to one.
    """
    from scipy.optimize import minimize

    count = len(outputs)
    found = minimize(
        lambda weights: loss(_mean(outputs, weights)),
        np.full(count, 1 / count),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0},
    )
    weights = np.clip(found.x, 0.0, None)
    return tuple(float(weight) for weight in weights / weights.sum())


def _mean(outputs: Sequence[Outputs], weights: Sequence[float] | np.ndarray) -> dict[str, np.ndarray]:
    """In double precision: a minimiser takes differences of it."""
    return {
        name: np.sum([np.float64(weight) * each[name] for each, weight in zip(outputs, weights, strict=True)], axis=0)
        for name in outputs[0]
    }
