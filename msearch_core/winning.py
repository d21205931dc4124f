"""Which trials of a run can win, and which of them does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msearch_core.algorithms.history import Outcome, best
from msearch_core.trial_log import TrialLog, WinnerRecord


def candidates(log: TrialLog, history: Sequence[Outcome], earlier: Sequence[WinnerRecord]) -> list[Outcome]:
    """The trials of a run that can win: those whose weights are there, and those that won before.

    Args:
        log: the trial database.
        history: all trials of the run.
        earlier: the winners on record.
    """
    present = set(log.store.list("weights"))
    by_uid = {each.uid: each for each in history}
    won = {each.uid for each in earlier}
    usable = (each for each in history if each.uid in won or _is_there(each, by_uid, present))
    # One that was scored again belongs to an earlier run: whether it stays in use is decided by `production`.
    return [each for each in usable if each.kind != "rescore"]


def choose(history: Sequence[Outcome]) -> Outcome | None:
    """The best trial; among those with its score the best ensemble, if there is one.

    Where a few validation examples decide, many trials have the same score, and the lowest loss of them is partly
    luck; a mean of models depends on it less.
    """
    first = next(iter(best(history, 1)), None)
    if first is None:
        return None
    ensembles = [each for each in history if each.members and each.score == first.score]
    return best(ensembles or [first], 1)[0]


def _is_there(trial: Outcome, history: Mapping[str, Outcome], present: Collection[str]) -> bool:
    """Whether there are weights to make a model of: its own, or those of all its members."""
    members = trial.members or {trial.uid: 1.0}
    return all(uid in history and history[uid].weights in present for uid in members)
