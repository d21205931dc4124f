"""The database's face."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from msearch_core.errors import UserError
from msearch_core.trial import SCHEMA, Trial, to_parquet, to_row
from msearch_core.trial_log import layout, results, sealing
from msearch_core.trial_log.board import Board
from msearch_core.trial_log.reader import Reader
from msearch_core.trial_log.records import (
    ProductionRecord,
    Record,
    RefreshRecord,
    RunRecord,
    SearchRecord,
    StopRecord,
    TrainersRecord,
    WinnerRecord,
)
from msearch_core.trial_log.store import Store, open_store

Kind = TypeVar("Kind", bound=Record)


class TrialLog:
    """A search's trials and records in one folder, local or on an object store.

    The guarantees are those of the ``Store``: what ``append`` has acknowledged is on record for good, each uid is on
    record once, and ``pandas.read_parquet("<url>/trials")`` works at any moment.

    Args:
        place: a local path, an fsspec URL such as ``gs://bucket/folder``, or a store that is open already.
    """

    def __init__(self, place: str | Store) -> None:
        self.store = open_store(place) if isinstance(place, str) else place
        self._reader = Reader(self.store)
        self._sealer = Reader(self.store, ("uid",))
        self._table: pa.Table = SCHEMA.empty_table()

    @property
    def url(self) -> str:
        """The log's folder with its protocol."""
        return self.store.url

    def open(self, record: SearchRecord) -> SearchRecord:
        """Begin the log for a search, or join it.

        Returns:
            The record that the log has: the one given, or that of whoever was first.

        Raises:
            UserError: the filesystem overwrites what it should not.
        """
        with contextlib.suppress(FileNotFoundError):
            return SearchRecord.read(self.store, layout.SEARCH)
        self.store.probe()
        self.store.create(layout.CARRIER, to_parquet(SCHEMA.empty_table()))
        self.store.create(layout.SEARCH, record.to_bytes())
        return self.search()

    def search(self) -> SearchRecord:
        """The search that the log belongs to.

        Raises:
            UserError: the folder is not a trial log.
        """
        try:
            return SearchRecord.read(self.store, layout.SEARCH)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{self.url} holds no search (there is no {layout.SEARCH} in it); give the folder that "
                "`msearch search` named as its log"
            ) from None

    def runs(self) -> list[RunRecord]:
        """Every run with its newest budget, oldest first."""
        newest: dict[str, int] = {}
        for name in self.store.list("runs"):
            if found := layout.parse_run_file(name):
                newest[found[0]] = max(found[1], newest.get(found[0], 0))
        names = [layout.run_file(run, extension) for run, extension in sorted(newest.items())]
        return [RunRecord.read(self.store, name) for name in names]

    def add_run(self, record: RunRecord) -> bool:
        """Record a new run or an extended budget. Returns ``False`` if another process was first."""
        return self.store.create(layout.run_file(record.run, record.extension), record.to_bytes())

    def stop(self, record: RunRecord, stop: StopRecord) -> bool:
        """End a run's budget early: trainers finish what they are at and claim nothing more."""
        return self.store.create(layout.stop_file(record.run, record.extension), stop.to_bytes())

    def minutes_used(self, record: RunRecord) -> float:
        """How long a run has been searched for so far, without the time in which nobody was at it.

        That is until its last budget was ended by time, or as long as any of its trials on record was under way,
        whichever is longer: a search that was killed leaves no other trace of its time.
        """
        frame = self.trials()
        busy = _minutes_covered(frame[(frame["run"] == record.run) & (frame["kind"] != "rescore")])
        if record.extension == 1:
            return busy
        try:
            stop = StopRecord.read(self.store, layout.stop_file(record.run, record.extension - 1))
        except FileNotFoundError:
            return busy
        return max(busy, stop.minutes or 0.0)

    def board(self, record: RunRecord, columns: Iterable[str] | None = None) -> Board:
        """One run as a trainer sees it."""
        return Board(self.store, record, columns)

    def append(self, trial: Trial, board: Board | None = None) -> bool:
        """Put a finished trial on record, for good.

        Args:
            trial: the row.
            board: a trainer's view of the run, which takes note of the row and sees to sealing; without one, the log
                seals by itself when that is due.

        Returns:
            ``False`` if that uid has a result already, which then stands and this one is dropped.

        Raises:
            ValueError: the uid is not of the form ``<run>-<slot>``.
        """
        row = to_row(trial)
        if not self.store.create(layout.result_file(trial.uid), results.encode(row)):
            return False
        if board is not None:
            board.add(row)
            return True
        self._sealer.add(row)
        with contextlib.suppress(OSError):  # the row is on record; sealing can wait until the store answers again
            if sealing.is_due(self._sealer):
                self._sealer.refresh(folders=())
                sealing.seal(self.store, self._sealer)
        self._sealer.take()
        return True

    def trials(self) -> pd.DataFrame:
        """Every trial on record, sealed or not, in the order of their uids. Timestamps are in UTC."""
        frame: pd.DataFrame = self.table().to_pandas(split_blocks=True)
        return frame

    def table(self) -> pa.Table:
        """The same as an Arrow table of ``msearch_core.trial.SCHEMA``."""
        self._reader.refresh()
        self._table = pa.concat_tables([self._table, self._reader.take()]).combine_chunks().sort_by("uid")
        return self._table

    def seal(self) -> int:
        """Compact all results that wait. Returns the number of rows sealed by this call."""
        sealed = 0
        self._sealer.refresh()
        while self._sealer.unsealed and not self._sealer.newer:
            sealed += sealing.seal(self.store, self._sealer)
            self._sealer.refresh()
        self._sealer.take()
        return sealed

    def winners(self) -> list[WinnerRecord]:
        """The winners named so far, oldest first."""
        return self._counted("winners", WinnerRecord)

    def add_winner(self, record: WinnerRecord) -> WinnerRecord:
        """Record the next winner."""
        self._add_counted("winners", layout.winner_file, record)
        return record

    def productions(self) -> list[ProductionRecord]:
        """What has been in use, oldest first; the last one is."""
        return self._counted("production", ProductionRecord)

    def add_production(self, record: ProductionRecord) -> None:
        """Put a model into use. To go back to an earlier one is one more record."""
        self._add_counted("production", layout.production_file, record)

    def refreshes(self) -> list[RefreshRecord]:
        """What the looks at the data that found something new came to, oldest first."""
        return self._counted("refreshes", RefreshRecord)

    def add_refresh(self, record: RefreshRecord) -> None:
        """Record what a look at the data came to."""
        self._add_counted("refreshes", layout.refresh_file, record)

    def set_trainers(self, run: str, trainers: int) -> None:
        """Change how many trainers a run is to have; the search that is at it sees to that."""
        record = TrainersRecord(trainers=trainers)
        # From the newest on: an object store takes an older record that says the same for the one just written.
        number = layout.newest_trainers_file(self.store.list("runs"), run) + 1
        while not self.store.create(layout.trainers_file(run, number), record.to_bytes()):
            number += 1

    def _counted(self, folder: str, kind: type[Kind]) -> list[Kind]:
        found = {number: name for name in self.store.list(folder) if (number := layout.number_of(name)) is not None}
        return [kind.read(self.store, name) for _, name in sorted(found.items())]

    def _add_counted(self, folder: str, name: Callable[[int], str], record: Record) -> None:
        number = len(self.store.list(folder)) + 1
        while not self.store.create(name(number), record.to_bytes()):
            number += 1


def _minutes_covered(rows: pd.DataFrame) -> float:
    """How long at least one of some trials was under way."""
    spans = rows[["started_at", "finished_at"]].dropna().sort_values("started_at")
    if spans.empty:
        return 0.0
    began = spans["started_at"].to_numpy("datetime64[us]")
    until = np.maximum.accumulate(spans["finished_at"].to_numpy("datetime64[us]"))
    gaps = np.maximum(began[1:] - until[:-1], np.timedelta64(0)).sum()
    return float((until[-1] - began[0] - gaps) / np.timedelta64(1, "m"))
