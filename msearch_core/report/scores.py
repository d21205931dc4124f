"""Which trials have a score, which is better, and how sure one is of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.algorithms.history import LOSSES

CONFIDENCE = 0.95
_LOSS = rf'"(?:{"|".join(LOSSES)})":([^,}}]+)'
"""Finds the loss among a row's metrics, which are canonical JSON; to decode them takes a hundred times as long."""
_SHARES = ("accuracy", "balanced_accuracy", "auc", "f1", "f1_macro", "f1_micro", "exact_match")
_BOUNDS = {
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    **dict.fromkeys(("log_loss", "rmse", "mae"), (0.0, math.inf)),
    **dict.fromkeys(("r2", "mean_score"), (-math.inf, 1.0)),
}
SCORED = ("completed", "stopped")
"""The statuses whose objective may be compared."""


def why_none(frame: pd.DataFrame, run: str, log: str) -> str:
    """One line for a run none of whose trials has a score: how many there are, and the commonest of their errors.

    Args:
        frame: rows of the log.
        run: the run's name.
        log: the trial database, as a user would type it.
    """
    trials = frame[frame["run"] == run]
    errors = trials["error"].dropna().value_counts()
    why = f"; {errors.iloc[0]} ended with {errors.index[0]!r}" if len(errors) else ""
    return f"none of the {len(trials)} trials has a score{why}; see: msearch trials {log}"


def is_maximised(frame: pd.DataFrame) -> bool:
    """Whether more of the objective is better; so unless a row says otherwise."""
    return not bool((frame["direction"] == "min").any())


def objective_name(frame: pd.DataFrame) -> str:
    """What the objective is called."""
    names = frame["objective_name"].dropna()
    return str(names.iloc[-1]) if len(names) else "objective"


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that have a score which may be compared."""
    return frame[frame["status"].isin(SCORED) & frame["objective"].notna()]


def best_first(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials that have a score, best first; of equals, the one whose loss is less, then the earlier."""
    ranked = scored(frame)
    loss = pd.to_numeric(ranked["metrics"].astype("str").str.extract(_LOSS, expand=False), errors="coerce")
    ranked = ranked.assign(_loss=loss).sort_values(
        ["objective", "_loss", "uid"], ascending=[not is_maximised(frame), True, True], kind="stable"
    )
    return ranked.drop(columns="_loss")


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials in the order in which they ended; those without a time last."""
    return frame.sort_values(["finished_at", "uid"], na_position="last", kind="stable").reset_index(drop=True)


def best_so_far(frame: pd.DataFrame) -> pd.Series:
    """The best score up to and with each row; rows without a score repeat the last one."""
    usable = frame["objective"].where(frame["status"].isin(SCORED)).astype(float)
    return usable.cummax().ffill() if is_maximised(frame) else usable.cummin().ffill()


def score_interval(score: float, standard_error: float, name: str = "") -> tuple[float, float]:
    """The 95 % interval of a score by its recorded standard error.

    Errors are taken as normal, but those of shares, such as an accuracy: near their ends these are far from it, so
    they get the interval of Wilson (1927) for as many examples as have that standard error.

    Args:
        score: the score.
        standard_error: its standard error.
        name: of the objective; what it can never be is cut off.

    Returns:
        Its ends; not a number where the standard error is not known, or is 0, which says nothing of the doubt.
    """
    if not standard_error > 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    variance = score * (1 - score)
    if _metric(name) in _SHARES and variance > 0:
        per_example = z**2 * standard_error**2 / variance  # z² / n
        centre = (score + per_example / 2) / (1 + per_example)
        half = z / (1 + per_example) * math.sqrt(standard_error**2 + (per_example / (2 * z)) ** 2)
        return centre - half, centre + half
    return _possible(score - z * standard_error, score + z * standard_error, name)


def mean_interval(values: np.ndarray, name: str = "") -> tuple[float, float]:
    """The 95 % interval of a mean by Student's t; not a number for fewer than two values.

    Args:
        values: ``float (n,)`` scores.
        name: of the objective; what it can never be is cut off.
    """
    from scipy.special import stdtrit  # half a second that most callers do without

    if len(values) < 2:
        return math.nan, math.nan
    half = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return _possible(float(values.mean()) - half, float(values.mean()) + half, name)


def _possible(low: float, high: float, name: str) -> tuple[float, float]:
    least, most = _BOUNDS.get(_metric(name), (-math.inf, math.inf))
    clipped = np.clip([low, high], least, most)
    return float(clipped[0]), float(clipped[1])


def _metric(name: str) -> str:
    return name.rpartition("/")[2]  # of several targets <target>/<name>


def decoded(value: Any) -> Mapping[str, Any]:
    """What a JSON column holds; empty where there is nothing."""
    loaded = json.loads(value) if isinstance(value, str) else None
    return loaded if isinstance(loaded, dict) else {}


def listed(value: Any) -> list[Any]:
    """What a list column holds; empty where there is nothing."""
    return [] if value is None or isinstance(value, float) else list(value)
