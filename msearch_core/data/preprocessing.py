"""How raw inputs become what a model learns from: learned on train, kept as JSON, applied here with NumPy.

`msearch_core.training.preprocessing` does the same with Keras layers, so that it can be part of a saved model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data.audio import Clips, frames, front_end, log_mel
from msearch_core.data.examples import Inputs
from msearch_core.data.features import (
    MAX_CATEGORIES,
    MISSING_TEXT,
    NUMERIC,
    SEQUENCE_INPUT,
    encode_rows,
    learn_columns,
    raw_columns,
    width,
)
from msearch_core.data.images import Pictures
from msearch_core.data.problem import Problem
from msearch_core.data.sequences import MAX_STEPS, Sequences, padded

__all__ = [
    "MAX_CATEGORIES",
    "MISSING_TEXT",
    "NUMERIC",
    "SEQUENCE_INPUT",
    "encode",
    "encode_batches",
    "image_moments",
    "input_shape",
    "learn",
    "to_model_inputs",
    "width",
]

_CHUNK = 1024
_CHUNK_VALUES = 1 << 21
_ROWS = 65536


def learn(inputs: Inputs, rows: np.ndarray) -> dict[str, Any]:
    """Learn the preprocessing from some of the examples.

    Of a table, empty and constant columns are dropped, and texts of which more than 90 % differ. Numbers, truth values
    and dates (as days since 1970) are standardised; a missing one becomes the mean, and gets a feature of its own if
    any was missing here. Other columns are one-hot encoded: the 100 most frequent categories that occur at least twice,
    among them the empty text for a missing value, and one feature for all others. The features of a sequence's steps
    are treated alike, except that none gets a feature for being missing and no number is dropped. The mel bands of a
    sound are standardised. An encoded image stays as it is; `image_moments` measures its channels.

    Args:
        inputs: the examples.
        rows: integers ``(train,)``, those to learn from.

    Returns:
        ``kind``, and for a ``"table"`` or a ``"sequence"``: ``columns`` (each with ``name``, ``input``, ``kind`` and
        what was learned) and ``dropped`` (the reason by column); ``time``, the steps of a sequence. For an ``"image"``:
        ``dtype``, and ``resized`` where some had to be. For ``"audio"``: what `msearch_core.data.audio.front_end`
        returns, ``mean`` and ``deviation``.

    Raises:
        UserError: no column is left, or a value cannot be used.
    """
    if isinstance(inputs, pd.DataFrame):
        return {"kind": "table", **learn_columns(inputs.iloc[rows])}
    if isinstance(inputs, Sequences):
        steps = inputs.steps.iloc[inputs.step_numbers(rows)]
        time = int(min(inputs.lengths[rows].max(), MAX_STEPS))
        return {"kind": "sequence", **learn_columns(steps, of_steps=True), "time": time}
    if isinstance(inputs, Clips):
        return _learn_sound(inputs, rows)
    return {"kind": "image", "dtype": str(inputs.dtype), **(_sizes(inputs) if isinstance(inputs, Pictures) else {})}


def _sizes(pictures: Pictures) -> dict[str, Any]:
    """What was brought to one size, if anything was."""
    height, width, _ = pictures.shape[1:]
    resized = sum(count for size, count in pictures.sizes.items() if size != (width, height))
    return {"resized": {"images": resized, "sizes": len(pictures.sizes)}} if resized else {}


def image_moments(images: Callable[[int, int], np.ndarray], count: int) -> dict[str, list[float]]:
    """Measure each channel of some images, without holding all of them.

    Args:
        images: gives those from a number to before another, ``(batch, height, width, channels)``.
        count: how many there are.

    Returns:
        ``mean`` and ``variance`` by channel, for the spec of images.
    """
    total, squares, pixels = np.zeros(()), np.zeros(()), 0
    size = max(1, _CHUNK_VALUES // max(1, images(0, 1).size))
    for start in range(0, count, size):
        batch = images(start, min(start + size, count))
        flat = batch.reshape(-1, batch.shape[3]).astype(np.float64)
        total, squares = total + flat.sum(axis=0), squares + np.einsum("ij,ij->j", flat, flat)
        pixels += len(flat)
    mean = total / pixels
    variance = squares / pixels - mean**2
    # A channel without variance, such as an unused one, must stay near zero rather than be blown up.
    usable = np.where(variance > 1e-12 * squares / pixels, variance, 1.0)
    return {"mean": mean.tolist(), "variance": usable.tolist()}


def encode(spec: Mapping[str, Any], inputs: Inputs) -> np.ndarray:
    """Apply what was learned.

    Args:
        spec: what `learn` returned.
        inputs: a table with at least the columns that were kept, images of the shape that was learned, sequences or
            sounds.

    Returns:
        For a table, ``float32 (n, features)``: numbers, then the indicators of missing numbers, then one-hot
        categories, each in the order of ``spec["columns"]``. For sequences the same with a time axis, ``float32 (n,
        time, features)``, and for sounds ``float32 (n, frames, mels)``, both NaN after an example's end. Images
        ``(n, height, width, channels)`` as they are.

    Raises:
        UserError: a value is not of the kind that was learned.
    """
    return inputs if isinstance(inputs, np.ndarray) else np.concatenate(list(encode_batches(spec, inputs)))


def encode_batches(spec: Mapping[str, Any], inputs: Inputs) -> Iterator[np.ndarray]:
    """Apply what was learned to some examples at a time, in order; see `encode`."""
    if isinstance(inputs, Pictures):
        yield from inputs.batches()
    elif isinstance(inputs, Clips):
        yield from (_encode_sounds(spec, sounds) for sounds in inputs.batches())
    else:
        size = _CHUNK if not isinstance(inputs, pd.DataFrame) else _ROWS
        for start in range(0, len(inputs), size):
            if isinstance(inputs, np.ndarray):
                yield inputs[start : start + size]
            elif isinstance(inputs, pd.DataFrame):
                yield encode_rows(spec, inputs.iloc[start : start + size])
            else:
                part = inputs.part(start, start + size)
                yield padded(encode_rows(spec, part.steps), part.lengths, spec["time"], np.nan)


def input_shape(spec: Mapping[str, Any], inputs: Inputs) -> tuple[int, ...]:
    """The shape of one encoded example."""
    if spec["kind"] == "table":
        return (width(spec),)
    if spec["kind"] == "sequence":
        return (spec["time"], width(spec))
    if spec["kind"] == "audio":
        return (frames(spec, spec["samples"]), spec["mels"])
    assert isinstance(inputs, np.ndarray | Pictures)  # noqa: S101 - no other inputs are images
    return tuple(inputs.shape[1:])


def to_model_inputs(problem: Problem, inputs: Inputs) -> dict[str, np.ndarray] | np.ndarray:
    """What the Keras model with its preprocessing takes (`msearch_core.training.preprocessing.raw_inputs`).

    Call the model, or its ``predict_on_batch``, with it: Keras' ``predict`` refuses NumPy arrays of text.

    Args:
        problem: holds the preprocessing.
        inputs: a table with the columns that were kept, images, sequences or sounds.

    Returns:
        For a table, an array ``(n, 1)`` by input name: ``float32``, NaN where missing, or ``object`` of ``str``, empty
        where missing. For sequences: ``input_sequence``, ``float32 (n, time, numbers)`` with the numeric columns in the
        order of ``spec["columns"]``, NaN after an example's end and the column's mean where missing; and ``object
        (n, time)`` of ``str`` by input name for the other columns, empty after an example's end and ``" "`` where
        missing. For sounds ``float32 (n, samples)``, NaN after the end. Images as they are.
    """
    spec = problem.preprocessing
    if isinstance(inputs, pd.DataFrame):
        return {name: values[:, np.newaxis] for name, values in raw_columns(spec, inputs).items()}
    if isinstance(inputs, Sequences):
        return _raw_steps(spec, inputs)
    if isinstance(inputs, Clips):
        sounds = [_cut(spec, sound) for batch in inputs.batches() for sound in batch]
        lengths = np.array([len(sound) for sound in sounds], np.int64)
        return padded(np.concatenate(sounds), lengths, spec["samples"], np.nan)
    return inputs if isinstance(inputs, np.ndarray) else np.concatenate(list(inputs.batches()))


def _raw_steps(spec: Mapping[str, Any], inputs: Sequences) -> dict[str, np.ndarray]:
    values = raw_columns(spec, inputs.steps)
    numeric = [column for column in spec["columns"] if column["kind"] in NUMERIC]
    raw: dict[str, np.ndarray] = {}
    if numeric:
        filled = [np.nan_to_num(values[each["input"]], nan=each["mean"]) for each in numeric]
        raw[SEQUENCE_INPUT] = padded(np.stack(filled, axis=1), inputs.lengths, spec["time"], np.nan)
    for column in spec["columns"]:
        if column["kind"] == "category":
            raw[column["input"]] = padded(values[column["input"]], inputs.lengths, spec["time"], "")
    return raw


def _encode_sounds(spec: Mapping[str, Any], sounds: Sequence[np.ndarray]) -> np.ndarray:
    mean, deviation = np.array(spec["mean"], np.float32), np.array(spec["deviation"], np.float32)
    spectra = [(log_mel(spec, sound) - mean) / deviation for sound in sounds]
    lengths = np.array([len(each) for each in spectra], np.int64)
    return padded(np.concatenate(spectra), lengths, frames(spec, spec["samples"]), np.nan)


def _cut(spec: Mapping[str, Any], sound: np.ndarray) -> np.ndarray:
    """A sound of as many samples as a model takes at most, and of one frame at least."""
    return np.pad(sound[: spec["samples"]], (0, max(0, spec["frame"] - len(sound))))


def _learn_sound(clips: Clips, rows: np.ndarray) -> dict[str, Any]:
    spec = front_end(clips.rate, clips.samples[rows])
    chosen = np.isin(np.arange(len(clips)), rows)
    total, squares, count, row = np.zeros(spec["mels"]), np.zeros(spec["mels"]), 0, 0
    for batch in clips.batches():
        for sound in batch:
            if chosen[row]:
                spectrum = log_mel(spec, sound).astype(np.float64)
                total += spectrum.sum(axis=0)
                squares += (spectrum**2).sum(axis=0)
                count += len(spectrum)
            row += 1
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    # Rounded, so that the order in which files are listed does not show in the last digits.
    return {
        **spec,
        "mean": [float(np.float32(round(value, 5))) for value in mean],
        "deviation": [float(np.float32(round(value, 5))) or 1.0 for value in deviation],
    }
