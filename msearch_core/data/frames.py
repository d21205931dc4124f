"""Tables in memory, written to where trainers can read them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from msearch_core.data.columns import to_texts
from msearch_core.urls import open_url


def store(table: pd.DataFrame, folder: str) -> str:
    """Write a table to a file that is named by its content, unless that was done before.

    Args:
        table: its columns have texts as names, each another.
        folder: a local path or an fsspec URL.

    Returns:
        The URL of a Parquet file that `msearch_core.data.source.load` reads.
    """
    columns = {str(name): _column(values) for name, values in table.items()}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    content = buffer.getvalue()
    url = f"{folder.rstrip('/')}/{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    filesystem, path = open_url(url)
    if not filesystem.exists(path):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(path, content)
    return url


def _column(values: pd.Series) -> Any:
    """A column as it is, where Parquet has such; mixed values and categories of any type as texts."""
    kind = values.dtype
    if isinstance(kind, np.dtype) and kind.kind == "f" and kind.itemsize not in (4, 8):
        return pa.array(values.astype(np.float64), from_pandas=True)
    if pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind):
        return pa.array(values, from_pandas=True)
    if (
        pd.api.types.is_object_dtype(kind)
        or pd.api.types.is_timedelta64_dtype(kind)
        or isinstance(kind, pd.StringDtype)
    ):
        try:
            return pa.array(values, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # numbers and texts in one column
            pass
    texts = to_texts(values)
    texts[values.isna()] = None
    return pa.array(texts, pa.string())
