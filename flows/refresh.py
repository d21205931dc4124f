"""The refresh: if the data has changed, search again from what is known, and put what is better into use."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from logging import Logger
from pathlib import Path
from typing import Any, TypeVar, cast

from prefect import Task, flow, get_run_logger, tags
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from flows.dispatch import cores
from flows.handover import HANDOVER
from flows.parameters import RefreshParameters
from flows.recording import shown, tag_own_run
from flows.search import own_pool, search
from flows.trainer import search_tags
from msearch_core import production
from msearch_core.config import SearchConfig
from msearch_core.errors import UserError
from msearch_core.refreshing import log_of, nothing_new, stock
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import last_winner
from msearch_core.training.rescoring import Rescorer
from msearch_core.trial_log import Heartbeat, Identity, RefreshRecord, TrialLog, WinnerRecord
from msearch_core.trial_log.leases import BEAT_SECONDS

Result = TypeVar("Result")


@flow(name="refresh", flow_run_name="refresh-{parameters.name}", log_prints=False)
def refresh(parameters: RefreshParameters) -> State[Any]:
    """Look whether the data has changed; if it has, score the best models again on it, search from them, promote.

    Everything that is decided is on record in the log, so that a refresh that is cut off goes on when it is started
    again.
    """
    logger = cast(Logger, get_run_logger())
    config = parameters.config.model_copy(update={"pool": parameters.config.pool or own_pool()})
    log = log_of(config)
    found = shown(lambda: stock(config), _task("look at the data"), logger)
    files, words = found
    if unchanged := nothing_new(config, found):
        return Completed(message=unchanged)
    if parameters.overlap == "refuse" and is_at_work(log):
        return Cancelled(message=f"a search is at work on {log.url}, and overlap is set to refuse")

    session = join(config)
    labels = search_tags(session)
    tag_own_run(labels, logger)
    # It beats as trainers do, so that another refresh sees it at work before the first trainer is there.
    with tags(*labels), Heartbeat(log.store, Identity.of_this_process().trainer):
        board = log.board(session.run, ("uid", "run"))
        board.look()
        known = last_winner(session) if board.is_over else None
        if known and any(record.run == session.run.run for record in log.refreshes()):
            reason = f"the examples are those of run {session.run.run}, though not the files"
            log.add_refresh(_record(session, files.fingerprint, reason))
            return Completed(message=f"nothing new in {config.data}: {reason}")
        if known is None:
            logger.info("new data in %s (%s): run %s of %s", config.data, words, session.run.run, log.url)
        # What was searched by hand needs no parents any more, but the model in use has to be compared with.
        keep = parameters.keep if known is None else 0
        rescored = shown(lambda: _rescore(session, keep), _task("score again"), logger)
        logger.info("scored again on the new data: %s", rescored or "nothing that was not yet")
        if known is None:
            state = _search(config, session)
            if not state.is_completed():
                return state
            known = last_winner(session)
        if known is None:
            return Completed(message=f"run {session.run.run} has no winner; nothing is put into use")
        winner = known
        record = shown(lambda: _promote(session, winner, files.fingerprint), _task("promote"), logger)
        logger.info("fresh test scores, which decided nothing: %s", record.test)
    return Completed(message=f"{'promoted' if record.promoted else 'kept what is in use'}: {record.reason}")


def is_at_work(log: TrialLog) -> bool:
    """Whether trainers or a refresh are at work on a log: they beat.

    Takes as long as a heartbeat where somebody has not cleared away, being at work or dead.
    """
    seen = set(log.store.list("heartbeats"))
    if not seen:
        return False
    time.sleep(1.5 * BEAT_SECONDS)
    return not set(log.store.list("heartbeats")) <= seen


def _search(config: SearchConfig, session: Session) -> State[Any]:
    """Search on, as a flow run of its own, after which this one heeds SIGTERM as before."""
    heeded = signal.getsignal(signal.SIGTERM)
    HANDOVER.session = session
    try:
        return cast(State[Any], search(config, return_state=True))
    finally:
        HANDOVER.session = None
        signal.signal(signal.SIGTERM, heeded)


def _task(name: str) -> Task[[Callable[[], Any]], Any]:
    return Task(fn=_do, name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False, retries=0)


def _do(work: Callable[[], Any]) -> Any:
    return work()


def _rescore(session: Session, keep: int) -> Mapping[str, float | None]:
    """Score the last run's best again. Returns the scores by the trial that they are the scores of."""
    with _rescorer(session) as rescorer:
        rows = rescorer.rescore(keep)
    return {row.parents[0]: row.objective for row in rows if row.parents}


def _promote(session: Session, winner: WinnerRecord, fingerprint: str) -> RefreshRecord:
    """Decide by validation scores, then open the test split for the report."""
    log, before = session.log, production.in_use(session.log)
    better, reason = production.decide(log, session.run, winner)
    if better:
        with suppress(UserError):  # a refresh that runs beside this one has done it
            production.promote(log, winner.uid, reason)
    tested = {"winner": dict(winner.test)}
    if before and before.uid != winner.uid:
        with _rescorer(session) as rescorer:
            tested["before"] = dict(rescorer.test(before.uid))
    record = _record(session, fingerprint, reason, promoted=winner.uid if better else None, test=tested)
    log.add_refresh(record)
    return record


def _record(session: Session, fingerprint: str, reason: str, **decided: Any) -> RefreshRecord:
    frame = session.log.trials()
    rows = frame[(frame["run"] == session.run.run) & (frame["kind"] == "rescore")]
    scores = zip(rows["parents"], rows["objective"], strict=True)
    return RefreshRecord(
        manifest=fingerprint,
        data_fingerprint=session.run.data_fingerprint,
        run=session.run.run,
        rescored={str(parents[0]): _number(score) for parents, score in scores},
        reason=reason,
        **decided,
    )


@contextmanager
def _rescorer(session: Session) -> Iterator[Rescorer]:
    with (
        tempfile.TemporaryDirectory(prefix="msearch-rescore-") as scratch,
        TrainingHost(Path(scratch) / "host.log") as host,
    ):
        yield Rescorer(session, host, Path(scratch), cores())


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, float) and value == value else None
