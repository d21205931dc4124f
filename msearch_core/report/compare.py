"""Trials side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from msearch_core.errors import UserError
from msearch_core.report.differences import architecture_difference, hyperparameter_difference
from msearch_core.report.lineage import ancestors, line, parents_of
from msearch_core.report.scores import best_first, decoded, listed, score_interval

MEASURES = ("parameters", "flops", "latency_ms", "model_bytes", "steps", "cumulative_steps", "train_seconds")


def compare(frame: pd.DataFrame, uids: Sequence[str] = (), top: int = 3) -> pd.DataFrame:
    """Put trials side by side.

    The interval of a score is 95 %, from the standard error in the row. Training cost counts the ancestors: all
    trials that this one descends from, each once. Differences are to the first trial of the table.

    Args:
        frame: rows of the log, those of the ancestors included.
        uids: the trials; the best of the last run if none are given.
        top: how many are the best.

    Returns:
        One row a trial: uid, kind, status, rung, objective with ``low`` and ``high``, what it costs to use (parameters,
        flops, latency, bytes) and cost to train (``ancestor_seconds`` the whole descent), ``seconds_<phase>``,
        architecture, hyperparameters, ``architecture_difference`` and ``hyperparameter_difference`` (lists of texts,
        empty for the first), and ``lineage``: the uids from the root to the trial.

    Raises:
        UserError: no trial has one of the uids, or none has a score.
    """
    by_uid = {str(row["uid"]): row for row in frame.to_dict("records")} if uids else {}
    for uid in uids:
        if uid not in by_uid:
            raise UserError(f"no trial {uid!r} is on record; `msearch trials LOG` lists those that are")
    chosen = [by_uid[uid] for uid in uids] or best_first(last_run(frame)).head(top).to_dict("records")
    if not chosen:
        raise UserError("no trial has a score yet; `msearch trials LOG` lists what came of each")
    parents = parents_of(frame)
    seconds = dict(zip(frame["uid"], frame["train_seconds"].astype(float).fillna(0.0), strict=True))
    first = chosen[0]
    return pd.DataFrame([_row(trial, first, parents, seconds) for trial in chosen])


def last_run(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials of the newest run that has any; scores of other runs were made on other data."""
    runs = frame["run"].dropna()
    return frame[frame["run"] == runs.max()] if len(runs) else frame


def _row(trial: Any, first: Any, parents: dict[str, tuple[str, ...]], seconds: dict[str, float]) -> dict[str, Any]:
    uid = str(trial["uid"])
    low, high = score_interval(
        _number(trial["objective"]), _number(trial["objective_se"]), str(trial["objective_name"])
    )
    architecture = [str(each) for each in listed(trial["architecture"])]
    hyperparameters = dict(decoded(trial["hyperparameters"]))
    is_first = trial is first
    return {
        "uid": uid,
        "kind": trial["kind"],
        "status": trial["status"],
        "rung": trial["rung"],
        "objective": _number(trial["objective"]),
        "low": low,
        "high": high,
        **{name: trial[name] for name in MEASURES},
        "ancestor_seconds": sum(seconds.get(each, 0.0) for each in (uid, *ancestors(uid, parents))),
        **{f"seconds_{phase}": spent for phase, spent in decoded(trial["timings"]).items()},
        "architecture": architecture,
        "hyperparameters": hyperparameters,
        "architecture_difference": []
        if is_first
        else architecture_difference([str(each) for each in listed(first["architecture"])], architecture),
        "hyperparameter_difference": []
        if is_first
        else hyperparameter_difference(decoded(first["hyperparameters"]), hyperparameters),
        "lineage": line(uid, parents)[::-1],
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
