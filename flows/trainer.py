"""The trainer: one long-lived flow run that works on trial after trial, each a task in it."""

from __future__ import annotations

import os
import platform
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from flows.dispatch import cores
from flows.handover import HANDOVER
from flows.parameters import TrainerParameters
from msearch_core.proposal import described
from msearch_core.session import rejoin
from msearch_core.training.client import TrainingHost
from msearch_core.training.trainer import Trainer
from msearch_core.trial import Trial
from msearch_core.trial_log import Claim


@task(name="trial", cache_policy=NO_CACHE, persist_result=False, retries=0)
def trial(uid: str, train: Callable[[], Trial | None]) -> str:
    """Train one trial and put it on record. Returns its status, or that it was handed back."""
    row = train()
    logger = get_run_logger()
    if row is None:
        logger.info("%s was handed back", uid)
        return "handed back"
    if row.error:
        logger.warning("%s %s: %s", uid, row.status, row.error)
    else:
        logger.info("%s %s: %s %s", uid, row.status, row.objective_name, row.objective)
    return row.status


# A process runs one trainer, so its name can tell where it runs.
NAME = f"trainer-{{parameters.run}}-{platform.node()}-{os.getpid()}"


@flow(name="trainer", flow_run_name=NAME, log_prints=False)
def trainer(parameters: TrainerParameters) -> State[None]:
    """Claim, train, append, repeat, until the run has nothing left to do.

    Trainers coordinate through the log alone: any number may join and leave at any time. SIGTERM makes a trainer
    checkpoint its trial, hand it back and end.
    """
    with (
        tempfile.TemporaryDirectory(prefix="msearch-trainer-") as scratch,
        HANDOVER.host or TrainingHost(Path(scratch) / "host.log") as host,
    ):
        session = rejoin(parameters.log, parameters.run, Path(parameters.data) if parameters.data else None)
        worker = Trainer(session, host, Path(scratch), parameters.threads or cores())
        signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "leaving", True))
        done = 0
        with worker.heartbeat():
            for claim in worker.claims():
                trial.with_options(task_run_name=title(claim))(claim.uid, partial(worker.run, claim))
                done += 1
    if worker.leaving:
        return Cancelled(message=f"left after {done} trials")
    return Completed(message=f"{done} trials")


def title(claim: Claim) -> str:
    """A task run's name that tells the trial."""
    return f"{claim.uid} {described(claim.proposal['architecture'], claim.proposal['parents'])}"[:200]
