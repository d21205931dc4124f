"""What a target means: classes, labels or numbers, one an example or one a step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from msearch_core.data.columns import is_boolean, is_number, to_texts
from msearch_core.data.examples import RawTarget, Values
from msearch_core.data.problem import Task
from msearch_core.data.sequences import Sequences
from msearch_core.errors import UserError

MAX_FEW = 20
MAX_NUMBERED = 1000
MIN_EXAMPLES = 5
SEPARATOR = "|"


def task_of(values: pd.Series, numbered: bool) -> Task:
    """Decide between classification and regression.

    Texts, booleans, dates and categories are classes. Numbers (durations are numbers of seconds) are classes if all are
    whole and there are two different ones, or at most 20 with 5 examples each on average. Where classes are usually
    numbered (images and arrays), whole numbers that run without a gap from 0 or 1 to at most 1000 are classes as well,
    again with 5 examples each on average. All else is a regression.

    Args:
        values: the targets, none missing.
        numbered: whether the source is one where classes are usually numbered.
    """
    if is_boolean(values) or not is_number(values):
        return "classification"
    distinct = np.unique(_floats(values))
    if not np.all(distinct == np.floor(distinct)):
        return "regression"
    if len(distinct) <= 2:
        return "classification"
    common = len(values) >= MIN_EXAMPLES * len(distinct)
    without_gap = distinct[0] in (0, 1) and distinct[-1] - distinct[0] == len(distinct) - 1
    few = len(distinct) <= MAX_FEW or (numbered and without_gap and len(distinct) <= MAX_NUMBERED)
    return "classification" if few and common else "regression"


def interpret(
    name: str,
    found: Values,
    *,
    numbered: bool = False,
    task: str | None = None,
    lengths: np.ndarray | None = None,
    labels: tuple[str, ...] = (),
) -> RawTarget:
    """Decide what a target means and turn its values into numbers.

    Texts at ``|`` apart are several labels where the task says so. A list an example is a value for each step if the
    inputs are sequences of the same lengths, else it is the example's labels.

    Args:
        name: the target's name.
        found: its values.
        numbered: as in `task_of`.
        task: what the values are known to mean; decided from them if not given.
        lengths: ``int64 (n,)``, the steps of the inputs, if they are sequences.
        labels: the names of the columns of ``(n, labels)``.

    Raises:
        UserError: values are missing, infinite, not of the task, or leave nothing to learn.
    """
    if isinstance(found, Sequences) and task != "multilabel" and _has_steps(found, lengths, name):
        values = found.steps.iloc[:, 0]
        target = replace(_single(name, values, _task(name, values, numbered, task, "steps"), "steps"), per_step=True)
    elif task == "multilabel" or not isinstance(found, pd.Series):
        target = _multilabel(name, found, labels)
        if task not in (None, "multilabel"):
            raise UserError(f"the target {name!r} has several labels an example, which is no {task}; leave out --task")
    else:
        target = _single(name, found, _task(name, found, numbered, task, "rows"), "rows")
    check_learnable(target)
    return target


def interpret_like(known: RawTarget, found: Values, data: str, lengths: np.ndarray | None = None) -> RawTarget:
    """Turn a target's values of other examples into numbers of the same meaning.

    Args:
        known: the target as it was learned.
        found: its values.
        data: where the values come from, for messages.
        lengths: as in `interpret`.

    Raises:
        UserError: values are missing, or are labels that were not learned.
    """
    if known.task == "multilabel":
        target = _multilabel(known.name, found, known.labels)
    elif isinstance(found, Sequences) and known.per_step and _has_steps(found, lengths, known.name):
        target = _single(known.name, found.steps.iloc[:, 0], known.task, "steps")
    elif isinstance(found, pd.Series) and not known.per_step:
        target = _single(known.name, found, known.task, "rows")
    else:
        raise UserError(f"the target {known.name!r} of {data!r} is of another form than in the training data")
    strangers = [label for label in target.labels if label not in known.labels]
    if strangers:
        close = difflib.get_close_matches(strangers[0], known.labels, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(
            f"the test data {data!r} has the class {strangers[0]!r}{hint}, which the training data lacks; "
            "correct the label, or add such examples to the training data"
        )
    if known.task == "regression":
        return replace(known, values=target.values)
    places = np.array([known.labels.index(label) for label in target.labels], np.intp)
    if known.task == "classification":
        return replace(known, values=places[target.values].astype(np.int32))
    values = np.zeros((len(target.values), len(known.labels)), np.float32)
    values[:, places] = target.values
    return replace(known, values=values)


def check_learnable(target: RawTarget) -> None:
    """See that the values leave something to learn.

    Raises:
        UserError: there is one class or one value only, a class has a single example, or no label tells examples apart.
    """
    name, values = target.name, target.values
    if target.task == "multilabel":
        if not target.labels:
            raise UserError(f"the target {name!r} has no label in any example; name labels such as 'red|round'")
        if (values.min(axis=0) == values.max(axis=0)).all():
            raise UserError(f"all examples have the same labels of the target {name!r}; there is nothing to tell apart")
        return
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 1:
        what = f"class, {target.labels[0]!r}" if target.labels else f"value, {distinct[0]:g}"
        raise UserError(f"the target {name!r} has only one {what}; a search needs at least two to tell apart")
    single = [label for label, count in zip(target.labels, counts, strict=False) if count == 1]
    if single and not target.per_step:
        named = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        raise UserError(
            f"{'a class has' if len(single) == 1 else f'{len(single)} classes have'} one example only ({named}); "
            f"each class of {name!r} needs at least two: add examples, or drop or merge such classes"
        )


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The different labels in order: by number if all are numbers, else by character."""
    names = sorted(set(labels))
    numbers = pd.to_numeric(pd.Series(names, dtype=object), errors="coerce")
    if numbers.isna().any():
        return tuple(names)
    by_number: dict[str, Any] = dict(zip(names, numbers, strict=True))
    return tuple(sorted(names, key=lambda name: (by_number[name], name)))


