"""What a training process is asked: from a proposal, and what the log holds of earlier trials, to a spec.

The specs are pure functions of their arguments, so that whoever has the same proposal, seed and files asks the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from msearch_core.algorithms.history import Outcome
from msearch_core.space import Proposal
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.limits import limits_of, together
from msearch_core.training.spec import Base, EnsembleSpec, Parent, Teacher, TrialSpec
from msearch_core.training.staging import Stage
from msearch_core.trial_log import SearchRecord
from msearch_core.trial_log.layout import parse_uid

TIME_LIMIT_SECONDS = 3600.0
"""A trial is ended, evaluated and recorded after this time; well after it, the process is killed."""


def trial_seed(search_seed: int, uid: str) -> int:
    """A trial's own seed: the same for each attempt at it."""
    parsed = parse_uid(uid)
    return int(np.random.SeedSequence([search_seed, int(parsed.run), parsed.number]).generate_state(1)[0])


def trial_spec(
    search: SearchRecord,
    proposal: Proposal,
    uid: str,
    *,
    stage: Stage,
    batch_size: int,
    data: Path,
    output: Path,
    threads: int,
    parents: Sequence[Parent],
    trained_on: str | None,
    teacher: Teacher | None,
    base: Base | None = None,
    resume: str | None = None,
    tensorboard: str | None = None,
) -> TrialSpec:
    """What a training process needs to train a proposal.

    Args:
        search: its space, its objective and how its trials are trained.
        proposal: what is tried.
        uid: the trial.
        stage: the part of a whole training that it is, and the seed of that.
        batch_size: the search's, or half of it where that was too large.
        data: a folder of prepared data.
        output: an existing folder for the trial's files.
        threads: cores to use.
        parents: whose weights it starts from.
        trained_on: a local checkpoint with which its parent ended, if it is a promotion.
        teacher: whom it learns from.
        base: the frozen models beside which it is trained as a tower.
        resume: a local checkpoint of an earlier attempt.
        tensorboard: folder for TensorBoard's files.
    """
    return TrialSpec(
        uid=uid,
        space=search.space,
        architecture=proposal.architecture,
        hyperparameters=dict(proposal.hyperparameters),
        seed=stage.seed,
        steps=int(search.settings["steps"]),
        evaluations=stage.evaluations,
        batch_size=batch_size,
        data=str(data),
        objective=search.objective,
        parent=next(iter(parents), None),
        others=tuple(parents[1:]),
        trained_on=trained_on,
        optimizer_state=search.settings.get("optimizer_state") or "fresh",
        rewarm=search.settings.get("rewarm") or 0.0,
        teacher=teacher,
        base=base,
        resume=resume,
        threads=threads,
        time_limit_seconds=TIME_LIMIT_SECONDS,
        tensorboard=tensorboard,
        output=str(output),
    )


def ensemble_spec(
    search: SearchRecord,
    uid: str,
    predictions: Mapping[str, str],
    history: Mapping[str, Outcome],
    *,
    data: Path,
    output: Path,
    threads: int,
) -> EnsembleSpec:
    """What a training process needs to make an ensemble of trials.

    Args:
        search: its objective, and how its ensembles are made.
        uid: the trial.
        predictions: by uid of each candidate a local file of its validation outputs.
        history: the finished trials by uid.
        data: a folder of prepared data.
        output: an existing folder for the trial's files.
        threads: cores to use.
    """
    return EnsembleSpec(
        uid=uid,
        predictions=dict(predictions),
        costs={each: together([history[each]]) for each in predictions},
        limits=limits_of(search.settings),
        combine=search.settings.get("combine") or "average",
        data=str(data),
        objective=search.objective,
        threads=threads,
        output=str(output),
    )


def fetch_checkpoint(artefacts: Artefacts, stage: Stage, output: Path) -> str | None:
    """The checkpoint with which a promotion's parent ended; ``None`` if it is gone, or this is no promotion."""
    if stage.parent is None:
        return None
    return artefacts.load_last_checkpoint(stage.parent.uid, output / "trained_on.safetensors")


def fetch_teacher(
    artefacts: Artefacts,
    search: SearchRecord,
    proposal: Proposal,
    history: Mapping[str, Outcome],
    output: Path,
    kept: Path,
) -> Teacher | None:
    """The models to learn from.

    Args:
        artefacts: of the log.
        search: how a student is compared with them.
        proposal: the student.
        history: the finished trials by uid.
        output: where the models go.
        kept: folder of what teachers said, for their next students.

    Raises:
        KeyError: the teacher is none of the trials on record.
        FileNotFoundError: weights are gone; without them it would be another trial.
    """
    if proposal.teacher is None:
        return None
    kept.mkdir(parents=True, exist_ok=True)
    return Teacher(
        members=artefacts.load_members(history[proposal.teacher], history, output),
        outputs=str(kept / f"{proposal.teacher}.safetensors"),
        method=search.settings.get("distillation") or "cross_entropy",
    )
