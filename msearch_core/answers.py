"""What a model gets right and wrong on a split, small enough to stand in a record: counts, not examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from msearch_core.data.problem import Problem, Split, Target
from msearch_core.metrics import LIKELY

MOST_CLASSES = 60
"""Classes beyond the commonest so many are counted together."""
MOST_POINTS = 1000
"""So many pairs of a true and a predicted number are kept."""

Answers: TypeAlias = dict[str, Any]


def answers(problem: Problem, split: Split, outputs: Mapping[str, np.ndarray]) -> dict[str, Answers]:
    """What a model gets right and wrong, by target. Each example, or true time step, counts once.

    Args:
        problem: the targets.
        split: with the truth.
        outputs: as `make_predict` gives them.

    Returns:
        By target JSON with its ``task``, the number of ``examples`` and, of a classification, ``labels`` and the
        confusion matrix ``counts``, true classes in rows; of labels ``labels`` and of each the ``counts`` of true
        positives, false positives and false negatives; of numbers an even choice of ``truth`` and ``predicted``.
        Where there are more classes than are told apart, ``others`` is how many the last one stands for, and of labels
        how many are left out.
    """
    return {target.name: _of_target(target, split.y[target.name], outputs[target.name]) for target in problem.targets}


def _of_target(target: Target, y: np.ndarray, outputs: np.ndarray) -> Answers:
    if target.per_step:
        true = target.true_steps(y)
        y, outputs = y[true], outputs[true]
    made = {"task": target.task, "examples": len(y)}
    if target.task == "classification":
        return {**made, **_confusion(y, outputs.argmax(axis=-1), target.labels)}
    if target.task == "multilabel":
        said, is_true = outputs >= LIKELY, y > 0.5
        counts = np.stack([(said & is_true).sum(0), (said & ~is_true).sum(0), (~said & is_true).sum(0)], axis=1)
        kept = np.argsort(-is_true.sum(0), kind="stable")[:MOST_CLASSES]
        rest = len(target.labels) - len(kept)
        found = {"labels": [target.labels[each] for each in kept], "counts": counts[kept].tolist()}
        return {**made, **found, **({"others": rest} if rest else {})}
    chosen = np.linspace(0, len(y) - 1, min(len(y), MOST_POINTS)).astype(int)
    return {**made, "truth": _short(y[chosen]), "predicted": _short(outputs[chosen])}


def _confusion(truth: np.ndarray, predicted: np.ndarray, labels: tuple[str, ...]) -> Answers:
    names, others = list(labels), {}
    if len(names) > MOST_CLASSES:
        common = np.sort(np.argsort(-np.bincount(truth, minlength=len(names)), kind="stable")[: MOST_CLASSES - 1])
        places = np.full(len(names), MOST_CLASSES - 1)
        places[common] = np.arange(len(common))
        truth, predicted = places[truth], places[predicted]
        others = {"others": len(names) - len(common)}
        names = [*(names[each] for each in common), f"{others['others']} others"]
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (truth, predicted), 1)
    return {"labels": names, "counts": counts.tolist(), **others}


def _short(numbers: np.ndarray) -> list[float]:
    """Six significant digits, which a plot cannot tell from more."""
    return [float(f"{each:.6g}") for each in numbers]
