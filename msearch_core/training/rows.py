"""From a training process' answer to a row of the trial log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

TOGETHER = ("parameters", "flops", "model_bytes", "latency_ms", "cumulative_steps")
"""What the members of an ensemble cost together."""


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
    record: Mapping[str, Any] = result.model_dump(exclude={"status", "members", "mixture"})
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


def members_of(
    uid: str, proposal: Proposal, result: TrialResult, history: Mapping[str, Outcome], ancestors: int = 0
) -> dict[str, Any]:
    """The columns in which an ensemble differs from a model by itself: what it is made of, and their costs together.

    Args:
        uid: the trial.
        proposal: what was tried.
        result: what came of it.
        history: the finished trials by uid.
        ancestors: the gradient steps that went into what a tower has inherited.

    Returns:
        Empty unless the result is an ensemble's.
    """
    if isinstance(result, EnsembleResult) and result.members:
        members = [history[each] for each in result.members]
        made_of: dict[str, Any] = {"members": result.members}
        return {"parents": tuple(result.members), "mutation": made_of, **_together(members)}
    if result.mixture and proposal.base:
        base = history[proposal.base]
        shares = base.members or {base.uid: 1.0}
        frozen, own = result.mixture
        made_of = {"members": {**{each: frozen * share for each, share in shares.items()}, uid: own}, "adds": "logits"}
        costs = {"cumulative_steps": ancestors + (result.steps or 0), **result.model_dump(include=set(TOGETHER))}
        return {
            "parents": tuple(dict.fromkeys([*proposal.parents, *shares])),
            "mutation": {**(proposal.mutation or {}), **made_of},
            **_together([history[each] for each in shares], costs),
        }
    return {}


def _together(members: Sequence[Outcome], tower: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What several models cost, and with them a tower that has just been trained."""
    own = tower or {}
    return {column: sum(getattr(each, column) or 0 for each in members) + (own.get(column) or 0) for column in TOGETHER}
