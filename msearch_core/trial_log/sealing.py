"""Compacting single results into the chunks that users query."""

from __future__ import annotations

from msearch_core.trial import rows_to_table, to_parquet
from msearch_core.trial_log import layout
from msearch_core.trial_log.reader import Reader
from msearch_core.trial_log.store import Store


def chunk_size(sealed: int) -> int:
    """How many results must wait before they are compacted, by how many are.

    Reading costs by the file, a chunk about four times as much as a result that waits: at worst 102 and 249 of them for
    10,000 trials, 462 and 249 for 100,000.
    """
    return max(1, min(sealed // 10, 250))


def is_due(reader: Reader) -> bool:
    """Whether enough results wait."""
    return len(reader.unsealed) >= chunk_size(len(reader.known) - len(reader.unsealed))


def seal(store: Store, reader: Reader) -> int:
    """Publish the unsealed results as the next chunk.

    The chunk's number is one more than the last that ``reader`` has read, and its name can be created once. So each
    chunk is made by someone who has read all before it, and a uid is in one chunk only, however long ago that was.

    Args:
        store: the log's folder.
        reader: what has been read.

    Returns:
        How many rows were sealed by this call: 0 if there were none, if another process made that chunk first, or if
        rows of a later schema are present, which this version must not rewrite.
    """
    number = reader.chunks + 1
    waiting = dict(sorted(reader.unsealed.items()))  # after the number: these rows are in no chunk before it
    if not waiting or reader.newer:
        return 0
    if not store.create(layout.chunk_file(number), to_parquet(rows_to_table([*waiting.values()]))):
        return 0
    reader.note_chunk(number, waiting)
    return len(waiting)
