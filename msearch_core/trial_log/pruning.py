"""Removing the weights of hopeless trials, on demand only."""

from __future__ import annotations

import pandas as pd

from msearch_core.trial_log.claims import Claims
from msearch_core.trial_log.layout import checkpoint_folder
from msearch_core.trial_log.log import TrialLog


def prunable(log: TrialLog, keep: int) -> list[str]:
    """Weights, checkpoints and predictions that nothing needs any more.

    Kept are those of the ``keep`` best trials of each run, of every winner, of the members of ensembles among these, of
    the parents, teachers and bases of trials that are under way, of trials that another one may go on from in a run
    that is not over, and whatever belongs to a trial without a row.

    Args:
        log: the trial database.
        keep: how many of the best of each run stay.

    Returns:
        Names relative to the log.
    """
    frame = log.trials()
    present = {*log.store.list("weights"), *log.store.list("predictions")}
    needed = {winner.uid for winner in log.winners()} | _ancestors_under_way(log, set(frame["uid"]))
    needed |= _promotable(log, frame, present)
    for _, rows in frame[frame["objective"].notna()].groupby("run"):
        best = rows.sort_values("objective", ascending=bool((rows["direction"] == "min").any()), kind="stable")
        needed |= set(best["uid"].head(keep))
    ensembles = frame[(frame["kind"] == "ensemble") & frame["uid"].isin(needed)]
    needed |= {str(uid) for members in ensembles["parents"].dropna() for uid in members}
    is_needed = frame["uid"].isin(needed)
    # A model that was scored again has the weights of the trial that trained it.
    hopeless, kept = (_names(rows) for rows in (frame[~is_needed], frame[is_needed]))
    folders = {checkpoint_folder(str(uid)) for uid in frame["uid"][~is_needed]}
    checkpoints = {name for name in present if name.rpartition("/")[0] in folders}
    return sorted((hopeless - kept) & present | checkpoints)


def _names(rows: pd.DataFrame) -> set[str]:
    return {str(name) for column in ("weights", "predictions") for name in rows[column].dropna()}


def _ancestors_under_way(log: TrialLog, done: set[str]) -> set[str]:
    claims = Claims(log.store)
    claims.refresh([""], done.__contains__)
    proposals = [claim.proposal for claim in claims.latest.values() if claim]
    parents = {uid for proposal in proposals for uid in proposal.get("parents") or ()}
    return parents | {proposal[name] for proposal in proposals for name in ("teacher", "base") if proposal.get(name)}


def _promotable(log: TrialLog, frame: pd.DataFrame, present: set[str]) -> set[str]:
    """Trials of runs that are not over whose last checkpoint is there: only one that may go on leaves it."""
    left = {name.rpartition("/")[0] for name in present}
    waiting = frame[[checkpoint_folder(str(uid)) in left for uid in frame["uid"]]]
    boards = [log.board(run, ("uid", "run")) for run in log.runs() if (waiting["run"] == run.run).any()]
    for board in boards:
        board.look()
    return set(waiting["uid"][waiting["run"].isin([board.run for board in boards if not board.is_over])])


def prune(log: TrialLog, names: list[str]) -> None:
    """Remove what ``prunable`` named."""
    for name in names:
        log.store.delete(name)


def size_of(log: TrialLog, names: list[str]) -> int:
    """Bytes that the objects take up."""
    return sum(int(log.store.fs.size(log.store.path(name)) or 0) for name in names)
