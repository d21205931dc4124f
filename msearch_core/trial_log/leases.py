"""Telling the living from the dead without comparing clocks."""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from msearch_core.trial_log import layout
from msearch_core.trial_log.store import Store

BEAT_SECONDS = 10.0
LEASE_SECONDS = 60.0
LONGEST_STEP_SECONDS = 2 * BEAT_SECONDS
"""So much silence is counted at most between two looks; who looks less often takes longer to find out who died."""
APART_SECONDS = 0.05
"""Seconds from one trainer's look at the log to another's, on average, where many trainers wait or train."""


@dataclass(frozen=True)
class Identity:
    """A trainer process, as others can recognise it.

    Attributes:
        trainer: a name that no other process ever has.
        host: the machine's name, for a person.
        machine: names the running kernel and its process table; equal only where process ids mean the same.
        pid: process id.
        started: when the process started, by a clock of the machine that is never set; tells a process from a later
            one of its id.
    """

    trainer: str
    host: str
    machine: str
    pid: int
    started: float

    @classmethod
    def of_this_process(cls) -> Identity:
        """A new name for the calling process."""
        host = platform.node()
        short = "".join(each for each in host.partition(".")[0] if each.isalnum() or each == "-")[:40] or "host"
        pid = os.getpid()
        return cls(f"{short}-{pid}-{uuid.uuid4().hex[:6]}", host, _machine(), pid, start_of(pid))

    def known_dead(self) -> bool:
        """Whether the process ran on this very machine and is gone. ``False`` if that cannot be told from here."""
        if self.machine != _machine():
            return False
        try:
            state, started = _state_and_start(self.pid)
            return state == psutil.STATUS_ZOMBIE or abs(started - self.started) > 1.0
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # the last: gone while it was read
            return True


def start_of(pid: int) -> float:
    """When a process started, such that the value never changes while it lives.

    Raises:
        psutil.NoSuchProcess, FileNotFoundError or ProcessLookupError: there is no such process.
    """
    return _state_and_start(pid)[1]


def _state_and_start(pid: int) -> tuple[str, float]:
    if platform.system() == "Linux":
        # psutil adds the time of boot, which moves whenever the clock is set, and reads the file several times.
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return psutil.STATUS_ZOMBIE if state == "Z" else state, float(numbers[18])
    process = psutil.Process(pid)
    return process.status(), float(process.create_time())


@lru_cache(maxsize=1)
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{platform.node()}/{psutil.boot_time():.0f}"


class Heartbeat:
    """Beats in the background for as long as the context is open: one empty object each ``BEAT_SECONDS``.

    A store that cannot be reached makes beats fail, not the trainer: the next beat tries again.
    """

    def __init__(self, store: Store, trainer: str, interval: float = BEAT_SECONDS) -> None:
        self._store = store
        self._trainer = trainer
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="msearch-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._beat(0)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop beating and clear the trainer's beats away, so that the folder holds the living and the dead only."""
        self._stop.set()
        self._thread.join(timeout=self._interval)
        with contextlib.suppress(OSError):
            for name in self._store.list(f"heartbeats/{self._trainer}"):
                self._store.delete(name)

    def _run(self) -> None:
        counter = 1
        while not self._stop.wait(self._interval):
            with contextlib.suppress(OSError):  # out of reach; others count no lease time either while it lasts
                self._beat(counter)
                counter += 1
                self._store.delete(layout.heartbeat_file(self._trainer, counter - 3))

    def _beat(self, counter: int) -> None:
        self._store.create(layout.heartbeat_file(self._trainer, counter), b"")


class LeaseWatch:
    """How long each trainer has been silent, counted only over time in which the caller's own listings succeeded.

    Args:
        lease: seconds of silence after which a trainer counts as dead.
        longest_step: at most this many seconds are counted between two looks, so that a caller that was suspended
            does not take all the others for dead when it wakes.
    """

    def __init__(self, lease: float = LEASE_SECONDS, longest_step: float = LONGEST_STEP_SECONDS) -> None:
        self._lease = lease
        self._longest_step = longest_step
        self._last: float | None = None
        self._counters: dict[str, int] = {}
        self._silent: dict[str, float] = {}

    def observe(self, names: Iterable[str], now: float) -> None:
        """Take note of a listing of ``heartbeats/`` that succeeded at ``now``, in monotonic seconds."""
        step = 0.0 if self._last is None else max(0.0, min(now - self._last, self._longest_step))
        self._last = now
        counters = _latest(names)
        for trainer in self._silent.keys() | counters.keys():
            counter = counters.get(trainer, -1)
            moved = counter != self._counters.get(trainer)
            self._counters[trainer] = counter
            self._silent[trainer] = 0.0 if moved else self._silent.get(trainer, 0.0) + step

    def lost_sight(self) -> None:
        """Take note that a listing failed: the time until the next one that succeeds is not counted."""
        self._last = None

    def is_dead(self, trainer: str) -> bool:
        """Whether the trainer has been silent for longer than the lease."""
        if trainer not in self._silent:
            # Never seen to beat: the lease starts now.
            self._silent[trainer] = 0.0
            self._counters[trainer] = -1
        return self._silent[trainer] > self._lease

    def living(self) -> list[str]:
        """The trainers that were seen to beat and are not dead, sorted: all observers number them much the same."""
        return sorted(name for name, beat in self._counters.items() if beat >= 0 and not self.is_dead(name))


def _latest(names: Iterable[str]) -> Mapping[str, int]:
    latest: dict[str, int] = {}
    for name in names:
        _, _, rest = name.partition("heartbeats/")
        trainer, _, counter = rest.partition("/")
        if counter.isdecimal():
            latest[trainer] = max(int(counter), latest.get(trainer, -1))
    return latest


def look_interval(least: float, trainers: int) -> float:
    """How many seconds a trainer lets pass between looks that it makes while it waits or trains.

    What a look costs grows with the trainers that are seen in it, and each of them looks. So that all together do not
    cost more than the log can bear, each looks the less often the more there are; the time until *some* trainer sees
    what is new, such as a trial that was abandoned, stays as it is.
    """
    return max(least, min(trainers * APART_SECONDS, LONGEST_STEP_SECONDS))
