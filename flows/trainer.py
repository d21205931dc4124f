"""The trainer: one long-lived flow run that works on trial after trial, each a task in it."""

from __future__ import annotations

import os
import platform
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from logging import Logger
from pathlib import Path
from typing import cast

from prefect import flow, get_run_logger, tags
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed
from prefect.tasks import MaterializingTask

from flows.dispatch import cores
from flows.handover import HANDOVER
from flows.lineage import data_asset, trial_asset, upstream
from flows.parameters import TrainerParameters
from flows.prefect_api import wait_until_there
from flows.recording import END_SECONDS, shown, tag_own_run
from msearch_core.proposal import described_proposal
from msearch_core.readable import score_text
from msearch_core.session import Session, rejoin
from msearch_core.training.client import TrainingHost
from msearch_core.training.limits import Limits
from msearch_core.training.trainer import Trainer
from msearch_core.trial import Trial
from msearch_core.trial_log import Claim
from msearch_core.trial_log.patience import patiently


def trial(uid: str, train: Callable[[], Trial | None]) -> str:
    """Train one trial and put it on record. Returns its status, or that it was handed back."""
    row = train()
    logger = get_run_logger()
    if row is None:
        logger.info("%s was handed back, or another trainer was first", uid)
        return "handed back"
    if row.error:
        logger.warning("%s %s: %s", uid, row.status, row.error)
    else:
        score = "unknown" if row.objective is None else score_text(row.objective)
        logger.info(
            "%s %s: %s %s, %s parameters, %.1f s, inherited %.0f %%, %s",
            *(uid, row.status, row.objective_name, score, row.parameters, row.wall_seconds or 0.0),
            *(100 * (row.inherited_fraction or 0.0), " > ".join(row.architecture or ())),
        )
    return row.status


# A process runs one trainer, so its name can tell where it runs.
NAME = f"trainer-{{parameters.run}}-{platform.node()}-{os.getpid()}"


@flow(name="trainer", flow_run_name=NAME, log_prints=False)
def trainer(parameters: TrainerParameters) -> State[None]:
    """Claim, train, append, repeat, until the run has nothing left to do.

    Trainers coordinate through the log alone: any number may join and leave at any time. SIGTERM makes a trainer
    checkpoint its trial, hand it back and end. A log that does not answer is waited for; Prefect is not.
    """
    logger = cast(Logger, get_run_logger())
    with (
        tempfile.TemporaryDirectory(prefix="msearch-trainer-") as scratch,
        HANDOVER.host or TrainingHost(Path(scratch) / "host.log") as host,
    ):
        session = patiently(
            lambda: rejoin(parameters.log, parameters.run, Path(parameters.data) if parameters.data else None)
        )
        limits = Limits(parameters.min_params, parameters.max_params)
        worker = Trainer(session, host, Path(scratch), parameters.threads or cores(), limits, parameters.tensorboard)
        signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "leaving", True))
        labels = search_tags(session)
        tag_own_run(labels, logger)
        logger.info("%s works on run %s of %s", worker.me.trainer, session.run.run, session.log.url)
        done = 0
        with worker.heartbeat(), tags(*labels):
            for claim in worker.claims():
                row = shown(partial(worker.run, claim), partial(show, session, claim), logger)
                done += row is not None  # not one that was handed back
    wait_until_there(END_SECONDS)
    if worker.leaving:
        return Cancelled(message=f"left after {done} trials")
    return Completed(message=f"{done} trials")


def search_tags(session: Session) -> set[str]:
    """What a search's runs and tasks are tagged with."""
    return {f"msearch:{session.search.name}", f"run:{session.run.run}"}


def show(session: Session, claim: Claim, train: Callable[[], Trial | None]) -> object:
    """Train as a task run that tells the trial and what it was made from."""
    log, data = session.log.url, data_asset(session.run.data, session.run.data_fingerprint)
    task = MaterializingTask(
        fn=trial,
        name="trial",
        task_run_name=title(claim),
        assets=[trial_asset(log, claim.uid)],
        asset_deps=upstream(log, claim.proposal.get("parents") or (), data),
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,
    )
    return task(claim.uid, train)


def title(claim: Claim) -> str:
    """A task run's name that tells the trial."""
    attempt = f" (attempt {claim.attempt})" if claim.attempt > 1 else ""
    return f"{claim.uid}{attempt} {described_proposal(claim.proposal)}"[:200]
