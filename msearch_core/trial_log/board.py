"""One run as one trainer sees it: which slots are done, under way, abandoned or free."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from msearch_core.trial import Row, dumps
from msearch_core.trial_log import layout, sealing
from msearch_core.trial_log.claims import Claim, Claims
from msearch_core.trial_log.leases import LeaseWatch
from msearch_core.trial_log.reader import Reader
from msearch_core.trial_log.records import RunRecord, StopRecord, TrainersRecord
from msearch_core.trial_log.store import Store

MAX_ATTEMPTS = 3
SLOTS_AHEAD = 250
"""How far beyond the first free slot others may have claimed one that was not seen yet."""


class Board:
    """An incremental view of one run.

    Each ``look`` costs one listing each of the runs, the chunks, the heartbeats, and of the result and claim folders
    that still lack a slot, made side by side on an object store, and one batched read of what is new.

    Args:
        store: the log's folder.
        record: any budget of the run; a newer one is found by looking.
        columns: the columns of the rows that the caller wants from ``take``; all if not given.

    Attributes:
        record: the run's newest budget.
        stopped: why that budget was ended early, or ``None``.
        trainers: how many trainers the run is to have, where that was changed.
        reader: the trials on record.
        claims: the claims on the others.
        leases: how long each trainer has been silent.
    """

    def __init__(self, store: Store, record: RunRecord, columns: Iterable[str] | None = None) -> None:
        self.store = store
        self.record = record
        self.run = layout.check_run(record.run)
        self.stopped: StopRecord | None = None
        self.trainers: int | None = None
        self._trainers_read = 0
        self.reader = Reader(store, columns)
        self.claims = Claims(store)
        self.leases = LeaseWatch()
        self._fresh: list[pa.Table] = []
        self._done = 0
        self._highest_done = 0
        self._lowest_open = 1

    @property
    def slots(self) -> int:
        """How many slots the run has: its budget, and one more for each result that cannot be decoded."""
        return self.record.trials + sum(layout.parse_uid(uid).run == self.run for uid in self.reader.void)

    @property
    def done(self) -> int:
        """How many slots have a readable result."""
        return self._done

    @property
    def highest(self) -> int:
        """The highest slot that has a result or a claim; 0 if none has."""
        return max([self._highest_done, *(layout.parse_uid(uid).number for uid in self.claims.latest)])

    @property
    def is_complete(self) -> bool:
        """Whether each slot of the budget has a result."""
        return self.done >= self.record.trials

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do: the budget is complete, or it was stopped and nobody is at work."""
        return self.is_complete or (self.stopped is not None and not self.pending())

    def look(self, now: float | None = None) -> None:
        """Read what is new.

        Args:
            now: monotonic seconds, for tests.

        Raises:
            Exception: the store's own error; no trainer is taken for dead because of it.
        """
        try:
            self._refresh(time.monotonic() if now is None else now)
        except Exception:
            self.leases.lost_sight()
            raise

    def take(self) -> pa.Table:
        """The rows of all runs that were read since the last call, each once."""
        fresh, self._fresh = self._fresh, []
        return pa.concat_tables(fresh or [self.reader.take()])

    def _refresh(self, now: float) -> None:
        seen: set[str] = set()
        folders = self._active_folders()
        # What is read can show that further folders matter, on the first look at a long log above all.
        while folders or not seen:
            results, claims = ([f"{kind}/{folder}" for folder in sorted(folders)] for kind in ("results", "claims"))
            always = [] if seen else ["runs", "heartbeats"]
            listed = self.store.list_many([*always, "trials", *results, *claims])
            if not seen:
                self._read_record(set(listed["runs"]))
                self.leases.observe(listed["heartbeats"], now)
            self._take_in(
                [name for folder in results for name in listed[folder]],
                [name for folder in claims for name in listed[folder]],
                listed["trials"],
            )
            self._count()
            self.claims.forget(self.reader.has)
            seen |= folders | {""}
            folders = self._active_folders() - seen

    def _take_in(self, results: list[str], claims: list[str], chunks: list[str]) -> None:
        if self.store.is_local:
            self.reader.take_in(results, chunks)
            self.claims.take_in(claims, self.reader.has)
            return
        with ThreadPoolExecutor(1) as pool:  # two batches of requests at a time
            reading = pool.submit(self.reader.take_in, results, chunks)
            self.claims.take_in(claims, self.reader.has)
            reading.result()

    def _read_record(self, names: set[str]) -> None:
        extension = self.record.extension
        while layout.run_file(self.run, extension + 1) in names:
            extension += 1
        if extension != self.record.extension:
            self.record = RunRecord.read(self.store, layout.run_file(self.run, extension))
        stop = layout.stop_file(self.run, extension)
        self.stopped = StopRecord.read(self.store, stop) if stop in names else None
        if (newest := layout.newest_trainers_file(names, self.run)) > self._trainers_read:
            record = TrainersRecord.read(self.store, layout.trainers_file(self.run, newest))
            self.trainers, self._trainers_read = record.trainers, newest

    def _count(self) -> None:
        fresh = self.reader.take()
        self._fresh.append(fresh)
        for uid in (layout.parse_uid(str(name)) for name in fresh.column("uid").to_pylist()):
            if uid.run == self.run and not uid.rescore:
                self._done += 1
                self._highest_done = max(self._highest_done, uid.number)
        while not self._is_open(self._lowest_open) and self._lowest_open <= self.slots:
            self._lowest_open += 1

    def _is_open(self, slot: int) -> bool:
        return not self.reader.has(self.uid(slot))

    def _open_slots(self) -> Iterator[int]:
        return filter(self._is_open, range(self._lowest_open, self.slots + 1))

    def _active_folders(self) -> set[str]:
        """Folders that lack a slot, up to a little beyond the first free one: slots are claimed from the lowest up."""
        folders = set()
        for slot in self._open_slots():
            folders.add(layout.slot_folder(self.run, slot))
            if self.uid(slot) not in self.claims.latest:
                folders.add(layout.slot_folder(self.run, slot + SLOTS_AHEAD))
                break
        return folders

    def uid(self, slot: int) -> str:
        """The name of the trial in a slot."""
        return str(layout.Uid(self.run, slot))

    def free(self) -> Iterator[int]:
        """Slots without a result or a claim, lowest first."""
        return (slot for slot in self._open_slots() if self.uid(slot) not in self.claims.latest)

    def pending(self) -> list[Claim]:
        """Claims whose owners are, as far as is known, at work."""
        return [claim for uid, claim in sorted(self.claims.latest.items()) if claim and not self._is_abandoned(uid)]

    def abandoned(self) -> list[str]:
        """Trials whose newest claim was released, cannot be read, or belongs to a dead trainer."""
        return [uid for uid in sorted(self.claims.latest) if self._is_abandoned(uid)]

    def _is_abandoned(self, uid: str) -> bool:
        claim = self.claims.latest[uid]
        if claim is None or self.claims.is_released(uid):
            return True
        return claim.identity.known_dead() or self.leases.is_dead(claim.identity.trainer)

    def history(self) -> dict[str, object]:
        """What a proposal made now sees, small enough for its row: chunks, further results, pending uids."""
        return {
            "chunks": self.reader.chunks,
            "results": sorted(self.reader.unsealed),
            "pending": [claim.uid for claim in self.pending()],
        }

    def add(self, row: Row) -> None:
        """Take note of a row that the caller has just put on record, so that it need not be read back."""
        self.reader.add(row)
        self._count()
        self.claims.forget(self.reader.has)

    def claim(self, claim: Claim) -> bool:
        """Create the claim's file. Returns ``False`` if another trainer has that attempt."""
        created = self.store.create(layout.claim_file(claim.uid, claim.attempt), claim.to_bytes())
        if created:
            self.claims.add(claim.uid, claim.attempt, claim)
        return created

    def release(self, claim: Claim) -> None:
        """Hand a claim back so that another trainer can take the trial over at once."""
        self.store.create(layout.released_file(claim.uid, claim.attempt), dumps(claim.owner).encode())

    def seal_if_due(self) -> int:
        """Compact the results if enough wait. Returns the number of rows sealed."""
        return sealing.seal(self.store, self.reader) if sealing.is_due(self.reader) else 0
