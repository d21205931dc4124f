"""Opening the test split one search at a time: of several that end a run together, the others wait for its winner."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from msearch_core.trial_log import layout
from msearch_core.trial_log.claims import Owned
from msearch_core.trial_log.leases import Heartbeat, Identity, LeaseWatch
from msearch_core.trial_log.store import Store

LOOK_SECONDS = 1.0


@contextmanager
def opening(store: Store, run: str, trials: int, is_settled: Callable[[], bool]) -> Iterator[int | None]:
    """Wait for one's turn to open the test split, and keep others from it for as long as the context is open.

    Who died at it is followed by the next one, as at a trial. Who fails at it makes way at once.

    Args:
        store: the log's folder.
        run: the run that ended.
        trials: how many of its trials are on record.
        is_settled: whether the winner of that many trials is on record.

    Yields:
        The number of this attempt, from 1; ``None`` where the winner was settled meanwhile.
    """
    me = Identity.of_this_process()
    with Heartbeat(store, me.trainer):
        attempt = _take_turn(store, run, trials, me, is_settled)
        try:
            yield attempt
        except BaseException:
            if attempt is not None:
                store.delete(layout.opening_file(run, trials, attempt))
            raise


def _take_turn(store: Store, run: str, trials: int, me: Identity, is_settled: Callable[[], bool]) -> int | None:
    mine = Owned(owner=dataclasses.asdict(me)).to_bytes()
    attempt, leases = 1, LeaseWatch()
    while not is_settled():
        name = layout.opening_file(run, trials, attempt)
        if store.create(name, mine):
            return attempt
        try:
            owner = Owned.read(store, name).identity
        except FileNotFoundError:  # its owner has just made way
            continue
        leases.observe(store.list("heartbeats"), time.monotonic())
        if owner == me:
            return attempt
        if owner.known_dead() or leases.is_dead(owner.trainer):
            attempt += 1
        else:
            time.sleep(LOOK_SECONDS)
    return None
