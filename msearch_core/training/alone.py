"""A whole search in this process, one trial at a time: no trainer processes, and no Prefect that shows them."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from pathlib import Path

from msearch_core.config import SearchConfig
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import name_winner
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import StopRecord, WinnerRecord
from msearch_core.trial_log.patience import patiently

_WARM: ContextVar[TrainingHost | None] = ContextVar("warm", default=None)


@contextlib.contextmanager
def keep_warm() -> Iterator[None]:
    """Let all searches in this context share one process that has TensorFlow loaded, which takes it some seconds."""
    with tempfile.TemporaryDirectory(prefix="msearch-warm-") as folder, TrainingHost(Path(folder) / "host.log") as host:
        token = _WARM.set(host)
        try:
            yield
        finally:
            _WARM.reset(token)


def search_alone(config: SearchConfig, cache: Path | None = None) -> tuple[Session, WinnerRecord | None]:
    """Search until the budget is spent. The log is as any other: the same search may go on with many trainers.

    Trials have one thread each, so that on one machine the same data, options and seed give the same trials.

    Args:
        config: what is asked for.
        cache: where prepared data is kept; the user's own cache if not given.

    Returns:
        The run, and its winner; ``None`` if no trial has a score.

    Raises:
        UserError: what was asked for cannot be searched.
    """
    session = join(config, cache)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="msearch-alone-")))
        host = _WARM.get() or stack.enter_context(TrainingHost(scratch / "host.log"))
        _work(Trainer(session, host, scratch))
        patiently(session.log.seal)
        return session, name_winner(session, host, scratch)


def _work(trainer: Trainer) -> None:
    """Do all trials, in a thread: whoever interrupts this one waits until the trial at hand was handed back."""
    with trainer.heartbeat(), ThreadPoolExecutor(1) as pool, _against_the_clock(trainer.session):
        try:
            pool.submit(_run_all, trainer).result()
        finally:
            trainer.leaving = True


def _run_all(trainer: Trainer) -> None:
    for claim in trainer.claims():
        trainer.run(claim)


@contextlib.contextmanager
def _against_the_clock(session: Session) -> Iterator[None]:
    """End the run when its minutes are over."""
    allowed = session.run.minutes
    if allowed is None:
        yield
        return
    record = StopRecord(reason=f"{allowed:g} minutes", minutes=allowed)
    left = 60 * (allowed - session.log.minutes_used(session.run))
    stop = partial(session.log.stop, session.run, record)
    timer = threading.Timer(max(0.0, left), patiently, (stop,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
