"""Hashes of examples that are the same on every machine, in every process and with every version of pandas.

A value has one hash whatever type a column happens to have: a whole number hashes like the same floating-point number
and like the text that spells it. So a column that turns from integers into floats or text when new rows arrive (a first
missing value, a first typing error) moves no row to another split. Numbers that differ in the tenth digit only are the
same, unless both are whole: those below 2^53 are the same in every type and parser. A missing value adds nothing to the
hash of its row: a new column moves no row that lacks it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from msearch_core.data import numerals
from msearch_core.data.columns import column_kind, to_texts
from msearch_core.data.examples import Inputs
from msearch_core.data.sequences import Sequences

HashColumn: TypeAlias = Callable[[pd.Series], np.ndarray]
_INCREMENT = 0x9E3779B97F4A7C15
_INEXACT = 2**53
"""From here on a whole number may share its floating-point number with others."""


def mix(values: np.ndarray) -> np.ndarray:
    """Scramble 64-bit integers so that each input bit changes half of the output bits.

    The output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).

    Args:
        values: ``uint64``, of any shape.

    Returns:
        ``uint64`` of the same shape; a bijection.
    """
    mixed = values + np.uint64(_INCREMENT)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def hash_bytes(value: bytes) -> int:
    """Hash bytes to 64 bits."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")


def hash_values(values: pd.Series) -> np.ndarray:
    """Hash each value of a column.

    Args:
        values: numbers, texts, booleans, dates, or a mixture.

    Returns:
        ``uint64 (n,)``; 0 where the value is missing.
    """
    kind = values.dtype
    if isinstance(kind, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_any_dtype(kind):
        microseconds = pd.to_datetime(values, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")
        rounded = _rounded(microseconds.astype(np.int64).astype(np.float64))
        return np.where(np.isnat(microseconds), np.uint64(0), mix(rounded ^ np.uint64(_INCREMENT)))
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return _hash_floats(values.to_numpy(dtype=np.float64, na_value=np.nan))
    codes, uniques = pd.factorize(values.astype(object))
    numbers = [_as_number(each) for each in uniques]
    hashes = _hash_floats(np.array([*numbers, None], np.float64))
    for place, (each, number) in enumerate(zip(uniques, numbers, strict=True)):
        if number is None:
            hashes[place] = hash_bytes(str(each).encode("utf-8", "surrogatepass"))
    return hashes[codes]  # a missing value has the code -1


def hash_spellings(values: pd.Series) -> np.ndarray:
    """Hash how each category spells its number or truth value, which `hash_values` does not tell apart.

    Args:
        values: as for `hash_values`.

    Returns:
        ``uint64 (n,)``; 0 for what is spelt as the plain number is, and for all that has a hash of its own.
    """
    if column_kind(values) != "category":
        return np.zeros(len(values), np.uint64)
    codes, uniques = pd.factorize(values.astype(object))
    numbers = pd.Series([_as_number(each) for each in uniques], dtype=object)
    pairs = zip(to_texts(pd.Series(uniques, dtype=object)), to_texts(numbers), strict=True)
    hashes = [
        hash_bytes(text.encode("utf-8", "surrogatepass")) if plain not in ("", text) else 0 for text, plain in pairs
    ]
    return np.array([*hashes, 0], np.uint64)[codes]


def hash_keys(values: pd.Series) -> np.ndarray:
    """Hash each key that rows are grouped by: as `hash_values`, but large whole numbers by all of their digits.

    Else neighbours among long identifiers would be one group. Features are not hashed so, since a column of large
    numbers that gets a first missing value loses their last digits.

    Args:
        values: as for `hash_values`.

    Returns:
        ``uint64 (n,)``; 0 where the key is missing.
    """
    codes, uniques = pd.factorize(values.astype(object))
    digits = np.array([_hash_digits(each) for each in uniques] + [0], np.uint64)[codes]
    return np.where(digits == 0, hash_values(values), digits)


def spells_numbers(values: pd.Series) -> bool:
    """Whether all values that are not missing are or spell numbers or truth values, and so have the hashes of these."""
    present = values.dropna().unique()
    return len(present) > 0 and all(_as_number(each) is not None for each in present)


def hash_examples(inputs: Inputs, hash_column: HashColumn = hash_values) -> np.ndarray:
    """Hash the content of each example; the order of a table's columns does not matter.

    Args:
        inputs: ``n`` examples of any kind.
        hash_column: what is looked at in a table's columns, or in those of steps.

    Returns:
        ``uint64 (n,)``.
    """
    if isinstance(inputs, np.ndarray):
        rows = (row.astype(row.dtype.newbyteorder("<"), copy=False) for row in inputs)
        return np.fromiter((hash_bytes(row.tobytes()) for row in rows), np.uint64, len(inputs))
    if isinstance(inputs, pd.DataFrame):
        return _hash_rows(inputs, hash_column)
    if isinstance(inputs, Sequences):
        return hash_steps(_hash_rows(inputs.steps, hash_column), inputs.lengths)
    return inputs.content


def hash_steps(steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Hash what consists of steps, whose order matters.

    Args:
        steps: ``uint64 (steps,)``, the hashes of the steps of all examples, one example after the other.
        lengths: ``int64 (n,)``, how many steps each example has.

    Returns:
        ``uint64 (n,)``.
    """
    starts = np.cumsum(lengths) - lengths
    place = (np.arange(len(steps)) - np.repeat(starts, lengths) + 1).astype(np.uint64)
    placed = np.append(mix(steps ^ (place * np.uint64(_INCREMENT))), np.uint64(0))
    totals = np.add.reduceat(placed, starts) if len(starts) else placed[:0]
    return mix(np.where(lengths > 0, totals, np.uint64(0)))


def _hash_rows(table: pd.DataFrame, hash_column: HashColumn) -> np.ndarray:
    total = np.zeros(len(table), np.uint64)
    for name, values in table.items():
        hashes = hash_column(values)
        total += np.where(hashes == 0, np.uint64(0), mix(hashes ^ np.uint64(hash_bytes(str(name).encode()))))
    return mix(total)


def _hash_floats(values: np.ndarray) -> np.ndarray:
    numbers = values.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    is_exact = (np.abs(numbers) < _INEXACT) & (numbers == np.floor(numbers))
    bits = np.where(is_exact, numbers.view(np.uint64), _rounded(numbers))
    return np.where(np.isnan(numbers), np.uint64(0), mix(bits ^ np.uint64(_INCREMENT)))


def _rounded(numbers: np.ndarray) -> np.ndarray:
    """The bits of numbers, rounded to 33 significant ones, since parsers of text differ in the last one."""
    return (numbers.view(np.uint64) + np.uint64(1 << 19)) & ~np.uint64((1 << 20) - 1)


def _hash_digits(value: Any) -> int:
    """The hash of a large whole number that a value is or spells; 0 for all else."""
    if not isinstance(value, str | int | np.integer | Decimal):
        return 0
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return 0
    return hash_bytes(str(number).encode()) if abs(number) >= _INEXACT else 0


def _as_number(value: Any) -> float | None:
    """The number that a value is or spells, or ``None``."""
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return float(value.lower() == "true")
    try:
        number = numerals.number(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
