"""Find what the user means by DATA, read it, and say what is to be learned from it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from msearch_core.data import arrays, audio, custom, folders, images, named, tables
from msearch_core.data.audio import Clips
from msearch_core.data.examples import Examples, Inputs, RawData, RawTarget
from msearch_core.data.files import locate
from msearch_core.data.images import Pictures
from msearch_core.data.options import DataOptions
from msearch_core.data.sequences import Sequences
from msearch_core.data.targets import interpret, interpret_like
from msearch_core.errors import UserError

__all__ = ["RawData", "load", "read"]


def load(source: DataOptions | str) -> RawData:
    """Read a labelled data set.

    Args:
        source: what to read, and what of it means what; where only the data is named, all else is as usual.

    Returns:
        The data, its targets interpreted (`msearch_core.data.targets.interpret`).

    Raises:
        UserError: the data cannot be found, read or learned from; one line says why.
    """
    options = DataOptions(source) if isinstance(source, str) else source
    found = read(options)
    if not found.targets:
        raise UserError(f"{options.data!r} has no labels; give labelled examples")
    for option, names in (("task", options.task), ("task-weight", options.task_weight)):
        strangers = sorted(set(names) - {"", *found.targets})
        if strangers:
            raise UserError(
                f"--{option} names {strangers[0]!r}, which is no target; the targets are {', '.join(found.targets)}"
            )
    numbered = not isinstance(found.inputs, pd.DataFrame) or options.data.lower().endswith(arrays.ENDINGS)
    lengths = _lengths(found.inputs)
    targets = tuple(
        replace(
            interpret(
                name,
                values,
                numbered=numbered,
                task=options.task.get(name, options.task.get("")),
                lengths=lengths,
                labels=found.labels.get(name, ()),
            ),
            weight=float(options.task_weight.get(name, 1.0)),
        )
        for name, values in found.targets.items()
    )
    _check_together(targets, options)
    raw = RawData(found.inputs, targets, found.groups, _weights(found, options), options.balance, ignored=found.ignored)
    return raw if options.of_test is None else replace(raw, test=_load_test(options.of_test, raw))


def read(
    source: DataOptions | str,
    *,
    labelled: bool = True,
    texts: Sequence[str] = (),
    only: Collection[str] | None = None,
    shape: Sequence[int] | None = None,
    rate: int | None = None,
) -> Examples:
    """Read examples from any source.

    Args:
        source: as for `load`.
        labelled: whether targets are needed.
        texts: columns of a CSV file to be read as texts, even if all their values look like numbers.
        only: the features that are needed of a CSV or Parquet file, if not all are.
        shape: the ``(height, width, channels)`` that encoded images are brought to; found from them if not given.
        rate: the samples a second that sounds are brought to; found from them if not given.

    Raises:
        UserError: the data cannot be found or read.
    """
    options = DataOptions(source) if isinstance(source, str) else source
    data = options.data
    if data in named.NAMES:
        if labelled:
            _refuse_options(options, named.TARGET)
        return named.read(data)
    if custom.is_reference(data) and not os.path.exists(data):  # noqa: PTH110 - may hold any character
        return custom.read(data, options, labelled=labelled)
    ending = os.path.splitext(data)[1].lower()  # noqa: PTH122 - a URL is no path
    known = (*tables.ENDINGS, *arrays.ENDINGS, *images.ENDINGS, *audio.ENDINGS)
    if "/" not in data and ending not in known and not os.path.exists(data):  # noqa: PTH110 - may hold any character
        raise named.unknown(data)
    location = locate(data)
    of_model = not labelled and (shape is not None or rate is not None)
    if location.is_folder:
        if of_model:
            return folders.read_unlabelled(location, shape, rate)
        if labelled:
            _refuse_options(options, folders.TARGET)
        return folders.read_classes(location, shape, rate)
    if location.ending in tables.ENDINGS:
        return tables.read(location, options, labelled=labelled, texts=texts, only=only, shape=shape, rate=rate)
    if location.ending in arrays.ENDINGS:
        return arrays.read(location, options, labelled=labelled)
    if location.ending in (*images.ENDINGS, *audio.ENDINGS) and of_model:
        return folders.read_unlabelled(location, shape, rate)
    raise UserError(
        f"cannot tell what {data!r} holds from its ending {location.ending!r}; "
        "give a .csv, .parquet or .npz file, or a folder of class folders with images or WAV files"
    )


def kind_of(inputs: Inputs) -> str:
    """What to call inputs in a message."""
    if isinstance(inputs, pd.DataFrame):
        return "a table"
    return "sequences" if isinstance(inputs, Sequences) else "sounds" if isinstance(inputs, Clips) else "images"


def another_kind(data: str, kind: str, expected: str) -> UserError:
    """The error for inputs that are of another kind than others.

    Args:
        data: where the inputs come from.
        kind: what they are.
        expected: what the others are, as a clause.
    """
    hint = "; with an array 'lengths' three axes are sequences" if kind == "images" and "sequences" in expected else ""
    return UserError(f"{data!r} holds {kind}, but {expected}; give the same kind{hint}")


def _load_test(options: DataOptions, raw: RawData) -> RawData:
    known = raw.inputs
    found = read(
        options,
        texts=[str(name) for name, values in known.items() if _is_text(values)]
        if isinstance(known, pd.DataFrame)
        else [],
        shape=known.shape[1:] if isinstance(known, np.ndarray | Pictures) else None,
        rate=known.rate if isinstance(known, Clips) else None,
    )
    inputs = _matching(found.inputs, known, options.data)
    lengths = _lengths(inputs)
    missing = [target.name for target in raw.targets if target.name not in found.targets]
    if missing:
        raise UserError(f"the test data {options.data!r} has no target {missing[0]!r}; give labelled examples")
    targets = tuple(interpret_like(target, found.targets[target.name], options.data, lengths) for target in raw.targets)
    return RawData(inputs, targets, weight=_weights(found, options))


def _matching(inputs: Inputs, known: Inputs, data: str) -> Inputs:
    """Bring inputs to the columns, or the image shape and type, of the training data."""
    if kind_of(inputs) != kind_of(known):
        raise another_kind(data, kind_of(inputs), f"the training data holds {kind_of(known)}")
    if isinstance(inputs, pd.DataFrame) and isinstance(known, pd.DataFrame):
        tables.missing_columns(map(str, known.columns), inputs, repr(data))
        return inputs[list(known.columns)]
    if isinstance(inputs, Sequences) and isinstance(known, Sequences):
        tables.missing_columns(map(str, known.steps.columns), inputs.steps, repr(data))
        return Sequences(inputs.lengths, inputs.steps[list(known.steps.columns)])
    if isinstance(inputs, np.ndarray | Pictures) and isinstance(known, np.ndarray | Pictures):
        return images.fit(inputs, known.shape[1:], str(known.dtype), data)
    return inputs


def _check_together(targets: tuple[RawTarget, ...], options: DataOptions) -> None:
    if len({target.per_step for target in targets}) > 1:
        raise UserError("some targets have a value for each step and some one an example; search for them separately")
    if any(target.weight < 0 for target in targets) or not any(target.weight for target in targets):
        raise UserError("--task-weight: give numbers of at least 0, one of them above 0")
    if options.balance and not any(target.task == "classification" for target in targets):
        raise UserError("--balance needs a classification; leave it out")


def _weights(found: Examples, options: DataOptions) -> np.ndarray | None:
    if found.weight is None:
        return None
    name = options.weight
    try:
        numbers = found.weight.to_numpy(np.float32, na_value=np.nan)
    except (TypeError, ValueError):
        raise UserError(f"the weights {name!r} of {options.data!r} hold text; give numbers of at least 0") from None
    wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
    if len(wrong):
        raise UserError(
            f"the weight {name!r} of {options.data!r} is {numbers[wrong[0]]:g} in row {wrong[0]}; "
            "give finite numbers of at least 0"
        )
    if not numbers.any():
        raise UserError(f"the weights {name!r} of {options.data!r} are all 0; give some examples a weight")
    return numbers


def _lengths(inputs: Inputs) -> np.ndarray | None:
    return inputs.lengths if isinstance(inputs, Sequences) else None


def _is_text(values: pd.Series) -> bool:
    """Whether a column's values are texts rather than numbers, truth values or times."""
    return values.dtype == object or isinstance(values.dtype, pd.StringDtype | pd.CategoricalDtype)


def _refuse_options(options: DataOptions, own_target: str) -> None:
    if options.target not in ((), (own_target,)):
        raise UserError(
            f"{options.data!r} has its own target, {own_target!r}; leave out "
            f"--target {' --target '.join(options.target)}"
        )
    for name, option, use in ((options.group, "group", "group by"), (options.weight, "weight", "weigh by")):
        if name is not None:
            raise UserError(f"{options.data!r} has no column {name!r} to {use}; leave out --{option}")
