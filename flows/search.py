"""The search: dispatch trainers, watch the log, name the winner."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from logging import Logger
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pyarrow as pa
from prefect import flow, get_run_logger, tags
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed, Failed
from prefect.tasks import MaterializingTask

from flows.dispatch import Trainers, TrainersFailedError, cores
from flows.dispatch_local import local_trainers
from flows.dispatch_pool import PoolTrainers
from flows.handover import HANDOVER
from flows.lineage import data_asset, model_asset, upstream
from flows.parameters import TrainerParameters
from flows.pools import places
from flows.prefect_api import wait_until_there
from flows.recording import END_SECONDS as API_SECONDS
from flows.recording import Background, offered, shown, tag_own_run
from flows.reporting import publish_report
from flows.trainer import search_tags
from msearch_core.algorithms.history import COLUMNS, Outcome, as_recorded, best, outcomes
from msearch_core.config import SearchConfig
from msearch_core.data.notices import notices
from msearch_core.errors import UserError
from msearch_core.proposal import described
from msearch_core.readable import score_text
from msearch_core.report.scores import why_none
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import name_winner
from msearch_core.training.giving_up import worked_on
from msearch_core.training.spec import one_line
from msearch_core.trial_log import Board, StopRecord, WinnerRecord
from msearch_core.trial_log.patience import patiently
from msearch_core.urls import is_url, short

LOOK_SECONDS = 1.0
ARTIFACT_SECONDS = 15.0
END_SECONDS = 10.0
SHOW_SECONDS = 5.0
"""So long a search that has ended waits for what it has to show in Prefect last."""
HOST_MINUTES = 5 / 60
"""What a training host takes to load TensorFlow while trials are under way."""
LEADERBOARD = 20
MOST_PARENTS = 100
"""So many trials are shown as those that a winner was chosen among."""


class Finisher:
    """Names the winner. Its training host loads TensorFlow while the last trials are still under way."""

    def __init__(self, session: Session, stack: ExitStack, stopping: threading.Event) -> None:
        self._session = session
        self._stopping = stopping
        self._stack = stack
        self._scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="msearch-winner-")))
        self._host: TrainingHost | None = None

    def prepare(self) -> TrainingHost:
        """Start the training host, if it is not there yet."""
        if self._host is None:
            self._host = self._stack.enter_context(TrainingHost(self._scratch / "host.log"))
        return self._host

    def name_winner(self) -> WinnerRecord | None:
        """Choose the winner, open the test split for it, and put its model into the log."""
        return name_winner(self._session, self.prepare(), self._scratch, cores(), self._stopping.is_set)


def winner(session: Session, name: Callable[[], WinnerRecord | None]) -> object:
    """Name the winner, as a task run that Prefect shows, with the trials that it was chosen among."""
    log, run = session.log.url, session.run.run
    uids = session.log.trials().query("run == @run")["uid"]
    task = MaterializingTask(
        fn=_name,
        name="winner",
        task_run_name=f"winner of {session.search.name}, run {run}",
        assets=[model_asset(log, run)],
        asset_deps=upstream(log, uids[:MOST_PARENTS], data_asset(session.run.data, session.run.data_fingerprint)),
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,
    )
    return task(name)


def _name(name: Callable[[], WinnerRecord | None]) -> WinnerRecord | None:
    return name()


@flow(name="search", flow_run_name="search-{config.data_name}", log_prints=False)
def search(config: SearchConfig) -> State[Any]:
    """Search for a model until the budget is spent.

    The log says what is done and what is not; this flow only sees to it that trainers are at work, so it can be
    started again at any time, anywhere. SIGTERM makes it stop its trainers and end; the same call goes on later.
    """
    logger = cast(Logger, get_run_logger())
    session = HANDOVER.session or join(_for_pool(config))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    trainers = HANDOVER.trainers or dispatch(config, session)
    labels = search_tags(session)
    tag_own_run(labels, logger)
    with ExitStack() as stack, tags(*labels):
        finisher = Finisher(session, stack, stopping)
        stack.callback(trainers.stop)
        logger.info(
            "log %s, run %s on %s: %s, %d trainers; look with: msearch trials %s",
            *(session.log.url, session.run.run, session.run.data["data"]),
            *(session.run.budget, trainers.count, session.log.url),
        )
        for line in notices(session.problem):
            logger.warning("%s", line)
        try:
            board = watch(session, trainers, finisher, stopping, logger)
            if not board.is_over:
                return Cancelled(message=f"{board.record.counted(board.done)} are on record; start it again to go on")
            patiently(session.log.seal, give_up=stopping.is_set)
            named = shown(finisher.name_winner, partial(winner, session), logger)
        except TrainersFailedError as error:
            return Failed(message=str(error))
        except OSError as error:
            if not stopping.is_set():
                raise
            return Cancelled(message=f"stopped while it waited ({one_line(error)}); start it again to go on")
        # They have seen that the run is over, and are about to end or have done so.
        trainers.stop(END_SECONDS)
    wait_until_there(API_SECONDS)
    if named is not None:
        artifacts_of(session, named, logger)
        publish_report(session, artifact_key(session), logger)
    if named is None:
        return Failed(message=why_none(patiently(session.log.trials), session.run.run, short(session.log.url)))
    return Completed(message=told(named, session.search.objective))


def told(winner: WinnerRecord, objective: str) -> str:
    """The winner in one line."""
    scores = {"validation": winner.validation.get(objective), "test": winner.test.get(objective)}
    words = [f"{split} {objective} {score_text(value)}" for split, value in scores.items() if value is not None]
    return f"the winner is {winner.uid}: {', '.join(words) or 'see the log for its scores'}"


def own_pool() -> str | None:
    """The work pool that this flow run was given to, if it was."""
    context = FlowRunContext.get()
    return context.flow_run.work_pool_name if context and context.flow_run else None


def _for_pool(config: SearchConfig) -> SearchConfig:
    """Refuse a log that only the worker's own temporary folder would hold."""
    if own_pool() and not (config.log and (is_url(config.log) or Path(config.log).is_absolute())):
        raise UserError(
            "a search on a work pool needs a log that every trainer can write: give a URL or an absolute path"
        )
    return config


