"""Arrays from ``.npz`` files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.examples import Examples, Inputs, Values
from msearch_core.data.files import Location, reading
from msearch_core.data.options import DataOptions
from msearch_core.data.sequences import Sequences, from_array, from_arrays
from msearch_core.data.tables import check_usable, plain
from msearch_core.errors import UserError

ENDINGS = (".npz",)
_PREFIX = "y_"
_WITH_INPUTS = ("x", "lengths", "labels")


def read(location: Location, options: DataOptions, *, labelled: bool = True) -> Examples:
    """Read the arrays of an ``.npz`` file; see `from_named_arrays` for what they mean.

    Args:
        location: the file.
        options: the arrays that are targets, groups and weights; ``y`` if no target is named, or else all arrays
            whose names begin with ``y_``.
        labelled: whether these arrays are needed.

    Raises:
        UserError: an array is missing, has another shape or length, or holds objects or infinite values.
    """
    url = location.url
    with reading(url), location.filesystem.open(location.path, "rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
            names = list(found.files) if isinstance(found, np.lib.npyio.NpzFile) else []
            wanted = [*_WITH_INPUTS] + (_targets(names, options) + _others(options) if labelled else [])
            arrays = {name: found[name] for name in wanted if name in names}
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            file.seek(0)
            if "allow_pickle" in str(error) and file.read(2) == b"PK":
                raise UserError(f"{url!r} holds an array of objects; give plain numbers or texts") from None
            raise UserError(f"{url!r} is not an .npz file; write it with np.savez(path, x=..., y=...)") from None
    _expect(names, options, url, labelled)
    examples = from_named_arrays(arrays, options, url, labelled=labelled)
    return replace(examples, ignored=_ignored(names, options) if labelled else {})


def from_named_arrays(arrays: Mapping[str, Any], options: DataOptions, url: str, *, labelled: bool = True) -> Examples:
    """Examples from arrays.

    Args:
        arrays: ``x`` is a table ``(n, columns)``, whose columns are named x0, x1, ...; grey images ``(n, height,
            width)``; images ``(n, height, width, channels)``; with ``lengths`` ``(n,)`` or NaN after an example's end,
            sequences ``(n, time, features)``, or with ``lengths`` ``(n, time)``. A target is ``(n,)``; ``(n, labels)``
            of 0 and 1, whose names may be in ``labels``; or numbers ``(n, k)``, which are k targets. Where the inputs
            are sequences, ``(n, time)`` is a value for each step, unless the target's task is said to be
            ``multilabel``. Groups and weights are ``(n,)``.
        options: names of targets, groups and weights, as for `read`.
        url: where the arrays come from, for messages.
        labelled: whether targets, groups and weights are needed.

    Raises:
        UserError: an array is missing, has another shape or length, or holds infinite values.
    """
    _expect(list(arrays), options, url, labelled)
    inputs = _inputs(arrays["x"], arrays.get("lengths"), url)
    if not labelled:
        return Examples(inputs)
    names = tuple(map(str, arrays.get("labels", ())))
    targets: dict[str, Values] = {}
    for name in _targets(list(arrays), options):
        values = arrays[name]
        if isinstance(values, list | tuple):  # of one array an example
            targets[name] = _steps(values, name, len(inputs), url)
        else:
            is_of_steps = options.task.get(name, options.task.get("")) != "multilabel"
            targets |= _target(values, name, inputs, _time(arrays["x"]) if is_of_steps else None, names, url)
    labels = {name: names for name, values in targets.items() if isinstance(values, np.ndarray) and names}
    groups, weight = (_series(arrays[n], n, len(inputs), url) if n else None for n in (options.group, options.weight))
    return Examples(inputs, targets, groups, weight, labels, _ignored(list(arrays), options))


def _targets(names: list[str], options: DataOptions) -> list[str]:
    prefixed = sorted(name for name in names if name.startswith(_PREFIX))
    return list(options.target) or (prefixed if prefixed and "y" not in names else ["y"])


def _expect(names: list[str], options: DataOptions, url: str, labelled: bool) -> None:
    """See that there are all arrays that are needed."""
    for name in ["x", *(_targets(names, options) + _others(options) if labelled else [])]:
        if name not in names:
            held = f"it holds {', '.join(names)}" if names else "it holds no named array"
            raise UserError(
                f"{url!r} has no array {name!r}; {held}; give x=..., y=..., as np.savez(path, x=..., y=...)"
            )


def _ignored(names: list[str], options: DataOptions) -> dict[str, str]:
    used = {*_WITH_INPUTS, *_targets(names, options), *_others(options)}
    return dict.fromkeys(sorted({*names} - used), "is an array that no option names")


def _others(options: DataOptions) -> list[str]:
    return [name for name in (options.group, options.weight) if name]


def _inputs(x: Any, lengths: Any, url: str) -> Inputs:
    if isinstance(x, pd.DataFrame):
        table = plain(x, url)
        check_usable(table, url)
        return table
    if isinstance(x, list | tuple):
        return from_arrays(x, url)
    if not x.size:
        raise UserError(f"{url!r} has no rows: 'x' is of shape {x.shape}; give examples")
    if lengths is not None:
        if x.ndim not in (2, 3):
            raise UserError(f"'x' in {url!r} is of shape {x.shape}; with 'lengths' give (n, time[, features])")
        return from_array(x, np.asarray(lengths), url)
    if x.ndim == 2:
        table = pd.DataFrame(x, columns=[f"x{column}" for column in range(x.shape[1])])
        check_usable(table, url)
        return table
    if x.ndim == 3 and x.dtype.kind == "f" and _is_padded(x):
        return from_array(x, None, url)
    return _images(x, url)


def _time(x: Any) -> int:
    """The room that sequences have in an array."""
    return max(map(len, x)) if isinstance(x, list | tuple) else int(np.shape(x)[1])


def _is_padded(x: np.ndarray) -> bool:
    """Whether some examples end in steps that are NaN throughout."""
    return bool(np.isnan(x[:, -1]).all(axis=1).any()) and not np.isnan(x[:, 0]).all(axis=1).any()


def _images(x: np.ndarray, url: str) -> np.ndarray:
    if x.ndim not in (3, 4) or x.dtype.kind not in "biuf":
        raise UserError(
            f"'x' in {url!r} is {x.dtype} of shape {x.shape}; give a table (n, columns), "
            "images (n, height, width[, channels]), or sequences (n, time, features) with 'lengths'"
        )
    images = x[..., np.newaxis] if x.ndim == 3 else x
    if images.shape[1] in (1, 3) and images.shape[3] > 4:
        raise UserError(f"'x' in {url!r} is of shape {x.shape}: channels come last, (n, height, width, channels)")
    if images.dtype.kind in "bi" and images.min() >= 0 and images.max() <= 255:
        images = images.astype(np.uint8)
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise UserError(f"'x' in {url!r} holds NaN or infinite pixels; correct or remove these images")
    return images


def _names(numbers: np.ndarray, labels: tuple[str, ...]) -> pd.Series:
    return pd.Series(np.array(labels, object)[numbers] if len(labels) > numbers.max() else numbers)


def _target(
    values: np.ndarray, name: str, inputs: Inputs, time: int | None, labels: tuple[str, ...], url: str
) -> dict[str, Values]:
    """A target by name, or several of them where it has columns of numbers; as wide as ``time``, it is one of steps."""
    _expect_as_many(values, name, len(inputs), url)
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        return {name: pd.Series(values.reshape(-1), name=name)}
    if values.ndim == 2 and isinstance(inputs, Sequences) and values.shape[1] == time:
        flat = values[np.arange(values.shape[1]) < inputs.lengths[:, np.newaxis]]
        return {name: Sequences(inputs.lengths, pd.DataFrame({name: flat}))}
    if values.ndim == 2 and values.dtype.kind in "biuf":
        if not np.isin(values, (0, 1)).all():
            return {f"{name}{index}": pd.Series(values[:, index]) for index in range(values.shape[1])}
        one_hot = (values.sum(axis=1) == 1).all()
        return {name: _names(values.argmax(axis=1), labels) if one_hot else values.astype(np.float32)}
    raise UserError(
        f"{name!r} in {url!r} is {values.dtype} of shape {values.shape}; give one value an example, of shape (n,), "
        "0 and 1 by label, (n, labels), or numbers, (n, targets)"
    )


def _steps(values: Sequence[np.ndarray], name: str, count: int, url: str) -> Sequences:
    """A target of a value for each step, or of labels, from an array an example."""
    _expect_as_many(values, name, count, url)
    shapes = {np.shape(each) for each in values if np.ndim(each) != 1}
    if shapes:
        raise UserError(f"{name!r} in {url!r} has an example of shape {min(shapes)}; give one value a step, (time,)")
    lengths = np.array([len(each) for each in values], np.int64)
    return Sequences(lengths, pd.DataFrame({name: np.concatenate(values)}))


def _expect_as_many(values: Any, name: str, count: int, url: str) -> None:
    has = "none" if isinstance(values, np.ndarray) and not values.ndim else len(values)
    if has != count:
        raise UserError(f"'x' in {url!r} has {count} examples, but {name!r} has {has}; give as many of each")


def _series(values: Any, name: str, rows: int, url: str) -> pd.Series:
    array = np.asarray(values)
    if array.shape not in ((rows,), (rows, 1)):
        raise UserError(f"{name!r} in {url!r} is of shape {array.shape}; give one value an example, of shape ({rows},)")
    return pd.Series(array.reshape(-1), name=name)
