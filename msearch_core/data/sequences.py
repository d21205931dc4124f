"""Examples of many steps each: a table of all steps, and how many of them each example has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from msearch_core.errors import UserError

MAX_STEPS = 2000
"""What a model sees of an example at most."""


@dataclass(frozen=True)
class Sequences:
    """Examples whose lengths may differ.

    Attributes:
        lengths: ``int64 (n,)``, the steps of each example, at least one.
        steps: the steps of the first example, then those of the second, and so on: one column a feature.
    """

    lengths: np.ndarray
    steps: pd.DataFrame

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def starts(self) -> np.ndarray:
        """``int64 (n,)``, the row of each example's first step."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts

    def part(self, start: int, stop: int) -> Sequences:
        """The examples from ``start`` to before ``stop``."""
        lengths = self.lengths[start:stop]
        first = int(self.starts[start]) if len(lengths) else 0
        return Sequences(lengths, self.steps.iloc[first : first + int(lengths.sum())])

    def step_numbers(self, rows: np.ndarray) -> np.ndarray:
        """The rows of ``steps`` that are some examples' own, one example after the other, in the order asked."""
        lengths = self.lengths[rows]
        before = np.cumsum(lengths) - lengths
        numbers: np.ndarray = np.arange(lengths.sum()) + np.repeat(self.starts[rows] - before, lengths)
        return numbers


def padded(values: np.ndarray, lengths: np.ndarray, time: int, padding: float | str) -> np.ndarray:
    """Give each example a row of its own.

    Args:
        values: ``(steps, ...)``, of all examples one after the other.
        lengths: ``int64 (n,)``.
        time: how many steps the result has; what goes beyond is cut off.
        padding: what stands after an example's end.

    Returns:
        ``(n, time, ...)`` of the same type.
    """
    result = np.full((len(lengths), time, *values.shape[1:]), padding, values.dtype)
    example = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = step < time
    result[example[kept], step[kept]] = values[kept]
    return result


def from_array(x: np.ndarray, lengths: np.ndarray | None, url: str, name: str = "x") -> Sequences:
    """Sequences from an array in which all have the same room.

    Args:
        x: ``(n, time)`` or ``(n, time, features)``.
        lengths: ``(n,)`` whole numbers from 1 to ``time``; ``None`` where the steps after an example's end are NaN.
        url: where the array comes from, for messages.
        name: what it is called there.

    Raises:
        UserError: lengths and array do not fit, an example has no steps, or a value is infinite.
    """
    cube = x[..., np.newaxis] if x.ndim == 2 else x
    count, time, features = cube.shape
    if lengths is None:
        present = ~np.isnan(cube).all(axis=2) if cube.dtype.kind == "f" else np.ones((count, time), bool)
        lengths = np.where(present, np.arange(1, time + 1), 0).max(axis=1)
    if lengths.shape != (count,) or lengths.dtype.kind not in "iu":
        raise UserError(f"'lengths' in {url!r} is {lengths.dtype} of shape {lengths.shape}; give {count} whole numbers")
    wrong = np.flatnonzero((lengths < 1) | (lengths > time))
    if len(wrong):
        raise UserError(
            f"example {wrong[0]} of {name!r} in {url!r} has a length of {lengths[wrong[0]]}; expected 1 to {time} steps"
        )
    flat = cube[np.arange(time) < lengths[:, np.newaxis]]
    digits = len(str(features - 1))
    names = [f"{name}{index:0{digits}}" for index in range(features)] if x.ndim == 3 else [name]
    steps = pd.DataFrame(flat.astype(np.float32) if flat.dtype.kind in "biuf" else flat, columns=names)
    return checked(Sequences(lengths.astype(np.int64), steps), url)


def from_arrays(examples: Sequence[np.ndarray], url: str) -> Sequences:
    """Sequences from one array an example.

    Args:
        examples: each ``(time,)`` or ``(time, features)``, with the same features.
        url: where the arrays come from, for messages.

    Raises:
        UserError: the features differ, an example has no steps, or a value is infinite.
    """
    cubes = [each[:, np.newaxis] if each.ndim == 1 else each for each in map(np.asarray, examples)]
    widths = {each.shape[1:] for each in cubes}
    if len(widths) != 1 or len(next(iter(widths))) != 1:
        raise UserError(f"the sequences of {url!r} are of shapes (time, *) with * in {widths}; give the same features")
    flat = np.concatenate(cubes)
    digits = len(str(flat.shape[1] - 1))
    names = [f"x{index:0{digits}}" for index in range(flat.shape[1])]
    steps = pd.DataFrame(flat.astype(np.float32) if flat.dtype.kind in "biuf" else flat, columns=names)
    return checked(Sequences(np.array([len(each) for each in cubes], np.int64), steps), url)


def joined(parts: Mapping[str, Sequences], constants: pd.DataFrame, url: str) -> Sequences:
    """Put the features of several columns side by side; what has one value an example is repeated at each step.

    Args:
        parts: at least one, by column.
        constants: ``n`` rows.
        url: where the columns come from, for messages.

    Raises:
        UserError: the lengths of an example differ, or two features have the same name.
    """
    first, lengths = next((name, part.lengths) for name, part in parts.items())
    for name, part in parts.items():
        row = next(iter(np.flatnonzero(part.lengths != lengths)), None)
        if row is not None:
            raise UserError(
                f"row {row} of {url!r} has {lengths[row]} steps in the column {first!r} but {part.lengths[row]} in "
                f"{name!r}; give lists of the same length, or leave one column out"
            )
    repeated = constants.loc[np.repeat(np.arange(len(lengths)), lengths)].reset_index(drop=True)
    steps = pd.concat([*(part.steps.reset_index(drop=True) for part in parts.values()), repeated], axis=1)
    twice = steps.columns[steps.columns.duplicated()]
    if len(twice):
        raise UserError(
            f"{url!r} has a column {twice[0]!r}, and a column of lists of lists has a feature that is called so; "
            "rename one of them"
        )
    return checked(Sequences(lengths, steps), url)


def checked(found: Sequences, url: str) -> Sequences:
    """See that each example has steps and no value is infinite.

    Raises:
        UserError: one has none, or one is.
    """
    empty = np.flatnonzero(found.lengths == 0)
    if len(empty):
        raise UserError(f"row {empty[0]} of {url!r} has no steps; give at least one, or leave the row out")
    for name, values in found.steps.items():
        if values.dtype.kind == "f" and np.isinf(values.to_numpy()).any():
            raise UserError(f"{name!r} of {url!r} holds infinite values; correct them or leave them empty")
    return found