def dispatch(config: SearchConfig, session: Session) -> Trainers:
    """The trainers that the search asks for: on the work pool named, on the search's own, or in local processes."""
    pool = config.pool or own_pool()
    if pool is None:
        return local_trainers(config, session)
    parameters = TrainerParameters(
        log=session.log.url,
        run=session.run.run,
        data=None,
        threads=None,
        min_params=None,
        max_params=None,
        tensorboard=config.tensorboard,
    )
    return PoolTrainers(parameters, places(pool, config.trainers))


def watch(session: Session, trainers: Trainers, finisher: Finisher, stopping: threading.Event, logger: Logger) -> Board:
    """Look at the log until the run is over or the search is told to stop, and keep trainers at work."""
    board = session.log.board(session.run, (*COLUMNS, "error"))
    artifacts = Artifacts(session, logger)
    began = time.monotonic()
    told, worked = False, 0
    used = patiently(lambda: session.log.minutes_used(session.run), give_up=stopping.is_set)
    patiently(board.look, give_up=stopping.is_set)
    if board.trainers not in (None, trainers.count):
        # That was said of an earlier search of this run; what is asked for now counts.
        patiently(lambda: session.log.set_trainers(board.run, trainers.count), give_up=stopping.is_set)
    while True:
        patiently(board.look, give_up=stopping.is_set)
        fresh = board.take()
        worked += worked_on(fresh)
        minutes = used + (time.monotonic() - began) / 60
        artifacts.update(board, fresh, minutes)
        if board.is_over or stopping.is_set():
            artifacts.wait()
            return board
        if board.record.minutes is not None and minutes >= board.record.minutes and board.stopped is None:
            stop = StopRecord(reason=f"{board.record.minutes:g} minutes", minutes=minutes)
            patiently(partial(session.log.stop, board.record, stop), give_up=stopping.is_set)
        if board.trainers is not None and board.trainers != trainers.count:
            logger.info("%d trainers instead of %d", board.trainers, trainers.count)
            trainers.resize(board.trainers)
        if board.stopped is None:
            trainers.start()
            trainers.tend(worked)
        over_soon = board.record.minutes is not None and minutes >= board.record.minutes - HOST_MINUTES
        if board.stopped is not None or over_soon or board.record.trials - board.done <= 2 * trainers.count:
            finisher.prepare()
        if isinstance(trainers, PoolTrainers) and trainers.waits and not told:
            logger.warning(trainers.waits)
            told = True
        stopping.wait(LOOK_SECONDS)


