"""Reading what others have finished, each file once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from sys import intern
from typing import TypeVar

import pyarrow as pa

from msearch_core.errors import UserError
from msearch_core.trial import SCHEMA, SCHEMA_VERSION, Row, UndecodableError, from_parquet, rows_to_table
from msearch_core.trial_log import layout, results
from msearch_core.trial_log.store import Store
from msearch_core.urls import short

Decoded = TypeVar("Decoded")
THREADS = min(4, os.cpu_count() or 1)  # more than there are cores only wait for each other
MANY = 100
"""From so many files on, a pool of threads decodes them; for fewer it costs more than it saves."""


class CorruptChunkError(UserError):
    """A sealed chunk cannot be read, or one is missing in the sequence. ``msearch check --repair`` rebuilds it."""

    def __init__(self, url: str, name: str, what: str) -> None:
        super().__init__(f"{url}/{name} {what}; no row is lost: msearch check {short(url)} --repair")


class Reader:
    """An incremental view of the trials on record.

    Files never change once written, so each is read once and remembered by its name. A result that cannot be decoded
    voids its slot; since its bytes never change, every reader agrees.

    Args:
        store: the log's folder.
        columns: the columns to keep in memory; all if not given.

    Attributes:
        chunks: how many sealed chunks have been read, which are those numbered 1 to ``chunks``.
        unsealed: the whole rows on record that are in none of these chunks, by uid; few, since they are sealed soon.
        known: uids of all rows read so far.
        void: uids of results that cannot be decoded.
        newer: whether a row was written by a later version of the schema.
    """

    def __init__(self, store: Store, columns: Iterable[str] | None = None) -> None:
        self.store = store
        self.columns = list(columns) if columns is not None else list(SCHEMA.names)
        self.chunks = 0
        self.unsealed: dict[str, Row] = {}
        self.void: set[str] = set()
        self.newer = False
        self._wanted = list(dict.fromkeys([*self.columns, "uid", "schema_version"]))
        self._schema = pa.schema([SCHEMA.field(name) for name in self.columns])
        self.known: set[str] = set()
        self._fresh: list[pa.Table] = []

    def has(self, uid: str) -> bool:
        """Whether the trial has a result, readable or not."""
        return uid in self.known or uid in self.void

    def take(self) -> pa.Table:
        """The rows read since the last call, each uid once, with this version's types."""
        fresh, self._fresh = self._fresh, []
        return pa.concat_tables([self._schema.empty_table(), *fresh])

    def refresh(self, folders: Iterable[str] | None = None) -> None:
        """Read what is new.

        Args:
            folders: the folders under ``results/`` to look into; all if not given.

        Raises:
            CorruptChunkError: a sealed chunk cannot be read or is missing.
        """
        folders = [f"results/{folder}" for folder in ([""] if folders is None else folders)]
        listed = self.store.list_many([*folders, "trials"])
        self.take_in([name for folder in folders for name in listed[folder]], listed["trials"])

    def take_in(self, results: Iterable[str], chunks: Iterable[str]) -> None:
        """Read those of the listed files that are new.

        Args:
            results: names under ``results/``. A row that is sealed after they were listed then shows up in a chunk or
                as a result, or in both, never in neither: results are never removed.
            chunks: all names under ``trials/``.

        Raises:
            CorruptChunkError: a sealed chunk cannot be read or is missing.
        """
        self._read_chunks(chunks)
        self._read_results(results)

    def add(self, *rows: Row) -> None:
        """Take in results, such as one that the caller has just published, as if it had been read back."""
        fresh = {intern(row["uid"]): row for row in rows if row["uid"] not in self.known}
        if fresh:
            self.known.update(fresh)
            self.unsealed.update(fresh)
            self._keep(rows_to_table([*fresh.values()], self._schema), [row.get("schema_version") for row in rows])

    def note_chunk(self, number: int, uids: Iterable[str]) -> None:
        """Take note of the next chunk, which the caller has read or published: its rows need not be read back."""
        for uid in uids:
            self.unsealed.pop(uid, None)
        self.chunks = number

    def _keep(self, table: pa.Table, versions: Iterable[int | None]) -> None:
        self.newer = self.newer or max(filter(None, versions), default=0) > SCHEMA_VERSION
        self._fresh.append(table if table.column_names == self.columns else table.select(self.columns))

    def _read_chunks(self, names: Iterable[str]) -> None:
        last = max((number for name in names if (number := layout.chunk_number(name))), default=0)
        # By number, not as listed: a folder that grows while it is listed may show a chunk and not the one before it.
        new = range(self.chunks + 1, last + 1)
        contents = self.store.read_many(map(layout.chunk_file, new))
        for name in map(layout.chunk_file, new):
            if name not in contents:
                raise CorruptChunkError(self.store.url, name, "is missing")
        decode = partial(from_parquet, columns=self._wanted)
        tables = _decode([contents[layout.chunk_file(number)] for number in new], decode)
        for number, table in zip(new, tables, strict=True):
            if table is None:
                raise CorruptChunkError(self.store.url, layout.chunk_file(number), "cannot be decoded")
            uids: list[str] = [intern(str(uid)) for uid in table.column("uid").to_pylist()]
            self.note_chunk(number, uids)
            if not self.known.isdisjoint(uids):
                # Rows that were already seen as results are not handed out again.
                table = table.filter(pa.array([uid not in self.known for uid in uids], pa.bool_()))
            self._keep(table, table.column("schema_version").to_pylist())
            self.known.update(uids)

    def _read_results(self, names: Iterable[str]) -> None:
        uids = {name: uid for name in names if (uid := layout.result_uid(name))}
        contents = self.store.read_many([name for name, uid in uids.items() if not self.has(uid)])
        # Decoded whole, whatever columns are wanted, so that all readers agree on what is void.
        rows = dict(zip(map(uids.__getitem__, contents), _decode([*contents.values()], results.decode), strict=True))
        sound = {uid: row for uid, row in rows.items() if row is not None and row.get("uid") == uid}
        self.void.update(rows.keys() - sound)
        self.add(*sound.values())


def _decode(contents: Sequence[bytes], decode: Callable[[bytes], Decoded]) -> list[Decoded | None]:
    """What is in files, side by side where there are many; ``None`` for each that cannot be decoded."""

    def decoded(data: bytes) -> Decoded | None:
        try:
            return decode(data)
        except UndecodableError:
            return None

    if len(contents) < MANY:
        return [decoded(data) for data in contents]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(decoded, contents))
