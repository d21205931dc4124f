"""Who is at work on which trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msearch_core.trial_log import layout
from msearch_core.trial_log.leases import Identity
from msearch_core.trial_log.records import Record
from msearch_core.trial_log.store import Store


@dataclass(frozen=True, kw_only=True)
class Owned(Record):
    """An attempt at something. Whoever created its file owns the attempt, until it is released or the owner dies.

    Attributes:
        owner: the ``Identity`` of a process, as a mapping.
    """

    owner: Mapping[str, Any]

    def __post_init__(self) -> None:
        try:
            Identity(**self.owner)
        except TypeError as error:
            raise ValueError(f"no owner of an attempt: {error}") from error

    @property
    def identity(self) -> Identity:
        """The owner."""
        return Identity(**self.owner)


@dataclass(frozen=True, kw_only=True)
class Claim(Owned):
    """One attempt at one trial, which a trainer owns.

    Attributes:
        uid: the trial.
        attempt: 1 for the first trainer at it, then counting.
        proposal: the whole proposal, so that another trainer can take the trial over.
        key: the proposal's key, by which it is tried once in a run.
        history: what the proposal saw: chunks, further results, pending uids.
        redraws: how many proposals were refused before this one.
        refused: why no acceptable proposal was found, in which case there is nothing to train.
        lost: how many trainers died at the trial before this attempt.
    """

    uid: str
    attempt: int
    proposal: Mapping[str, Any]
    key: str
    history: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    redraws: int = 0
    refused: str | None = None
    lost: int = 0

    def taken_over_by(self, owner: Identity, **changes: Any) -> Claim:
        """The next attempt at the same proposal."""
        return dataclasses.replace(self, attempt=self.attempt + 1, owner=dataclasses.asdict(owner), **changes)


class Claims:
    """An incremental view of the claims on trials that have no result yet; each file is read once.

    Attributes:
        latest: the newest claim of each trial; ``None`` where its file cannot be decoded.
        attempts: the number of that newest attempt.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._released: set[tuple[str, int]] = set()
        self.latest: dict[str, Claim | None] = {}
        self.attempts: dict[str, int] = {}

    def refresh(self, folders: Iterable[str], is_done: Callable[[str], bool]) -> None:
        """Read what is new in these folders under ``claims/``, but for trials that are done."""
        listed = self._store.list_many([f"claims/{folder}" for folder in folders])
        self.take_in([name for names in listed.values() for name in names], is_done)

    def take_in(self, names: Iterable[str], is_done: Callable[[str], bool]) -> None:
        """Read those of the listed files that are new, but for trials that are done."""
        newest: dict[str, int] = {}
        for name in names:
            parsed = layout.parse_claim(name)
            if parsed is None or is_done(parsed[0]):
                continue
            uid, attempt, released = parsed
            if released:
                self._released.add((uid, attempt))
            elif attempt > max(newest.get(uid, 0), self.attempts.get(uid, 0)):
                newest[uid] = attempt
        files = {layout.claim_file(uid, attempt): uid for uid, attempt in newest.items()}
        for name, data in self._store.read_many(files).items():
            self.add(files[name], newest[files[name]], _decode(data))

    def forget(self, is_done: Callable[[str], bool]) -> None:
        """Drop the trials that are done by now."""
        for uid in [uid for uid in self.latest if is_done(uid)]:
            del self.latest[uid], self.attempts[uid]
        self._released = {(uid, attempt) for uid, attempt in self._released if uid in self.latest}

    def add(self, uid: str, attempt: int, claim: Claim | None) -> None:
        """Take note of a claim, the caller's own for instance."""
        if attempt > self.attempts.get(uid, 0):
            self.latest[uid], self.attempts[uid] = claim, attempt

    def lost(self, uid: str) -> int:
        """How many attempts at the trial ended without being handed back, if the newest one has ended."""
        return self.attempts[uid] - sum(released == uid for released, _ in self._released)

    def is_released(self, uid: str) -> bool:
        """Whether the newest attempt at the trial was handed back."""
        return (uid, self.attempts[uid]) in self._released


def _decode(data: bytes) -> Claim | None:
    try:
        claim = Claim.from_bytes(data)
    except ValueError:
        return None
    return claim if "architecture" in claim.proposal else None


def take_key(store: Store, run: str, uid: str, key: str) -> bool:
    """Mark a proposal as tried by a trial of a run, unless another trial has it.

    A trainer that marks a proposal and then loses the race for its slot leaves the mark of a proposal that nobody
    tries. Such a mark is passed over: its slot's claim holds another proposal. So is one that is damaged.

    Returns:
        Whether the proposal belongs to ``uid`` now.
    """
    taker = 1
    while not store.create(layout.key_file(run, key, taker), uid.encode()):
        holder = store.read(layout.key_file(run, key, taker))
        if holder == uid.encode():
            return True
        try:
            claim = _decode(store.read(layout.claim_file(holder.decode(), 1)))
        except FileNotFoundError:
            return False
        except ValueError:  # the mark names no trial
            taker += 1
            continue
        if claim is None or claim.key == key:
            return False
        taker += 1
    return True
