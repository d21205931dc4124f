"""The model card: what a person must know who finds the bundle without its search."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msearch_core.exporting.bundle.predict import FILES

SNIPPETS: Mapping[str, str] = {
    "keras": """import keras, numpy as np
model = keras.saving.load_model("model.keras", compile=False)
print(model.predict_on_batch(dict(np.load("example.npz"))))""",
    "savedmodel": """import numpy as np, tensorflow as tf
model = tf.saved_model.load("saved_model")
print(model.serve(dict(np.load("example.npz"))))""",
    "tflite": """import encode, numpy as np, tensorflow as tf
model = tf.lite.Interpreter("model.tflite").get_signature_runner()
print(model(**encode.tensors(dict(np.load("example.npz")))))""",
    "onnx": """import encode, numpy as np, onnxruntime
model = onnxruntime.InferenceSession("model.onnx")
print(model.run(None, encode.tensors(dict(np.load("example.npz")))))""",
}
NEEDS: Mapping[str, str] = {
    "keras": "Keras 3 on TensorFlow",
    "savedmodel": "TensorFlow",
    "tflite": "TensorFlow or LiteRT (`ai-edge-litert`), and NumPy; one example at a time",
    "onnx": "ONNX Runtime and NumPy",
}
_KINDS = {
    "number": "number; NaN where missing",
    "boolean": "0 or 1; NaN where missing",
    "date": "text, ISO 8601 such as 2026-05-31 or 2026-05-31T18:30:00+02:00; empty where missing",
    "category": "text; empty where missing",
}


def model_card(facts: Mapping[str, Any], known: Mapping[str, Any], formats: Sequence[str], *, with_row: bool) -> str:
    """The card as Markdown.

    Args:
        facts: what `msearch_core.export` tells of the model: ``uid``, ``search``, ``scores`` (rows of a table),
            ``notes``, ``model`` and ``origin`` (names and values).
        known: what `msearch_core.exporting.about.about` says.
        formats: those in the bundle.
        with_row: whether there is an ``example.json``.
    """
    parts = [
        f"# {_plain(facts['search'])}: the model of trial {facts['uid']}",
        "Predicts " + ", ".join(_target(target) for target in known["targets"]) + ".",
        *(f"**{note}**" for note in facts["notes"]),
        "## Scores",
        _table(("score", "value", "of"), facts["scores"]),
        "## Use it",
        "In this folder; each prints what the model says of the example.",
        *(f"`{FILES[each]}` needs {NEEDS[each]}:\n\n```python\n{SNIPPETS[each]}\n```" for each in formats),
        _from_raw(formats[0], known, with_row=with_row),
        "## Input",
        *_inputs(known),
        *_left_out(known),
        "## Output",
        *_outputs(known),
        "## Model",
        _table(("", ""), facts["model"]),
        "## Origin",
        _table(("", ""), facts["origin"]),
    ]
    return "\n\n".join(parts) + "\n"


def _from_raw(format_name: str, known: Mapping[str, Any], *, with_row: bool) -> str:
    examples = {
        "table": 'json.load(open("example.json"))' if with_row else "rows",
        "image": "images",
        "audio": "[sound, another]",
        "sequence": "[sequence, another]",
    }[known["kind"]]
    imports = "import json, predict" if "json." in examples else "import predict"
    return (
        "`encode.py` makes the model's input of raw examples and reads its answers, with nothing but NumPy; "
        "`predict.py` does both, for each format:\n\n"
        f'```python\n{imports}\nprint(predict.predict("{format_name}", {examples}))\n```'
    )


def _inputs(known: Mapping[str, Any]) -> list[str]:
    columns = known.get("columns", ())
    if known["kind"] == "image":
        shape = ", ".join(map(str, known["shape"]))
        values = "whole numbers from 0 to 255" if known["dtype"] == "uint8" else "numbers on the scale of the data"
        return [
            f"`input_image`: `{known['dtype']} (n, {shape})`, decoded images, {values}. They are normalised inside.",
            *_resizing(known),
        ]
    if known["kind"] == "audio":
        return [
            f"`input_audio`: `float32 (n, {known['samples']})`, sound from -1 to 1 of {known['sample_rate']} samples a "
            "second, NaN after a sound's end. The spectrogram is made inside."
        ]
    if known["kind"] == "table":
        rows = [(_code(each["name"]), f"`{each['input']}`", _KINDS[each["kind"]]) for each in columns]
        return ["A row is `(n, 1)` of each input.", _table(("column", "input", "what it takes"), rows)]
    texts = [each for each in columns if each["kind"] == "category"]
    numbers = [each["name"] for each in columns if each["kind"] != "category"]
    found = []
    if numbers:
        found.append(
            f"`input_sequence`: `float32 (n, {known['time']}, {len(numbers)})`, NaN after an example's end: "
            + ", ".join(map(_code, numbers))
        )
    if texts:
        pairs = [(_code(each["name"]), f"`{each['input']}`") for each in texts]
        found += [
            f"Texts `(n, {known['time']})`, empty after an example's end, one blank where missing:",
            _table(("feature", "input"), pairs),
        ]
    return found


def _resizing(known: Mapping[str, Any]) -> list[str]:
    """As `msearch_core.data.images` brings pictures to one size."""
    height, width, channels = known["shape"]
    if known["dtype"] != "uint8" or channels not in (1, 3):
        return []
    mode = "L" if channels == 1 else "RGB"
    return [
        f"Pictures are {width} pixels wide and {height} high. Training brought others to that size as Pillow does, "
        "whatever their proportions, photographs turned upright and what is transparent on white:",
        f'```python\nfrom PIL import Image, ImageOps\nimage = ImageOps.exif_transpose(Image.open("picture.png"))\n'
        f'image = image.convert("{mode}").resize(({width}, {height}), Image.Resampling.BILINEAR)\n```',
    ]


def _left_out(known: Mapping[str, Any]) -> list[str]:
    dropped = known.get("dropped", {})
    columns = "; ".join(f"{_code(name)} {why}" for name, why in dropped.items())
    return [f"The model takes nothing of these columns of its training data: {columns}."] if dropped else []


def _outputs(known: Mapping[str, Any]) -> list[str]:
    lines = []
    for target in known["targets"]:
        prefix, axes = target["prefix"], "(n, time" if target["per_step"] else "(n"
        if target["task"] == "regression":
            lines.append(f"{_code(target['name'])}: `{prefix}value`, `float32 {axes})`, in its own unit.")
            continue
        one = target["task"] == "classification"
        texts = f"`{prefix}label`, the likeliest" if one else f"`{prefix}labels`, those of at least 0.5, others empty"
        number = f" (TFLite and ONNX: `{prefix}class`, its number)" if one else " (not in TFLite and ONNX)"
        shown = ", ".join(map(_code, target["labels"][:20])) + (", ..." if len(target["labels"]) > 20 else "")
        lines.append(
            f"{_code(target['name'])}: {texts}{number}; `{prefix}probabilities`, "
            f"`float32 {axes}, {len(target['labels'])})`, in this order: {shown}"
        )
    return lines


def _target(target: Mapping[str, Any]) -> str:
    what = {"classification": "one of", "multilabel": "any of", "regression": "a number"}[target["task"]]
    many = f" {len(target['labels'])} labels" if target["labels"] else ""
    return f"{_code(target['name'])} ({what}{many}{' at each step' if target['per_step'] else ''})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _code(text: str) -> str:
    """Any text as code that ends no table cell and no line."""
    shown = text if text.isprintable() and text.strip() == text and text else json.dumps(text)
    return f"`{shown.replace('`', chr(39)).replace('|', '¦')}`"


def _plain(text: str) -> str:
    return "".join(each if each.isalnum() or each in " ._-" else " " for each in text)
