"""Which trials belong together, from the outputs that each left on the validation split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np

Outputs = Mapping[str, np.ndarray]
"""A model's outputs by target: probabilities ``(examples, labels)`` or numbers ``(examples,)``."""

Allows = Callable[[Set[int]], bool]
"""Whether models may be members together, by their places; one by itself always may."""

STARTED = 5
"""An ensemble begins with so many of the best models if that costs it nothing."""


def combine(outputs: Sequence[Outputs], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """The weighted mean of several models' outputs, by target; NaN where one of them has it, as in padded steps."""
    return {name: values.astype(np.float32) for name, values in _mean(outputs, weights).items()}


def select(
    outputs: Sequence[Outputs],
    score: Callable[[Outputs], tuple[float, ...]],
    rounds: int = 12,
    allows: Allows = lambda _: True,
) -> tuple[float, ...]:
    """Greedy forward selection with replacement (Caruana et al., ICML 2004).

    Begins with the best models and adds, again and again, the one that makes the mean best. The mean of the round with
    the best score counts, the earliest of equals, so that a model is left out unless it gains something. That is done
    from the five best ("sorted initialization", which overfits the validation split less) and from the best alone,
    and the former counts unless its score, without what breaks ties, is lower.

    Args:
        outputs: of the models to choose from, on the validation split.
        score: of such outputs, more is better; what comes later breaks ties, which are common where a few examples
            decide.
        rounds: so many models are in the mean at most, each as often as it was chosen; at least as many as it begins
            with.
        allows: which of them may be members together.

    Returns:
        The weights of the models, which sum to one.

    Raises:
        ValueError: there is no model to choose from.
    """
    if not outputs:
        raise ValueError("an ensemble needs at least one model to choose from")
    few, many = (_grown(outputs, score, rounds, start, allows) for start in (1, STARTED))
    chosen = many if score(_chosen_mean(outputs, many))[0] >= score(_chosen_mean(outputs, few))[0] else few
    times = Counter(chosen)
    return tuple(times[index] / len(chosen) for index in range(len(outputs)))


def leaders(
    outputs: Sequence[Outputs], score: Callable[[Outputs], tuple[float, ...]], count: int, allows: Allows
) -> list[int]:
    """The places of the best models that may be members together, ``count`` at most, best first.

    Args:
        outputs: as for `select`.
        score: as for `select`.
        count: so many are wanted.
        allows: which of them may be members together; one that may not join better ones is passed over.
    """
    found: list[int] = []
    for index in sorted(range(len(outputs)), key=lambda index: score(outputs[index]), reverse=True):
        if len(found) < count and (not found or allows({*found, index})):
            found.append(index)
    return found


def _grown(
    outputs: Sequence[Outputs],
    score: Callable[[Outputs], tuple[float, ...]],
    rounds: int,
    start: int,
    allows: Allows,
) -> list[int]:
    """The models of the best mean that greedy selection comes to from the ``start`` best."""
    chosen = leaders(outputs, score, start, allows)
    total = {name: sum(outputs[index][name].astype(np.float64) for index in chosen) for name in outputs[0]}
    best_score, best_count = score(_chosen_mean(outputs, chosen)), len(chosen)
    for count in range(len(chosen) + 1, rounds + 1):
        scores = {
            index: score({name: (total[name] + each[name]) / count for name in total})
            for index, each in enumerate(outputs)
            if index in chosen or allows({*chosen, index})
        }
        winner = max(scores, key=scores.__getitem__)
        chosen.append(winner)
        total = {name: total[name] + outputs[winner][name] for name in total}
        if scores[winner] > best_score:
            best_score, best_count = scores[winner], count
    return chosen[:best_count]


def _chosen_mean(outputs: Sequence[Outputs], chosen: Sequence[int]) -> dict[str, np.ndarray]:
    return _mean([outputs[index] for index in chosen], [1 / len(chosen)] * len(chosen))


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
