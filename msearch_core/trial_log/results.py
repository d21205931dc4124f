"""The file of a finished trial: one row of Parquet, and in the file's metadata the same row once more, as JSON.

Every trainer reads every row. Out of Parquet that costs by the column, 0.8 ms for fifty of them; the JSON is there for
a third of it. It is only a copy: where it is absent, damaged or of types that this version does not know, the Parquet
row is read, which is what any other reader of the file sees.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from msearch_core.trial import SCHEMA, Row, UndecodableError, from_parquet, rows_to_table, to_parquet

COPY = "msearch_row"
"""Key of the copy in the file's metadata: its CRC-32 in hexadecimal, a blank, the JSON."""


def encode(row: Row) -> bytes:
    """The bytes of a row's file.

    Raises:
        pyarrow.ArrowException: a value is not of its column's type.
    """
    values = {name: value for name, value in row.items() if value is not None}
    text = json.dumps(values, separators=(",", ":"), default=lambda scalar: scalar.item())  # NumPy's, as Arrow takes it
    return to_parquet(rows_to_table([row]), {COPY: f"{zlib.crc32(text.encode()):08x} {text}"})


def decode(data: bytes) -> Row:
    """The row in a file's bytes.

    Raises:
        UndecodableError: the bytes are damaged, truncated or something else.
    """
    copy = read_copy(data)
    if copy is not None:
        return copy
    table = from_parquet(data)
    if table.num_rows != 1:
        raise UndecodableError(f"{table.num_rows} rows where one was expected")
    row: Row = table.to_pylist()[0]
    return row


def read_copy(data: bytes) -> Row | None:
    """The row as JSON has it, or ``None`` if there is none that is sound and of this version's types."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(data)).metadata or {}
        checksum, _, text = metadata.get(COPY.encode(), b"").partition(b" ")
        row = json.loads(text) if text and int(checksum, 16) == zlib.crc32(text) else None
    except (pa.ArrowException, OSError, ValueError):
        return None
    if not isinstance(row, dict) or not all(_fits(row[name], fits) for name, fits in _FITS.items() if name in row):
        return None
    return row


def is_whole(data: bytes) -> bool:
    """Whether a file says the same in Parquet and in its copy, or is an earlier version's, which has none."""
    try:
        table = from_parquet(data)
    except UndecodableError:
        return False
    copy = read_copy(data)
    if copy is None:
        return COPY.encode() not in data
    row = rows_to_table([copy])
    return bool(row.equals(table)) or repr(row.to_pylist()) == repr(table.to_pylist())  # as text NaN is equal to itself


def _is_integer(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    return type(value) in (float, int)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _list_of(is_one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and all(map(is_one, value))


def _fits(value: Any, is_one: Callable[[Any], bool]) -> bool:
    return value is None or is_one(value)


_BY_TYPE = {
    pa.string(): _is_text,
    pa.int64(): _is_integer,
    pa.float64(): _is_number,
    pa.timestamp("us", tz="UTC"): _is_integer,
    pa.list_(pa.string()): _list_of(_is_text),
    pa.list_(pa.float64()): _list_of(_is_number),
}
_FITS = {field.name: _BY_TYPE[field.type] for field in SCHEMA}
