"""What trials under way have reached, for others to compare themselves with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msearch_core.trial_log import layout
from msearch_core.trial_log.records import Record
from msearch_core.trial_log.store import Store


@dataclass(frozen=True, kw_only=True)
class RungRecord(Record):
    """A score that one attempt at a trial reached on the way. Once the trial has ended, its row says the same.

    Attributes:
        uid: the trial.
        attempt: which attempt at it.
        rung: how far it had come, from 0.
        objective: on the validation split.
        cost: what the search minimises beside the objective, if anything.
    """

    uid: str
    attempt: int
    rung: int
    objective: float
    cost: float | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.objective, int | float) and math.isfinite(self.objective)):
            raise ValueError(f"{self.objective!r} is no score")


class Rungs:
    """An incremental view of the rungs that unfinished trials have reached; each file is read once.

    Attributes:
        reached: the records by trial and rung. A later attempt goes on from a checkpoint, so it reaches each rung once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reached: dict[str, dict[int, RungRecord]] = {}

    def publish(self, record: RungRecord) -> None:
        """Tell the others; an attempt that tells the same twice is not heard again."""
        self._store.create(layout.rung_file(record.uid, record.attempt, record.rung), record.to_bytes())
        self._add(record)

    def refresh(self, folders: Iterable[str], is_done: Callable[[str], bool]) -> None:
        """Read what is new in these folders under ``rungs/``, but for trials that are done.

        A file that cannot be decoded is passed over: a trial is then compared with one fewer.
        """
        for uid in [uid for uid in self.reached if is_done(uid)]:
            del self.reached[uid]
        listed = self._store.list_many([f"rungs/{folder}" for folder in folders])
        new = [name for names in listed.values() for name in names if self._is_new(name, is_done)]
        for data in self._store.read_many(new).values():
            try:
                self._add(RungRecord.from_bytes(data))
            except ValueError:
                continue

    def _is_new(self, name: str, is_done: Callable[[str], bool]) -> bool:
        parsed = layout.parse_rung(name)
        if parsed is None:
            return False
        uid, _, rung = parsed
        return not is_done(uid) and rung not in self.reached.get(uid, {})

    def _add(self, record: RungRecord) -> None:
        self.reached.setdefault(record.uid, {}).setdefault(record.rung, record)
