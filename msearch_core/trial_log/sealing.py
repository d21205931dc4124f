"""Compacting single results into the chunks that users query."""

from __future__ import annotations

import pyarrow as pa

from msearch_core.trial import from_parquet, to_parquet
from msearch_core.trial_log import layout
from msearch_core.trial_log.reader import Reader
from msearch_core.trial_log.store import Store


def is_due(reader: Reader) -> bool:
    """Whether enough results wait: 5 % of what is sealed, at least 1, at most 250."""
    sealed = len(reader.known) - len(reader.unsealed)
    return len(reader.unsealed) >= max(1, min(sealed // 20, 250))


def seal(store: Store, reader: Reader) -> int:
    """Publish the unsealed results as the next chunk.

    The chunk's number is one more than the last that ``reader`` has read, and its name can be created once. So each
    chunk is made by someone who has read all before it, and a uid is in one chunk only.

    Args:
        store: the log's folder.
        reader: has just been refreshed.

    Returns:
        How many rows were sealed by this call: 0 if there were none, if another process made that chunk first, or if
        rows of a later schema are present, which this version must not rewrite.
    """
    uids = sorted(reader.unsealed)
    if not uids or reader.newer:
        return 0
    contents = store.read_many(map(layout.result_file, uids))
    tables = [from_parquet(contents[layout.result_file(uid)]) for uid in uids]
    created = store.create(layout.chunk_file(reader.chunks + 1), to_parquet(pa.concat_tables(tables)))
    return len(uids) if created else 0
