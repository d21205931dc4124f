"""Find what the user means by DATA, read it, and say what is to be learned from it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from msearch_core.data import arrays, images, named, tables
from msearch_core.data.examples import Examples, Inputs, RawData
from msearch_core.data.files import locate
from msearch_core.data.targets import check_learnable, interpret
from msearch_core.errors import UserError

__all__ = ["RawData", "load", "read"]


def load(data: str, *, target: str | None = None, test: str | None = None, group: str | None = None) -> RawData:
    """Read a labelled data set.

    Args:
        data: a name (`msearch_core.data.named.NAMES`); a ``.csv`` or ``.parquet`` file; a ``.npz`` file; or a folder of
            class folders with images. Files and folders are local paths or fsspec URLs.
        target: the column to predict; a table needs it.
        test: another such source with the same columns; its examples are the test split.
        group: a column whose value says which rows belong together and must share a split.

    Returns:
        The data, its targets interpreted (`msearch_core.data.targets.task_of`).

    Raises:
        UserError: the data cannot be found, read or learned from; one line says why.
    """
    found = read(data, target=target, group=group)
    numbered = isinstance(found.inputs, np.ndarray) or data.lower().endswith(arrays.ENDINGS)
    task, targets = interpret(_labelled(found, data), found.target, numbered=numbered)
    check_learnable(targets, task, found.target)
    raw = RawData(found.inputs, targets, task, found.target, found.groups, found.content)
    return raw if test is None else replace(raw, test=_load_test(test, raw, target))


def read(
    data: str,
    *,
    target: str | None = None,
    group: str | None = None,
    labelled: bool = True,
    texts: Sequence[str] = (),
    shape: Sequence[int] | None = None,
) -> Examples:
    """Read examples from any source.

    Args:
        data: as in `load`.
        target: as in `load`.
        group: as in `load`.
        labelled: whether the target is needed.
        texts: columns of a CSV file to be read as texts, even if all their values look like numbers.
        shape: the ``(height, width, channels)`` that encoded images are brought to; found from them if not given.

    Raises:
        UserError: the data cannot be found or read.
    """
    if data in named.NAMES:
        if labelled:
            _refuse_options(data, target, group, "target")
        return named.read(data)
    ending = os.path.splitext(data)[1].lower()  # noqa: PTH122 - a URL is no path
    known = (*tables.ENDINGS, *arrays.ENDINGS, *images.ENDINGS)
    if "/" not in data and ending not in known and not os.path.exists(data):  # noqa: PTH110 - may hold any character
        raise named.unknown(data)
    location = locate(data)
    if location.is_folder:
        if not labelled and shape is not None:
            return images.read_unlabelled(location, shape)
        if labelled:
            _refuse_options(data, target, group, "label")
        return images.read_classes(location, shape)
    if location.ending in tables.ENDINGS:
        return tables.read(location, target=target, group=group, labelled=labelled, texts=texts, shape=shape)
    if location.ending in arrays.ENDINGS:
        return arrays.read(location, target=target, group=group, labelled=labelled)
    if location.ending in images.ENDINGS and shape is not None and not labelled:
        return images.read_unlabelled(location, shape)
    raise UserError(
        f"cannot tell what {data!r} holds from its ending {location.ending!r}; "
        "give a .csv, .parquet or .npz file, or a folder of class folders with images"
    )


def matching(found: Examples, inputs: Inputs, data: str, reference: str) -> Inputs:
    """Bring inputs to the columns, or the image shape and type, of others.

    Args:
        found: what was read from ``data``.
        inputs: the inputs to be like.
        data: where ``found`` comes from, for messages.
        reference: what the inputs to be like are called in messages.

    Raises:
        UserError: they cannot be compared.
    """
    if isinstance(inputs, pd.DataFrame) and isinstance(found.inputs, pd.DataFrame):
        tables.missing_columns(map(str, inputs.columns), found.inputs, data)
        return found.inputs[list(inputs.columns)]
    if isinstance(inputs, np.ndarray) and isinstance(found.inputs, np.ndarray):
        return images.fit(found.inputs, inputs.shape[1:], str(inputs.dtype), data)
    kinds = ("a table", "images") if isinstance(found.inputs, pd.DataFrame) else ("images", "a table")
    raise UserError(f"{data!r} holds {kinds[0]}, but {reference} holds {kinds[1]}; give the same kind")


def _load_test(test: str, raw: RawData, target: str | None) -> RawData:
    table = raw.inputs if isinstance(raw.inputs, pd.DataFrame) else None
    found = read(
        test,
        target=target,
        texts=[] if table is None else [str(name) for name, values in table.items() if _is_text(values)],
        shape=raw.inputs.shape[1:] if table is None else None,
    )
    inputs = matching(found, raw.inputs, test, "the training data")
    _, targets = interpret(_labelled(found, test), raw.target, numbered=False, task=raw.task)
    strangers = sorted(set(targets) - set(raw.targets)) if raw.task == "classification" else []
    if strangers:
        close = difflib.get_close_matches(strangers[0], sorted(set(raw.targets)), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UserError(
            f"the test data {test!r} has the class {strangers[0]!r}{hint}, which the training data lacks; "
            "correct the label, or add such examples to the training data"
        )
    return RawData(inputs, targets, raw.task, raw.target, content=found.content)


def _is_text(values: pd.Series) -> bool:
    """Whether a column's values are texts rather than numbers, truth values or times."""
    return values.dtype == object or isinstance(values.dtype, pd.StringDtype | pd.CategoricalDtype)


def _labelled(found: Examples, data: str) -> pd.Series:
    if found.targets is None:
        raise UserError(f"{data!r} has no labels; give labelled examples")
    return found.targets


def _refuse_options(data: str, target: str | None, group: str | None, own_target: str) -> None:
    if target not in (None, own_target):
        raise UserError(f"{data!r} has its own target, {own_target!r}; leave out --target {target}")
    if group is not None:
        raise UserError(f"{data!r} has no column {group!r} to group by; leave out --group")
