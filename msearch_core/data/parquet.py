"""Parquet files and Arrow tables: columns of single values, of lists, and of encoded images or sounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from msearch_core.data.audio import is_sound
from msearch_core.data.blobs import BATCH, ColumnBlobs, as_bytes
from msearch_core.data.files import Location, reading
from msearch_core.data.images import is_image
from msearch_core.data.sequences import Sequences
from msearch_core.errors import UserError


@dataclass(frozen=True)
class Columns:
    """What a file's columns hold.

    Attributes:
        table: the columns of single values, ``n`` rows.
        lists: the columns of lists, and those of lists of lists of numbers, which have several features.
        blobs: the columns of encoded images or sounds.
        order: all names in the order of the file, also of columns that were not read; those of the table if not given.
    """

    table: pd.DataFrame
    lists: Mapping[str, Sequences] = field(default_factory=dict)
    blobs: Mapping[str, ColumnBlobs] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All names in the order of the file."""
        return list(self.order or self.table.columns)


def read(location: Location, only: Collection[str] | None = None, keys: Sequence[str] = ()) -> Columns:
    """Read a Parquet file, but for its images and sounds, which may be larger than the memory.

    Args:
        location: the file.
        only: the features that are needed, if not all are.
        keys: columns whose whole numbers keep all digits, even if some are missing.

    Raises:
        UserError: it is malformed, has a column twice, or lists that are no steps.
    """
    url = location.url
    with reading(url), location.filesystem.open(location.path, "rb") as file:
        try:
            opened = pq.ParquetFile(file)
            names = [str(name) for name in opened.schema_arrow.names]
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise UserError(f"{url!r} has the column {repeated[0]!r} more than once; rename one of each")
            names = [name for name in names if not name.startswith("__index_level_")]
            needed = _needed(opened.schema_arrow, names, only)
            blobs = {name: found for name in needed if (found := _blobs(location, opened, name))}
            table = opened.read(columns=[name for name in needed if name not in blobs])
        except pa.ArrowInvalid as error:
            what = "empty" if not location.filesystem.size(location.path) else "not a Parquet file"
            raise UserError(f"{url!r} is {what}: {str(error).splitlines()[0]}; give a Parquet file") from None
    return replace(from_arrow(table, url, keys=keys), blobs=blobs, order=tuple(names))


def from_arrow(table: pa.Table, url: str, only: Collection[str] | None = None, keys: Sequence[str] = ()) -> Columns:
    """The columns of a table in memory; see `read`."""
    names = tuple(table.column_names)
    table = table.select(_needed(table.schema, names, only))
    lists = {name: _steps(table[name], name, url) for name in table.column_names if _is_list(table[name].type)}
    single = table.select([name for name in table.column_names if name not in lists])
    frame = single.to_pandas(ignore_metadata=True) if single.num_columns else pd.DataFrame(index=range(len(table)))
    for name in frame.columns.intersection(list(keys)):
        frame[name] = single[name].to_pandas(integer_object_nulls=True)
    return Columns(frame, lists, order=names)


def _needed(schema: pa.Schema, names: Sequence[str], only: Collection[str] | None) -> list[str]:
    """The columns that are features which are asked for, or hold lists of lists of which they are parts."""
    if only is None:
        return list(names)
    return [name for name in names if name in only or (_is_nested(schema.field(name).type) and _has_part(name, only))]


def _has_part(name: str, features: Collection[str]) -> bool:
    return any(feature.startswith(name) and feature.removeprefix(name).isdigit() for feature in features)


def _blobs(location: Location, opened: pq.ParquetFile, name: str) -> ColumnBlobs | None:
    """A column that holds encoded images or sounds."""
    kind = opened.schema_arrow.field(name).type
    if pa.types.is_struct(kind):
        kind = kind.field("bytes").type if kind.get_field_index("bytes") >= 0 else kind
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return None
    for batch in opened.iter_batches(BATCH, columns=[name]):
        first = next((blob for cell in batch.column(0).to_pylist() if (blob := as_bytes(cell))), b"")
        if first:
            what = "image" if is_image(first) else "sound" if is_sound(first) else None
            return ColumnBlobs(location, name, opened.metadata.num_rows, what) if what else None
    return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_nested(kind: pa.DataType) -> bool:
    return _is_list(kind) and _is_list(kind.field(0).type)


def _steps(column: pa.ChunkedArray[Any], name: str, url: str) -> Sequences:
    missing = np.flatnonzero(pc.is_null(column).to_numpy())
    if len(missing):
        raise UserError(f"row {missing[0]} of {url!r} has no list in the column {name!r}; give one, or drop the row")
    lengths = pc.list_value_length(column).to_numpy().astype(np.int64)
    steps = pc.list_flatten(column)
    if not _is_list(steps.type):
        return Sequences(lengths, steps.to_pandas().rename(name).to_frame())
    widths = pc.unique(pc.list_value_length(steps)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise UserError(
            f"the steps of the column {name!r} of {url!r} have {' or '.join(map(str, sorted(widths, key=str)[:5]))} "
            "features; give each step the same"
        )
    features = pc.list_flatten(steps)
    if _is_list(features.type):
        raise UserError(f"the column {name!r} of {url!r} holds lists three deep; give lists of steps of features")
    digits = len(str(widths[0] - 1))
    matrix = features.to_pandas().to_numpy().reshape(-1, widths[0])
    names = [f"{name}{index:0{digits}}" for index in range(widths[0])]
    return Sequences(lengths, pd.DataFrame(matrix, columns=names))
