"""Files' contents by batches, so that a data set of any size passes through a small memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq

from msearch_core.data.files import Location, read_all, reading
from msearch_core.data.hashing import hash_bytes

BATCH = 256


class Blobs(Protocol):
    """Encoded examples (images, sounds) that can be read again and again."""

    def __len__(self) -> int:
        """How many there are."""

    def name(self, row: int) -> str:
        """What to call one of them in a message."""

    def batches(self) -> Iterator[list[bytes]]:
        """All of them in order, a few at a time."""


@dataclass(frozen=True)
class FileBlobs:
    """Files of one filesystem.

    Attributes:
        location: where they are.
        paths: their paths there.
    """

    location: Location
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        """The file's path."""
        return self.paths[row]

    def batches(self) -> Iterator[list[bytes]]:
        """The files' contents."""
        for start in range(0, len(self.paths), BATCH):
            yield read_all(self.location, list(self.paths[start : start + BATCH]))


@dataclass(frozen=True)
class ColumnBlobs:
    """The cells of one column of a Parquet file: bytes, or structures with a field ``bytes``.

    Attributes:
        location: the file.
        column: the column's name.
        rows: how many there are.
        what: what a cell holds, for messages.
    """

    location: Location
    column: str
    rows: int
    what: str

    def __len__(self) -> int:
        return self.rows

    def name(self, row: int) -> str:
        """The row, and the file."""
        return f"the {self.what} in row {row} of {self.location.url}"

    def batches(self) -> Iterator[list[bytes]]:
        """The cells' contents; empty where a cell is."""
        with reading(self.location.url), self.location.filesystem.open(self.location.path, "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=[self.column]):
                yield [as_bytes(cell) for cell in batch.column(0).to_pylist()]


def as_bytes(cell: Any) -> bytes:
    """The bytes in a cell; empty if there are none."""
    found = cell.get("bytes") if isinstance(cell, dict) else cell
    return found if isinstance(found, bytes) else b""


def content(blobs: Sequence[bytes]) -> np.ndarray:
    """Hash examples as they are stored, which no decoder and no resizing can change.

    Args:
        blobs: ``n`` of them.

    Returns:
        ``uint64 (n,)``.
    """
    return np.fromiter(map(hash_bytes, blobs), np.uint64, len(blobs))
