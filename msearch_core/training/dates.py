"""Dates of ISO 8601 read by Keras layers, so that a saved model takes them as they stand in a table."""

from __future__ import annotations

from typing import Any

import keras

CHARACTERS = "0123456789-:+Z"
LONGEST = 40
"""Characters of a date, time and offset that are looked at, with room for fractions of a second."""
_DIGITS = 10
_END = -2
_TIME = 12
"""The place of the hour's last digit."""


def days(texts: Any, name: str) -> Any:
    """Days since 1970-01-01 UTC.

    Args:
        texts: ``string (batch, 1)``: ``2026-05-31``, perhaps with a time after it and an offset after that, such as
            ``2026-05-31T18:30:00+02:00`` (`msearch_core.data.columns.ISO_DATE`).
        name: of the layer.

    Returns:
        ``float32 (batch, 1)``, to about three minutes, which is what ``float32`` resolves; NaN where the text is not
        of that form, an empty one among them.
    """
    characters = keras.layers.TextVectorization(
        standardize=None,
        split="character",
        output_sequence_length=LONGEST,
        vocabulary=list(CHARACTERS),
        name=name,
    )(texts)
    found = keras.ops.cast(characters, "int32") + _END  # 0 is the end and 1 any other character
    is_digit = keras.ops.logical_and(found >= 0, found < _DIGITS)
    digits = keras.ops.where(is_digit, found, 0)

    def number(*places: int) -> Any:
        value = digits[:, places[0] : places[0] + 1]
        for place in places[1:]:
            value = 10 * value + digits[:, place : place + 1]
        return value

    year, month, day = number(0, 1, 2, 3), number(5, 6), number(8, 9)
    has_minutes = keras.ops.equal(found[:, 13:14], CHARACTERS.index(":"))
    # What follows the minutes is less than float32 resolves.
    clock = 60 * number(11, 12) + keras.ops.where(has_minutes, number(14, 15), 0)
    ahead, has_offset = _offset(found, digits, is_digit)
    minutes = keras.ops.cast(clock - ahead, "float32")
    exact = keras.ops.cast(_civil_days(year, month, day), "float32") + minutes / 1440.0

    def are_digits(*places: int) -> Any:
        return keras.ops.all(keras.ops.take(is_digit, places, axis=1), axis=1, keepdims=True)

    has_hour = keras.ops.logical_and(are_digits(11, 12), keras.ops.logical_not(is_digit[:, 13:14]))
    has_time = keras.ops.where(has_minutes, keras.ops.logical_and(has_hour, are_digits(14, 15)), has_hour)
    ends = keras.ops.equal(found[:, 10:11], _END)
    valid = keras.ops.logical_and(are_digits(*range(4), 5, 6, 8, 9), keras.ops.logical_or(ends, has_time))
    valid = keras.ops.logical_and(valid, has_offset)
    for part, most in ((month, 12), (day, 31)):
        valid = keras.ops.logical_and(valid, keras.ops.logical_and(part >= 1, part <= most))
    return keras.ops.where(valid, exact, float("nan"))


def _civil_days(year: Any, month: Any, day: Any) -> Any:
    """Days since 1970-01-01 of a date of the Gregorian calendar, counted in years that begin in March."""
    year = keras.ops.where(month <= 2, year - 1, year)
    since_march = keras.ops.where(month > 2, month - 3, month + 9)
    day_of_year = keras.ops.floor_divide(153 * since_march + 2, 5) + day - 1
    leap_days = keras.ops.floor_divide(year, 4) - keras.ops.floor_divide(year, 100) + keras.ops.floor_divide(year, 400)
    return 365 * year + leap_days + day_of_year - 719468


def _offset(found: Any, digits: Any, is_digit: Any) -> tuple[Any, Any]:
    """Minutes that the clock is ahead of UTC: ``+02:00``, ``+0200`` or ``+02`` behind the time; and whether it is so
    written, as is also one that is left out.
    """  # noqa: D205
    plus, minus = (keras.ops.equal(found, CHARACTERS.index(sign)) for sign in "+-")
    behind = keras.ops.arange(LONGEST, dtype="int32")[None] > _TIME
    signs = keras.ops.logical_and(keras.ops.logical_or(plus, minus), behind)
    place = keras.ops.argmax(keras.ops.cast(signs, "int32"), axis=1, keepdims=True)

    def after(values: Any, steps: Any) -> Any:
        places = keras.ops.minimum(keras.ops.cast(place, "int32") + steps, LONGEST - 1)
        return keras.ops.take_along_axis(values, places, axis=1)

    colon = keras.ops.cast(keras.ops.equal(after(found, 3), CHARACTERS.index(":")), "int32")
    hours = 10 * after(digits, 1) + after(digits, 2)
    minutes = 60 * hours + 10 * after(digits, 3 + colon) + after(digits, 4 + colon)
    ahead = keras.ops.where(after(keras.ops.cast(minus, "int32"), 0) > 0, -minutes, minutes)
    signed = keras.ops.any(signs, axis=1, keepdims=True)
    written = keras.ops.logical_and(after(is_digit, 1), after(is_digit, 2))
    return keras.ops.where(signed, ahead, 0), keras.ops.logical_or(keras.ops.logical_not(signed), written)