def artifacts_of(session: Session, winner: WinnerRecord, logger: Logger) -> None:
    """The winner on a page of its own."""
    scores = "\n".join(
        f"| {name} | {score_text(value)} | {score_text(winner.test.get(name, float('nan')))} |"
        for name, value in winner.validation.items()
    )
    text = (
        f"# {winner.uid}\n\nrun {winner.run} of {session.log.url}, on {session.run.data['data']}\n\n"
        f"| score | validation | test |\n| --- | --- | --- |\n{scores}\n\nmodel: `{winner.model}`\n"
    )
    key = f"winner-{artifact_key(session)}"
    offered(lambda: create_markdown_artifact(text, key=key, description=winner.uid), "the winner's page", logger)


def artifact_key(session: Session) -> str:
    """The search's name as artifact keys may hold it."""
    return "".join(each if each.isalnum() else "-" for each in session.search.name.lower()).strip("-")


def budget_used(board: Board, minutes: float) -> float:
    """How many per cent of a run's budget are used: of its trials or of its time, whichever is further."""
    if board.is_over:
        return 100.0
    by_time = minutes / board.record.minutes if board.record.minutes else 0.0
    return min(100.0, 100.0 * max(board.done / board.record.trials, by_time))


class Artifacts:
    """The progress and the leaderboard as Prefect shows them. A server that does not answer stops no search."""

    def __init__(self, session: Session, logger: Logger) -> None:
        self._session = session
        self._logger = logger
        self._found: list[Outcome] = []
        self._shown = float("-inf")
        self._key = artifact_key(session)
        self._leader: str | None = None
        self._progress: UUID | None = None
        self._leaderboard: list[dict[str, Any]] = []
        self._background = Background()

    def update(self, board: Board, fresh: pa.Table, minutes: float) -> None:
        """Bring them up to date if that was a while ago, or if the run is over.

        Args:
            board: the run.
            fresh: its trials that are new since the last time.
            minutes: how long it has been searched for.
        """
        self._found = best([*self._found, *outcomes(fresh, board.run)], LEADERBOARD)
        now = time.monotonic()
        if now - self._shown < ARTIFACT_SECONDS and not board.is_over:
            return
        self._shown = now
        self._tell(board)
        publish = partial(self._publish, budget_used(board, minutes), self._rows())
        self._background.show(partial(offered, publish, "the artifacts", self._logger))

    def wait(self) -> None:
        """Wait a moment for what is being published."""
        self._background.wait(SHOW_SECONDS)

    def _tell(self, board: Board) -> None:
        leader = self._found[0] if self._found else None
        if leader is None or leader.uid == self._leader:
            return
        self._leader = leader.uid
        self._logger.info(
            "%s on record; the best so far is %s: %s %s, %s",
            *(board.record.counted(board.done), leader.uid, self._session.search.objective),
            score_text(as_recorded(cast(float, leader.score), self._session.search.direction)),
            described(leader.architecture, leader.members),
        )

    def _objective(self, trial: Outcome) -> float | None:
        return None if trial.score is None else as_recorded(trial.score, self._session.search.direction)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "trial": each.uid,
                "score": self._objective(each),
                "parameters": each.parameters,
                "blocks": described(each.architecture, each.members),
            }
            for each in self._found
        ]

    def _publish(self, percent: float, rows: list[dict[str, Any]]) -> None:
        if self._progress is None:
            created = create_progress_artifact(percent, key=f"progress-{self._key}", description="trials on record")
            self._progress = cast(UUID, created)
        update_progress_artifact(self._progress, percent)
        if rows != self._leaderboard:  # each one that is created is kept as a version
            create_table_artifact(rows, key=f"leaderboard-{self._key}", description=self._session.search.objective)
            self._leaderboard = rows
