"""Opening the test split one search at a time: of several that end a run together, the others wait for its winner."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator

from msearch_core.trial_log import layout
from msearch_core.trial_log.claims import Owned
from msearch_core.trial_log.leases import Heartbeat, Identity, LeaseWatch
from msearch_core.trial_log.patience import never
from msearch_core.trial_log.store import Store

LOOK_SECONDS = 1.0


@contextlib.contextmanager
def opening(
    store: Store, run: str, trials: int, is_settled: Callable[[], bool], give_up: Callable[[], bool] = never
) -> Iterator[int | None]:
    """Wait for one's turn to open the test split, and keep others from it for as long as the context is open.

    Who died at it is followed by the next one, as at a trial. Who fails at it makes way at once, but counts: the test
    split may have been seen.

    Args:
        store: the log's folder.
        run: the run that ended.
        trials: how many of its trials are on record.
        is_settled: whether the winner of that many trials is on record.
        give_up: whether to stop waiting.

    Yields:
        The number of this attempt, from 1; ``None`` where the winner was settled meanwhile.

    Raises:
        InterruptedError: the caller gave up while somebody else was at it.
    """
    me = Identity.of_this_process()
    with Heartbeat(store, me.trainer):
        attempt = _take_turn(store, run, trials, me, is_settled, give_up)
        try:
            yield attempt
        except BaseException:
            if attempt is not None:
                with contextlib.suppress(OSError):  # out of reach; the others wait for a lease then
                    store.create(layout.opening_released_file(run, trials, attempt), b"")
            raise


def _take_turn(
    store: Store,
    run: str,
    trials: int,
    me: Identity,
    is_settled: Callable[[], bool],
    give_up: Callable[[], bool],
) -> int | None:
    mine = Owned(owner=dataclasses.asdict(me)).to_bytes()
    attempt, leases = 1, LeaseWatch()
    while not is_settled():
        name = layout.opening_file(run, trials, attempt)
        if store.create(name, mine):
            return attempt
        owner = Owned.read(store, name).identity
        leases.observe(store.list("heartbeats"), time.monotonic())
        if owner == me:
            return attempt
        released = layout.opening_released_file(run, trials, attempt) in store.list("openings")
        if released or owner.known_dead() or leases.is_dead(owner.trainer):
            attempt += 1
        elif give_up():
            raise InterruptedError(f"{owner.trainer} opens the test split of run {run}, and was not waited for")
        else:
            time.sleep(LOOK_SECONDS)
    return None
