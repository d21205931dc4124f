"""Which model is in use: the highest ``production/<k>.json`` says so, and going back is one more of them."""

from __future__ import annotations

import pandas as pd

from msearch_core.errors import UserError
from msearch_core.readable import score_text
from msearch_core.trial_log import ProductionRecord, RunRecord, TrialLog, WinnerRecord


def in_use(log: TrialLog) -> ProductionRecord | None:
    """The model in use, if one was ever promoted."""
    return next(reversed(log.productions()), None)


def promote(log: TrialLog, uid: str | None = None, reason: str = "by hand") -> ProductionRecord:
    """Put a winner into use.

    Args:
        log: the trial database.
        uid: the winner; the newest if not given.
        reason: one line for the history.

    Raises:
        UserError: there is no such winner, or it is in use already.
    """
    winners = log.winners()
    found = next((each for each in reversed(winners) if uid in (None, each.uid)), None)
    if found is None:
        known = ", ".join(each.uid for each in winners) or "none yet"
        raise UserError(f"{log.url} has no winner {uid or ''}; only winners can be put into use: {known}")
    used = in_use(log)
    if used and used.uid == found.uid:
        raise UserError(f"{found.uid} is in use already")
    record = ProductionRecord(uid=found.uid, run=found.run, reason=reason, validation=found.validation)
    log.add_production(record)
    return record


def roll_back(log: TrialLog) -> ProductionRecord:
    """Put the model into use again that was in use before the present one. Done twice, it goes back by two.

    Raises:
        UserError: nothing was in use before.
    """
    stack: list[ProductionRecord] = []
    for record in log.productions():
        # A record that puts an earlier model back undoes all that came after it.
        earlier = [index for index, each in enumerate(stack) if each.uid == record.uid]
        stack = stack[: earlier[0]] if earlier else stack
        stack.append(record)
    if len(stack) < 2:
        raise UserError(f"nothing was in use before {stack[0].uid if stack else 'now'}")
    record = ProductionRecord(
        uid=stack[-2].uid,
        run=stack[-2].run,
        reason=f"rolled back from {stack[-1].uid}",
        validation=stack[-2].validation,
    )
    log.add_production(record)
    return record


def decide(log: TrialLog, run: RunRecord, winner: WinnerRecord) -> tuple[bool, str]:
    """Whether a run's winner is to replace the model in use.

    It is if, on the run's validation data, its objective is better than that of the model in use by more than the
    standard error of the latter, if that is known. Test scores are not looked at.

    Returns:
        The decision, and the reason in one line.
    """
    used, frame = in_use(log), log.trials()
    if used is None:
        return True, "nothing was in use"
    if used.uid == winner.uid:
        return False, f"{used.uid} is in use already"
    search = log.search()
    rows = frame[frame["run"] == run.run]
    rescored = rows[rows["kind"] == "rescore"]
    again = rescored[rescored["parents"].map(lambda parents: used.uid in parents)]
    if used.run == run.run:
        again = rows[rows["uid"] == used.uid]
    own = frame.loc[frame["uid"] == winner.uid, "objective"].dropna()
    score = winner.validation.get(search.objective, float(own.iloc[0]) if len(own) else None)
    if again.empty:
        return False, f"the model in use, {used.uid}, was not scored on the data of run {run.run}"
    if pd.isna(again.iloc[0]["objective"]):
        return True, f"the model in use, {used.uid}, has no score on the new data: {again.iloc[0]['error']}"
    old, known = float(again.iloc[0]["objective"]), again["objective_se"].notna().iloc[0]
    doubt = float(again.iloc[0]["objective_se"]) if known else 0.0
    if score is None:
        return False, f"{winner.uid} has no {search.objective}"
    gain = (score - old) * (-1 if search.direction == "min" else 1)
    compared = (
        f"{winner.uid} {score_text(score)} against {used.uid} {score_text(old)} ± {score_text(doubt)} "
        f"({search.objective}, validation)"
    )
    return gain > doubt, f"{compared}: {'better' if gain > doubt else 'not better'} by more than the standard error"
