"""Which model is meant, and the data that it was trained on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from msearch_core.data.options import data_options
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import PreparedData, open_prepared
from msearch_core.errors import UserError
from msearch_core.report.scores import SCORED
from msearch_core.training.rescoring import problem_of
from msearch_core.trial_log import RunRecord, SearchRecord, TrialLog


def model_uid(log: TrialLog, frame: pd.DataFrame, uid: str | None) -> str:
    """The trial that was trained; one that was scored again stands for the model that it is a score of.

    Args:
        log: the trial database.
        frame: its rows.
        uid: a trial; by default the one in use, where one was promoted, else the newest winner.

    Raises:
        UserError: there is no such trial, or it has no model.
    """
    if uid is None:
        named = log.productions() or log.winners()
        if not named:
            raise UserError(f"{log.url} has no winner yet; name one of the trials of `msearch trials {log.url}`")
        uid = named[-1].uid
    rows = frame[frame["uid"] == uid]
    if rows.empty:
        raise UserError(f"no trial {uid!r} is on record; `msearch trials {log.url}` lists those that are")
    row = rows.iloc[0]
    if row["kind"] == "rescore" and len(row["parents"]):
        return model_uid(log, frame, str(row["parents"][0]))
    if row["status"] not in SCORED or pd.isna(row["objective"]):
        raise UserError(f"{uid} has no model: it is {row['status']}; choose one that is completed")
    return uid


def data_of(log: TrialLog, search: SearchRecord, run: RunRecord) -> tuple[Path, PreparedData, bool]:
    """The run's data as its models know it: its folder, what is in it, and whether they were trained on the very same.

    Raises:
        UserError: it cannot be read, or has changed and nothing tells how it was preprocessed.
    """
    source = data_options(run.data)
    folder = prepare_cached(source, seed=search.split_seed, moved=run.moved)
    data = open_prepared(folder)
    if data.fingerprint == run.data_fingerprint:
        return folder, data, True
    try:
        like = problem_of(log, run.run)
    except FileNotFoundError:
        raise UserError(
            f"{source.data} has changed since run {run.run}, which has no winner that would know its preprocessing; "
            "export a trial of a newer run"
        ) from None
    folder = prepare_cached(source, seed=search.split_seed, moved=run.moved, like=like)
    return folder, open_prepared(folder), False
