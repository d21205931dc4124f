"""The preprocessing of `msearch_core.data.preprocessing` as Keras layers, to be part of a saved model.

Only layers and operations that Keras itself has: the ``.keras`` file loads in safe mode wherever Keras is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from msearch_core.data.audio import mel_matrix, window
from msearch_core.data.preprocessing import NUMERIC, SEQUENCE_INPUT
from msearch_core.data.problem import Problem
from msearch_core.training.dates import days


def raw_inputs(problem: Problem, *, date_texts: bool = False) -> tuple[dict[str, Any] | Any, Any]:
    """Raw inputs, and the encoded tensor computed from them.

    Args:
        problem: holds the preprocessing.
        date_texts: whether a table's dates come as ISO 8601 texts, ``string``, instead of as days since 1970.

    Returns:
        ``keras.Input`` tensors, as `msearch_core.data.preprocessing.to_model_inputs` fills them, and a ``KerasTensor``
        of encoded examples ``(batch, *input_shape)``.

        For a table: an input ``(batch, 1)`` by input name, ``float32`` (NaN means missing) or ``string`` (empty means
        missing). For sequences: ``input_sequence``, ``float32 (batch, time, numbers)``, NaN after an example's end, and
        ``string (batch, time)`` by input name, empty after it. For sounds: ``float32 (batch, samples)``, NaN after the
        end. For images: ``(batch, height, width, channels)`` of the images' type, which are encoded as they are.
    """
    spec = problem.preprocessing
    if spec["kind"] == "image":
        image = keras.Input(problem.input_shape, dtype=spec["dtype"], name="input_image")
        return image, image
    if spec["kind"] == "audio":
        sound = keras.Input((spec["samples"],), dtype="float32", name="input_audio")
        return sound, _encode_sound(spec, sound)
    return _sequence_inputs(spec) if spec["kind"] == "sequence" else _table_inputs(spec, date_texts)


def _table_inputs(spec: Mapping[str, Any], date_texts: bool) -> tuple[dict[str, Any], Any]:
    texts = ("category", "date") if date_texts else ("category",)
    inputs = {
        column["input"]: keras.Input(
            (1,), dtype="string" if column["kind"] in texts else "float32", name=column["input"]
        )
        for column in spec["columns"]
    }
    numeric = numeric_columns(spec)
    numbers = [
        days(inputs[column["input"]], f"encode_{column['input']}")
        if column["kind"] in texts
        else inputs[column["input"]]
        for column in numeric
    ]
    parts = [encode_numbers(numeric, joined(numbers, "encode_numbers"))] if numeric else []
    for column in spec["columns"]:
        if column["kind"] == "category":
            parts.append(_lookup(column, None, "one_hot")(inputs[column["input"]]))
    return inputs, joined(parts, "encode_join")


def _sequence_inputs(spec: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    inputs: dict[str, Any] = {}
    parts, numeric, ended = [], numeric_columns(spec), None
    if numeric:
        inputs[SEQUENCE_INPUT] = keras.Input((spec["time"], len(numeric)), dtype="float32", name=SEQUENCE_INPUT)
        missing = keras.ops.isnan(inputs[SEQUENCE_INPUT])
        ended = keras.ops.all(missing, axis=-1, keepdims=True)
        parts.append(keras.ops.where(missing, 0.0, scaled(numeric, inputs[SEQUENCE_INPUT])))
    for column in spec["columns"]:
        if column["kind"] == "category":
            name = column["input"]
            inputs[name] = keras.Input((spec["time"],), dtype="string", name=name)
            number = _lookup(column, "", "int")(inputs[name])  # 0 after the end, 1 for an unknown category
            parts.append(keras.ops.one_hot(number - 1, 1 + len(column["vocabulary"])))
            ended = keras.ops.equal(keras.ops.expand_dims(number, -1), 0) if ended is None else ended
    return inputs, keras.ops.where(ended, np.nan, joined(parts, "encode_join"))


def _encode_sound(spec: Mapping[str, Any], sound: Any) -> Any:
    """The log-mel spectrogram of each frame that is wholly sound; NaN for the others.

    Windowing and Fourier transform are one convolution with sines and cosines, which every export format has and
    which is closer to NumPy's transform than ``keras.ops.stft``, whose frames are others.
    """
    frame, bins = spec["frame"], spec["fft"] // 2 + 1
    angles = 2 * np.pi * np.outer(np.arange(frame), np.arange(bins)) / spec["fft"]
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * window(spec)[:, np.newaxis]
    missing = keras.ops.isnan(sound)
    samples = keras.ops.expand_dims(keras.ops.where(missing, 0.0, sound), -1)
    fourier = _fixed(
        keras.layers.Conv1D(
            2 * bins, frame, strides=spec["hop"], use_bias=False, dtype="float32", name="encode_fourier"
        ),
        samples,
        waves[:, np.newaxis],
    )
    power = keras.ops.square(fourier[:, :, :bins]) + keras.ops.square(fourier[:, :, bins:])
    mel_layer = keras.layers.Dense(spec["mels"], use_bias=False, dtype="float32", name="encode_mel")
    mel = _fixed(mel_layer, power, mel_matrix(spec))
    encoded = _standardised(keras.ops.log(mel + spec["epsilon"]), spec["mean"], spec["deviation"])
    # A frame is whole where its last sample is.
    ended = keras.ops.expand_dims(missing[:, frame - 1 :: spec["hop"]], -1)
    return keras.ops.where(ended, np.nan, encoded)


def encode_numbers(columns: list[dict[str, Any]], values: Any) -> Any:
    """A table's numbers ``float32 (batch, columns)``, standardised, with indicators of those that are missing."""
    missing = keras.ops.isnan(values)
    numbers = keras.ops.where(missing, 0.0, scaled(columns, values))
    indicated = [index for index, column in enumerate(columns) if column["indicator"]]
    if not indicated:
        return numbers
    indicators = keras.ops.cast(keras.ops.take(missing, indicated, axis=1), "float32")
    return joined([numbers, indicators], "encode_missing")


def numeric_columns(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns that become numbers: numbers, truth values and dates."""
    return [column for column in spec["columns"] if column["kind"] in NUMERIC]


def scaled(columns: list[dict[str, Any]], values: Any) -> Any:
    """Numbers of these columns, ``float32 (..., columns)``, standardised."""
    return _standardised(values, [column["mean"] for column in columns], [column["deviation"] for column in columns])


def _standardised(values: Any, mean: list[float], deviation: list[float]) -> Any:
    """Computed as NumPy does. Keras' ``Normalization`` takes a variance, which for a large or a small deviation does
    not fit into 32 bits, and divides by 1e-7 at least.
    """  # noqa: D205
    return (values - np.array(mean, np.float32)) / np.array(deviation, np.float32)


def _fixed(layer: Any, inputs: Any, kernel: np.ndarray) -> Any:
    """Apply a layer whose kernel is known and not to be trained."""
    outputs = layer(inputs)
    layer.set_weights([kernel.astype(np.float32)])
    layer.trainable = False
    return outputs


def _lookup(column: Mapping[str, Any], mask_token: str | None, output_mode: str) -> Any:
    unknown = "unknown"
    while unknown in column["vocabulary"]:
        unknown += "_"
    return keras.layers.StringLookup(
        vocabulary=column["vocabulary"],
        mask_token=mask_token,
        oov_token=unknown,
        output_mode=output_mode,
        name=f"encode_{column['input']}",
    )


def joined(tensors: list[Any], name: str) -> Any:
    """Tensors side by side; a single one as it is."""
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=name)(tensors)