def _task(name: str, values: pd.Series, numbered: bool, task: str | None, what: str) -> Task:
    _refuse_missing(name, values, what)
    return cast(Task, task) if task else task_of(values, numbered)


def _has_steps(found: Sequences, lengths: np.ndarray | None, name: str) -> bool:
    """Whether a list holds a value for each step of the inputs, rather than labels."""
    if found.steps.shape[1] > 1:
        raise UserError(f"the target {name!r} holds lists of lists; give one value a step, or several targets")
    is_text = not is_number(found.steps.iloc[:, 0])
    if lengths is not None:
        row = next(iter(np.flatnonzero(found.lengths != lengths)), None)
        if row is None:
            return True
        if not is_text:
            raise UserError(
                f"row {row} has {lengths[row]} steps but {found.lengths[row]} values of the target {name!r}; "
                "give a value for each step"
            )
    elif not is_text:
        raise UserError(
            f"the target {name!r} holds lists of numbers, but the inputs have no steps; "
            "give one number an example, or --task multilabel if they name labels"
        )
    return False


def _single(name: str, values: pd.Series, task: Task, what: str) -> RawTarget:
    _refuse_missing(name, values, what)
    if task == "classification":
        texts = to_texts(values)
        labels = class_names(texts)
        return RawTarget(name, task, _positions(texts, labels), labels)
    try:
        numbers = _floats(values)
    except (TypeError, ValueError):
        raise UserError(f"the target {name!r} holds text where numbers are expected; correct these rows") from None
    if not np.isfinite(numbers).all():
        raise UserError(f"the target {name!r} holds infinite values; drop these rows or correct them")
    return RawTarget(name, task, numbers)


def _floats(values: pd.Series) -> np.ndarray:
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        values = values.dt.total_seconds()
    return values.to_numpy(np.float64)


def _multilabel(name: str, found: Values, labels: tuple[str, ...]) -> RawTarget:
    if isinstance(found, np.ndarray):
        if not np.isin(found, (0, 1)).all():
            raise UserError(f"the target {name!r} holds other values than 0 and 1; give 1 where a label applies")
        names = labels or tuple(map(str, range(found.shape[1])))
        if len(names) != found.shape[1]:
            raise UserError(f"the target {name!r} has {found.shape[1]} columns but {len(names)} labels; name each")
        return RawTarget(name, "multilabel", found.astype(np.float32), names)
    if isinstance(found, Sequences):
        texts, lengths = to_texts(found.steps.iloc[:, 0]), found.lengths
    else:
        parts = [[part.strip() for part in text.split(SEPARATOR)] for text in to_texts(found)]
        texts = np.array([part for each in parts for part in each], object)
        lengths = np.array([len(each) for each in parts], np.int64)
    example = np.repeat(np.arange(len(found)), lengths)
    named = texts != ""
    names = class_names(texts[named])
    values = np.zeros((len(found), len(names)), np.float32)
    values[example[named], _positions(texts[named], names)] = 1
    return RawTarget(name, "multilabel", values, names)


def _positions(texts: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    return pd.Index(labels, dtype=object).get_indexer(pd.Index(texts, dtype=object)).astype(np.int32)


def _refuse_missing(name: str, values: pd.Series, what: str) -> None:
    missing = int(values.isna().sum())
    if missing:
        raise UserError(
            f"the target {name!r} is missing in {missing} of {len(values)} {what}; drop these {what} or fill it in "
            "(in CSV, words such as None and NA say so: spell such a class otherwise, or give Parquet)"
        )
