"""One column's values as the numbers, texts or days that a model is fed."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.data import numerals
from msearch_core.errors import UserError

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
     "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)  # fmt: skip
"""The texts by which CSV files say that a value is missing, as Pandas has them. Where text is text, as in Parquet, one
of them may be a category or a class."""
_TRUTH = {"true": 1.0, "false": 0.0}
ISO_DATE = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,9})?)?)?"
    r"(?: ?(?:Z|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?))?)?"
)
"""A date of ISO 8601, perhaps with a time and an offset. Narrower than what Pandas takes, so that a model's own layers
and its export read each of them alike."""

_PART = r"(?:0?[1-9]|[12][0-9]|3[01])"
_OTHER_DATE = (
    rf"(?:[0-9]{{4}}([./-]){_PART}\1{_PART}|{_PART}([./-]){_PART}\2[0-9]{{4}}"
    rf"|{_PART}(?:st|nd|rd|th)?[. -]+[^\W\d]{{3,}}[., -]+[0-9]{{4}}|[^\W\d]{{3,}}\.? {_PART},? [0-9]{{4}})(?:[T, ].*)?"
)


def column_kind(values: pd.Series) -> str:
    """How a model takes a column: as ``boolean``, ``number``, ``date``, or else as ``category``."""
    if is_boolean(values):
        return "boolean"
    return "number" if is_number(values) else "date" if is_date(values) else "category"


def is_boolean(values: pd.Series) -> bool:
    """Whether all values that are not missing are truth values."""
    return pd.api.types.infer_dtype(values, skipna=True) == "boolean"


def is_number(values: pd.Series) -> bool:
    """Whether all values that are not missing are numbers or durations."""
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_timedelta64_dtype(values.dtype):
        return True
    return pd.api.types.infer_dtype(values, skipna=True) in ("integer", "floating", "mixed-integer-float", "decimal")


def is_date(values: pd.Series) -> bool:
    """Whether all values that are not missing are dates or times of ISO 8601, such as ``2026-05-31``."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return True
    present = values.dropna()
    if present.empty or isinstance(values.dtype, pd.CategoricalDtype):
        return False
    if isinstance(present.iloc[0], datetime.date):
        return bool(present.map(lambda each: isinstance(each, datetime.date)).all())
    if not isinstance(present.iloc[0], str) or _iso_text(present.iloc[0]) is None:
        return False
    return bool(_read_dates(present).notna().all())


def looks_like_dates(values: pd.Series) -> bool:
    """Whether all texts that are not missing are dates as people write them, ``31.05.2026`` or ``May 31, 2026``.

    They are not read: 05/04/2026 is in April or in May.
    """
    present = values.dropna()
    return bool(len(present)) and all(
        isinstance(each, str) and re.fullmatch(_OTHER_DATE, each.strip()) for each in present.unique()
    )


def to_numbers(values: pd.Series) -> np.ndarray:
    """Numbers, truth values and durations (in seconds) as the numbers that a model takes.

    Args:
        values: a column; texts that spell a number, a truth value or a missing one (`MISSING`) will do.

    Returns:
        ``float32 (n,)``, NaN where missing.

    Raises:
        UserError: a value is infinite, too large for ``float32``, or not a number.
    """
    if pd.api.types.is_timedelta64_dtype(values.dtype):
        values = values.dt.total_seconds()
    if pd.api.types.is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        codes, uniques = pd.factorize(values.astype(object))
        found = [_number(each) for each in uniques]
        wrong = [each for each, number in zip(uniques, found, strict=True) if number is None]
        if wrong:
            # Among numbers of another notation, which one such value keeps from being read, that value is to be named.
            worst = next((each for each in wrong if not _is_spelt(each)), wrong[0])
            row = values.index[codes == list(uniques).index(worst)][0]
            raise UserError(
                f"the column {str(values.name)!r} holds {str(worst)!r} where numbers were learned (row {row}, counted "
                "from 0); correct it or leave it empty"
            )
        numbers = np.array([*found, np.nan], np.float64)[codes]
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    if np.isinf(narrow).any():
        raise UserError(
            f"the column {str(values.name)!r} holds infinite values or such as do not fit into 32 bits; "
            "correct them or leave them empty"
        )
    return narrow


def to_days(values: pd.Series) -> np.ndarray:
    """Dates and times as days since 1970-01-01 UTC; ``float32`` resolves them to about three minutes.

    Args:
        values: a column of dates; texts that spell a missing one (`MISSING`) will do.

    Returns:
        ``float32 (n,)``, NaN where missing.

    Raises:
        UserError: a value is not a date of ISO 8601.
    """
    values = values.astype(object)
    values = values.mask(values.isin(MISSING))
    dates = _read_dates(values)
    wrong = values[dates.isna() & values.notna()]
    if len(wrong):
        raise UserError(
            f"the column {str(values.name)!r} holds {str(wrong.iloc[0])!r} where dates such as 2026-05-31 were "
            f"learned (row {wrong.index[0]}, counted from 0); correct it or leave it empty"
        )
    microseconds = dates.dt.tz_localize(None).to_numpy("datetime64[us]")
    days = microseconds.astype(np.int64) / 86_400e6
    return np.where(np.isnat(microseconds), np.nan, days).astype(np.float32)


def to_texts(values: pd.Series, missing: Collection[str] = ()) -> np.ndarray:
    """Values as texts; a whole number is spelt without a point, whatever its type.

    Args:
        values: a column.
        missing: texts that stand for a missing value.

    Returns:
        ``object (n,)``, each a ``str``; empty where missing.
    """
    codes, uniques = pd.factorize(values.astype(object))
    texts = ["" if text in missing else text for text in map(_text, uniques)]
    return np.array([*texts, ""], object)[codes]


def to_categories(values: pd.Series, vocabulary: Collection[str]) -> np.ndarray:
    """As `to_texts`, of values among which some were learned: what spells a missing value is one unless it was."""
    return to_texts(values, MISSING.difference(vocabulary))


def _number(value: Any) -> float | None:
    """The number that a value is; ``None`` if it is none."""
    if isinstance(value, str) and value.strip().lower() in _TRUTH:
        return _TRUTH[value.strip().lower()]
    if isinstance(value, str) and value.strip() in MISSING:
        return float("nan")
    try:
        return value.total_seconds() if isinstance(value, datetime.timedelta) else float(value)
    except (TypeError, ValueError):
        return None


def _is_spelt(value: Any) -> bool:
    try:
        return isinstance(value, str) and not math.isnan(numerals.number(value))
    except ValueError:
        return False


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").replace("\0", "")
    if isinstance(value, float | Decimal | np.floating) and value == value // 1:
        return str(int(value))
    # TensorFlow cuts texts at a trailing NUL, so none may reach a vocabulary.
    return str(value).replace("\0", "")


def _read_dates(values: pd.Series) -> pd.Series:
    """Times in UTC of dates and of texts that are `ISO_DATE`, NaT for others."""
    dates = values.map(lambda each: _iso_text(each) if isinstance(each, str) else each)
    return pd.to_datetime(dates, format="ISO8601", errors="coerce", utc=True)


def _iso_text(text: str) -> str | None:
    return text.strip() if re.fullmatch(ISO_DATE, text.strip()) else None
