"""From what people have to what the model takes, and back. Needs Python's standard library and NumPy only.

``inputs`` makes the arrays that ``model.keras`` and ``saved_model`` take, ``tensors`` makes of these the numbers that
``model.tflite`` and ``model.onnx`` take, and ``answers`` reads what any of them says.
"""

import json
import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = "numbers"
CATEGORIES = "categories"
SEQUENCE = "input_sequence"
MISSING_TEXT = " "  # stands for a missing text within a sequence, since the empty one stands for its end
LIKELY = 0.5  # the probability from which one of several labels is predicted, as in the search's own scores
MISSING = frozenset(  # how CSV files say that a value is missing
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
     "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)  # fmt: skip
ISO_DATE = (  # what training takes for a date; older Pythons' own reader takes less, newer ones' more
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?)?"
    r"(?: ?(?:Z|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?))?)?"
)
_TRUTH = {"true": 1.0, "false": 0.0}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - for older Pythons too


def about() -> dict[str, Any]:
    """What is known of the model that this file lies beside."""
    known: dict[str, Any] = json.loads(Path(__file__).with_name("model.json").read_text(encoding="utf-8"))
    return known


def inputs(examples: Any, known: Any = None) -> dict[str, np.ndarray]:
    """Arrays by input name, of raw examples.

    Args:
        examples: a table, as a list of rows (mappings from column to value, such as ``csv.DictReader`` gives) or as a
            mapping from column to values; images ``(n, height, width, channels)``; a list of sounds ``(samples,)``
            from -1 to 1; or a list of sequences, each an array ``(time, features)`` or a mapping from column to values.
            ``None``, NaN, empty texts and others of `MISSING` are missing values, unless learned as a category.
            Texts of numbers have decimal points.
        known: what `about` says, if it was read before.

    Raises:
        KeyError: a column is missing; one line names it and the row.
        ValueError: a value is not of the kind that was learned; one line names the column and the row.
    """
    known = known or about()
    if known["kind"] == "image":
        images = np.asarray(examples)
        images = images[..., np.newaxis] if images.ndim == 3 else images
        return {known["input"]: images.astype(known["dtype"])}
    if known["kind"] == "audio":
        return {known["input"]: _padded([_sound(each, known) for each in examples], known["samples"], np.nan)}
    if known["kind"] == "sequence":
        return _sequences(examples, known)
    table = examples if isinstance(examples, dict) else _columns(list(examples), known)
    arrays = {}
    for column in known["columns"]:
        numeric = column["kind"] in ("number", "boolean")
        made = _made(_number if numeric else _text_of(column), _values(table, column, "the table"), column)
        array = np.array(made, np.float32 if numeric else str)
        arrays[column["input"]] = array[:, np.newaxis]
    return arrays


def tensors(arrays: dict[str, np.ndarray], known: Any = None) -> dict[str, np.ndarray]:
    """The numbers that ``model.tflite`` and ``model.onnx`` take.

    Args:
        arrays: as `inputs` makes them.
        known: what `about` says, if it was read before.
    """
    known = known or about()
    if known["kind"] in ("image", "audio"):
        return arrays
    in_time = known["kind"] == "sequence"
    numbers, categories = [], []
    for column in known["columns"]:
        if column["kind"] == "category":
            # In a sequence 0 stands for its end, elsewhere for an unknown category.
            places = {text: number for number, text in enumerate(column["vocabulary"], start=1 + in_time)}
            if in_time:
                places[""] = 0
            categories.append(_each(arrays[column["input"]], lambda text, p=places: p.get(text, int(in_time))))
        elif not in_time:
            values = arrays[column["input"]]
            numbers.append(_each(values, _days) if column["kind"] == "date" else values)
    made = {}
    if in_time and SEQUENCE in arrays:
        made[NUMBERS] = arrays[SEQUENCE]
    elif numbers:
        made[NUMBERS] = np.concatenate(numbers, axis=1).astype(np.float32)
    if categories:
        stacked = np.stack(categories, axis=-1) if in_time else np.concatenate(categories, axis=1)
        made[CATEGORIES] = stacked.astype(np.int32)
    return made


def answers(outputs: Any, known: Any = None) -> list[dict[str, Any]]:
    """What the model says of each example, by target.

    Args:
        outputs: by name, as the model of any format gives them.
        known: what `about` says, if it was read before.

    Returns:
        For each example by target: ``label`` and ``probabilities`` by label; ``labels``, those that are likely, and
        ``probabilities``; or ``value``. Lists of these where each step has an answer; what comes after an example's
        end means nothing.
    """
    known = known or about()
    arrays = {name: np.asarray(values) for name, values in outputs.items()}
    count = len(next(iter(arrays.values())))
    return [{each["name"]: _answer(each, arrays, row) for each in known["targets"]} for row in range(count)]


def _answer(target: dict[str, Any], arrays: dict[str, np.ndarray], row: int) -> Any:
    prefix = target["prefix"]
    if target["task"] == "regression":
        values = arrays[prefix + "value"][row]
        return [{"value": float(each)} for each in values] if target["per_step"] else {"value": float(values)}
    likely = arrays[prefix + "probabilities"][row]
    found = [_labelled(target, each) for each in (likely if target["per_step"] else [likely])]
    return found if target["per_step"] else found[0]


def _labelled(target: dict[str, Any], likely: np.ndarray) -> dict[str, Any]:
    probabilities = dict(zip(target["labels"], map(float, likely)))  # noqa: B905 - for older Pythons too
    if target["task"] == "classification":
        return {"label": target["labels"][int(np.argmax(likely))], "probabilities": probabilities}
    chosen = [label for label, each in probabilities.items() if each >= LIKELY]
    return {"labels": chosen, "probabilities": probabilities}


