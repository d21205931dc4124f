"""Rows that another program writes: CSV, or JSON lines."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.json
from fsspec.implementations.local import LocalFileSystem

from msearch_core.data import tables
from msearch_core.data.examples import Examples
from msearch_core.data.files import Location
from msearch_core.data.options import DataOptions
from msearch_core.errors import UserError

NAME = "-"
"""What stands for standard input where data is named."""
CALLED = "standard input"


def read(options: DataOptions, only: Collection[str] | None, texts: Sequence[str] = ()) -> Examples:
    """Read standard input to its end: JSON lines if it begins with a brace, each an object with a value a column;
    else CSV.

    Args:
        options: which columns are targets, and so no inputs.
        only: as for `msearch_core.data.tables.read`.
        texts: columns of CSV to be read as texts.

    Raises:
        UserError: it is empty or malformed, or lacks a column.
    """  # noqa: D205
    content = sys.stdin.buffer.read()
    if content.lstrip()[:1] == b"{":
        return tables.from_arrow(_parse(content), options, CALLED, only)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.csv"
        path.write_bytes(content)
        location = Location(CALLED, LocalFileSystem(), str(path), is_folder=False)
        return tables.read(location, options, labelled=False, texts=texts, only=only)


def _parse(content: bytes) -> pa.Table:
    try:
        # In one block, so that a column's type is found from all of its values.
        options = pyarrow.json.ReadOptions(block_size=min(len(content) + 1, 2**31 - 1))
        return pyarrow.json.read_json(io.BytesIO(content), options)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"standard input is no JSON lines: {reason}; write an object with the same columns a line"
        ) from None
