"""A split's examples as they were before they were prepared, as a bundle's model takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.audio import Clips
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import rows_of
from msearch_core.data.prepared import PreparedData
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import load
from msearch_core.exporting.bundle import encode

PART = 512
"""Examples in a file."""


def write_parts(
    source: DataOptions,
    data: PreparedData,
    side: str,
    seed: int,
    moved: Mapping[str, str],
    known: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any] | None:
    """Write the raw inputs of a split, some hundred a file, in the order of the prepared split.

    Args:
        source: where the data is.
        data: what was prepared of it.
        side: ``validation`` or ``test``.
        seed: the seed of the split.
        moved: as for `msearch_core.data.prepare.prepare`.
        known: what `msearch_core.exporting.about.about` says.
        folder: for ``00000.npz`` and so on, arrays by input name.

    Returns:
        The first row of a table, as a person has it; ``None`` of other kinds of data.

    Raises:
        UserError: the data cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = None
    for number, examples in enumerate(_examples(source, data, side, seed, moved, folder)):
        np.savez(folder / f"{number:05}.npz", allow_pickle=False, **encode.inputs(examples, known))
        if number == 0 and isinstance(examples, dict):
            first = {name: values[0] for name, values in examples.items()}
    return first


def _examples(
    source: DataOptions, data: PreparedData, side: str, seed: int, moved: Mapping[str, str], folder: Path
) -> Iterator[Any]:
    x = data.splits[side].x
    starts = range(0, len(x), PART)
    if data.problem.preprocessing["kind"] == "image":
        yield from (np.asarray(x[start : start + PART]) for start in starts)
        return
    raw, rows = rows_of(load(source), side, seed, moved)
    if isinstance(raw.inputs, Clips):
        sounds = _waves(raw.inputs, rows, data.problem.preprocessing["samples"], folder / "waves.npy")
        lengths = raw.inputs.samples[rows]
    for start in starts:
        chosen = rows[start : start + PART]
        if isinstance(raw.inputs, pd.DataFrame):
            yield _columns(raw.inputs.iloc[chosen])
        elif isinstance(raw.inputs, Sequences):
            yield _steps(raw.inputs, chosen)
        else:
            part = slice(start, start + PART)
            yield [sound[:length] for sound, length in zip(sounds[part], lengths[part], strict=True)]


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Values as Python has them, ``None`` where missing."""
    found = table.astype(object)
    return {str(name): values.where(values.notna(), None).tolist() for name, values in found.items()}


def _steps(inputs: Sequences, rows: np.ndarray) -> list[dict[str, Any]]:
    ends = np.cumsum(inputs.lengths[rows])
    columns = _columns(inputs.steps.iloc[inputs.step_numbers(rows)])
    return [
        {name: values[end - length : end] for name, values in columns.items()}
        for end, length in zip(ends, inputs.lengths[rows], strict=True)
    ]


def _waves(clips: Clips, rows: np.ndarray, samples: int, path: Path) -> np.ndarray:
    """Some of the sounds, in the order asked, cut to what a model takes; on disk, since they are many."""
    place = np.full(len(clips), -1)
    place[rows] = np.arange(len(rows))
    waves = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(len(rows), samples))
    row = 0
    for batch in clips.batches():
        for sound in batch:
            if place[row] >= 0:
                kept = sound[:samples]
                waves[place[row], : len(kept)] = kept
            row += 1
    return waves