def _columns(rows: list[Any], known: dict[str, Any]) -> dict[str, list[Any]]:
    return {
        column["name"]: [_values(row, column, f"row {number}") for number, row in enumerate(rows)]
        for column in known["columns"]
    }


def _values(examples: Any, column: dict[str, Any], what: str) -> Any:
    """What some examples have in a column."""
    try:
        return examples[column["name"]]
    except KeyError:
        raise KeyError(f"{what} lacks the column {column['name']!r}; give it, empty where missing") from None


def _made(convert: Any, values: Any, column: dict[str, Any]) -> list[Any]:
    """A column's values as the model takes them."""
    made = []
    for row, value in enumerate(values):
        try:
            made.append(convert(value))
        except (TypeError, ValueError):
            like = "a date such as 2026-05-31" if column["kind"] == "date" else "a number such as 1.5"
            raise ValueError(
                f"row {row} has {value!r} in the column {column['name']!r}; give {like}, or leave it empty"
            ) from None
    return made


def _sequences(examples: Any, known: dict[str, Any]) -> dict[str, np.ndarray]:
    """Numbers side by side, NaN after an example's end; texts, empty after it."""
    names = [column["name"] for column in known["columns"]]
    tables = [
        each if isinstance(each, dict) else dict(zip(names, np.asarray(each).reshape(len(each), -1).T))  # noqa: B905
        for each in examples
    ]
    arrays = {}
    numeric = [column for column in known["columns"] if column["kind"] != "category"]
    if numeric:
        steps = [
            np.stack([_filled(_values(table, column, "a sequence"), column) for column in numeric], axis=1)
            for table in tables
        ]
        arrays[SEQUENCE] = _padded(steps, known["time"], np.nan)
    for column in known["columns"]:
        if column["kind"] == "category":
            text = _text_of(column)
            texts = [
                [text(each) or MISSING_TEXT for each in _values(table, column, "a sequence")][: known["time"]]
                for table in tables
            ]
            arrays[column["input"]] = np.array([each + [""] * (known["time"] - len(each)) for each in texts], str)
    return arrays


def _filled(values: Any, column: dict[str, Any]) -> np.ndarray:
    """A step without a value has the mean, since one that is NaN throughout is taken for the end."""
    convert = (lambda each: _days(_date(each))) if column["kind"] == "date" else _number
    ready = isinstance(values, np.ndarray) and values.dtype.kind in "fiub"
    numbers = np.asarray(values if ready else _made(convert, values, column), np.float32)
    return np.where(np.isnan(numbers), np.float32(column["mean"]), numbers)


def _padded(examples: list[np.ndarray], length: int, padding: float) -> np.ndarray:
    padded = np.full((len(examples), length, *examples[0].shape[1:]), padding, np.float32)
    for row, each in enumerate(examples):
        padded[row, : len(each)] = each[:length]
    return padded


def _sound(samples: Any, known: dict[str, Any]) -> np.ndarray:
    """At least one frame long, filled up with silence."""
    sound = np.asarray(samples, np.float32)
    return np.pad(sound, (0, max(0, known["frame"] - len(sound))))


def _each(texts: np.ndarray, convert: Any) -> np.ndarray:
    return np.array([convert(_decoded(text)) for text in texts.ravel()]).reshape(texts.shape)


def _decoded(text: Any) -> str:
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _is_missing(value: Any) -> bool:
    if value is None or value is np.ma.masked or isinstance(value, (str, bytes)):
        return value is None or value is np.ma.masked
    unequal = value != value  # Pandas' NA is neither equal to itself nor not
    return not isinstance(unequal, (bool, np.bool_)) or bool(unequal)


def _number(value: Any) -> float:
    if _is_missing(value) or (isinstance(value, str) and value.strip() in MISSING):
        return float("nan")
    if isinstance(value, str) and value.strip().lower() in _TRUTH:
        return _TRUTH[value.strip().lower()]
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _text_of(column: dict[str, Any]) -> Any:
    if column["kind"] == "date":
        return _date
    unlearned = MISSING.difference(column["vocabulary"])

    def text(value: Any) -> str:
        found = _text(value)
        return "" if found in unlearned else found

    return text


def _text(value: Any) -> str:
    """As it was learned: a whole number is spelt without a point, and no text has a NUL."""
    if _is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").replace("\0", "")
    if isinstance(value, (float, Decimal, np.floating)) and value == value // 1:
        return str(int(value))
    return str(value).replace("\0", "")


def _date(value: Any) -> str:
    """A date as ISO 8601."""
    if _is_missing(value) or (isinstance(value, str) and value.strip() in MISSING):
        return ""
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(timezone.utc)  # noqa: UP017 - offsets of the past have seconds
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    if np.isnan(_days(text)):
        raise ValueError(f"{text!r} is no date; give one such as 2026-05-31, or leave it empty")
    return text


def _days(text: str) -> float:
    """Days since 1970-01-01 UTC; NaN if the text is no date."""
    found = re.fullmatch(ISO_DATE, text)
    if not found:
        return float("nan")
    *moment, fraction, sign, hours, minutes = found.groups()
    try:
        year, month, day, hour, minute, second = (int(each or 0) for each in moment)
        since = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc) - _EPOCH  # noqa: UP017
    except ValueError:
        return float("nan")
    ahead = 60 * int(hours or 0) + int(minutes or 0)
    seconds = since.total_seconds() + float(fraction or 0) - 60 * (-ahead if sign == "-" else ahead)
    return seconds / 86400
