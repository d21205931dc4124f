"""What a target column means: classes or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.columns import to_texts
from msearch_core.data.problem import Task
from msearch_core.errors import UserError

MAX_FEW = 20
MAX_NUMBERED = 1000
MIN_EXAMPLES = 5


def task_of(values: pd.Series, numbered: bool) -> Task:
    """Decide between classification and regression.

    Texts, booleans, dates and categories are classes. Numbers are classes if all are whole and there are two
    different ones, or at most 20 with 5 examples each on average. Where classes are usually numbered (images and
    arrays), whole numbers that run without a gap from 0 or 1 to at most 1000 are classes as well, again with 5
    examples each on average. All else is a regression.

    Args:
        values: the targets, none missing.
        numbered: whether the source is one where classes are usually numbered.
    """
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        return "classification"
    distinct = np.unique(values.to_numpy(np.float64))
    if not np.all(distinct == np.floor(distinct)):
        return "regression"
    if len(distinct) <= 2:
        return "classification"
    common = len(values) >= MIN_EXAMPLES * len(distinct)
    without_gap = distinct[0] in (0, 1) and distinct[-1] - distinct[0] == len(distinct) - 1
    few = len(distinct) <= MAX_FEW or (numbered and without_gap and len(distinct) <= MAX_NUMBERED)
    return "classification" if few and common else "regression"


def interpret(values: pd.Series, target: str, *, numbered: bool, task: Task | None = None) -> tuple[Task, np.ndarray]:
    """Turn targets into class names or numbers.

    Args:
        values: the targets as found.
        target: the target's name, for messages.
        numbered: as in `task_of`.
        task: what the targets are known to mean; decided from the values if not given.

    Returns:
        The task, and ``n`` class names (``object``) or ``float64 (n,)`` numbers.

    Raises:
        UserError: a target is missing, infinite, or not a number where numbers are expected.
    """
    missing = int(values.isna().sum())
    if missing:
        raise UserError(
            f"the target {target!r} is missing in {missing} of {len(values)} rows; drop these rows or fill it in"
        )
    task = task or task_of(values, numbered)
    if task == "classification":
        return task, to_texts(values)
    try:
        numbers = values.to_numpy(np.float64)
    except (TypeError, ValueError):
        raise UserError(f"the target {target!r} holds text where numbers are expected; correct these rows") from None
    if not np.isfinite(numbers).all():
        raise UserError(f"the target {target!r} holds infinite values; drop these rows or correct them")
    return task, numbers


def check_learnable(targets: np.ndarray, task: Task, target: str) -> None:
    """See that the targets leave something to learn.

    Raises:
        UserError: there is one class or one value only, or a class has a single example.
    """
    distinct, counts = np.unique(targets, return_counts=True)
    if len(distinct) == 1:
        what = f"class, {distinct[0]!r}" if task == "classification" else f"value, {distinct[0]:g}"
        raise UserError(f"the target {target!r} has only one {what}; a search needs at least two to tell apart")
    single = [str(each) for each, count in zip(distinct, counts, strict=True) if count == 1]
    if task == "classification" and single:
        named = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        raise UserError(
            f"{'a class has' if len(single) == 1 else f'{len(single)} classes have'} one example only ({named}); "
            f"each class of {target!r} needs at least two: add examples, or drop or merge such classes"
        )


def class_names(labels: np.ndarray) -> tuple[str, ...]:
    """The different labels in order: by number if all are numbers, else by character.

    Args:
        labels: ``n`` class names.
    """
    names: list[str] = list(np.unique(labels))
    numbers = pd.to_numeric(pd.Series(names, dtype=object), errors="coerce")
    if numbers.isna().any():
        return tuple(names)
    by_number: dict[str, Any] = dict(zip(names, numbers, strict=True))
    return tuple(sorted(names, key=lambda name: (by_number[name], name)))
