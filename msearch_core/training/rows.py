"""From a training process' answer to a row of the trial log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from msearch_core.algorithms.history import Outcome
from msearch_core.session import Session, versions
from msearch_core.space import Proposal, architecture_hash
from msearch_core.training.spec import EnsembleResult, TrialResult
from msearch_core.trial import Trial
from msearch_core.trial_log import Claim, Identity
from msearch_core.trial_log.layout import parse_uid


def make_row(session: Session, claim: Claim, me: Identity, result: TrialResult, **measured: Any) -> Trial:
    """The row of a finished trial.

    Args:
        session: the run.
        claim: the attempt.
        me: the trainer.
        result: what came of it; every field of it that is also a column goes into the row.
        measured: further columns.
    """
    proposal, uid = Proposal.from_json(claim.proposal), parse_uid(claim.uid)
    record: Mapping[str, Any] = result.model_dump(exclude={"status", "members"})
    columns: dict[str, Any] = {
        "uid": claim.uid,
        "search": session.search.id,
        "run": uid.run,
        "slot": uid.number,
        "attempt": claim.attempt,
        "kind": proposal.kind,
        "status": result.status,
        "objective_name": session.search.objective,
        "direction": session.search.direction,
        "architecture": proposal.architecture,
        "architecture_hash": architecture_hash(proposal.architecture),
        "space": session.search.space,
        "space_fingerprint": session.search.space_fingerprint,
        "algorithm": proposal.algorithm,
        "history": claim.history,
        "redraws": claim.redraws,
        "mutation": proposal.mutation,
        "parents": proposal.parents,
        "teacher": proposal.teacher,
        "hyperparameters": proposal.hyperparameters,
        "split_seed": session.search.split_seed,
        "data_fingerprint": session.run.data_fingerprint,
        "trainer": me.trainer,
        "host": me.host,
        "versions": versions(),
        "finished_at": datetime.now(UTC),
        **record,
        **measured,
    }
    # An ensemble's row has its members where its proposal has candidates.
    unsaid = {
        name: value
        for name, value in asdict(proposal).items()
        if (value or columns.get(name)) and columns.get(name) != value
    }
    extra = {**(columns.get("extra") or {}), **({"proposal": unsaid} if unsaid else {})}
    return Trial(**{**columns, "extra": extra or None})


def proposal_of(row: Trial) -> Proposal:
    """The proposal that a row came of: what ``make_row`` was given."""
    named = {each.name: getattr(row, each.name) for each in fields(Proposal) if getattr(row, each.name, None)}
    return Proposal.from_json({**named, **(row.extra or {}).get("proposal", {})})


def members_of(result: TrialResult, history: Mapping[str, Outcome]) -> dict[str, Any]:
    """The columns in which an ensemble differs from a model by itself: what it is made of, and their costs together.

    Args:
        result: what came of the trial.
        history: the finished trials by uid.

    Returns:
        Empty unless the result is an ensemble's.
    """
    if not isinstance(result, EnsembleResult) or not result.members:
        return {}
    members = [history[uid] for uid in result.members]
    together = ("parameters", "flops", "model_bytes", "latency_ms", "cumulative_steps")
    return {
        "parents": tuple(result.members),
        "mutation": {"members": result.members},
        **{column: sum(getattr(each, column) or 0 for each in members) for column in together},
    }
