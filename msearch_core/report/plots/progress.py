"""Every trial as a point, and the best score so far."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from msearch_core.errors import expect_one_of
from msearch_core.report.plots.style import BLUE, KINDS, ORANGE, STATUSES, empty, figure, plain
from msearch_core.report.scores import SCORED, best_so_far, in_order, is_maximised, objective_name
from msearch_core.report.thinning import thin

Axis = Literal["trials", "steps", "seconds"]
TITLES: dict[Axis, str] = {
    "trials": "trials",
    "steps": "gradient steps, all trials together",
    "seconds": "seconds since the search began",
}


def progress(frame: pd.DataFrame, x: Axis = "trials") -> go.Figure:
    """The score of every trial and the best so far.

    Trials without a score stand on a line of their own beyond the rest. A few bad scores do not squeeze the others:
    where they are far off, they stand at the axis' end as triangles.

    Args:
        frame: trials of one run.
        x: against what: the number of trials, gradient steps of all trials together, or seconds of wall time.

    Raises:
        UserError: there is no such axis.
    """
    expect_one_of("x", x, TITLES)
    ordered = in_order(frame)
    ordered = ordered.assign(_x=_positions(ordered, x), _best=best_so_far(ordered))
    ordered = ordered[ordered["_x"].notna()].reset_index(drop=True)
    has_score = ordered["status"].isin(SCORED) & ordered["objective"].notna()
    if not has_score.any():
        return empty("no trial has a score yet")
    name = objective_name(frame)
    low, high = _range(ordered["objective"][has_score].to_numpy(float), is_maximised(frame))
    shown = thin(ordered)
    has_score = has_score.loc[shown.index]
    worst, beyond = (low, high) if is_maximised(frame) else (high, low)
    lane = worst - 0.06 * (beyond - worst)
    inside = (shown["objective"] >= low) & (shown["objective"] <= high)
    traces = [_points(shown[has_score & inside & (shown["kind"] == kind)], kind, name) for kind in KINDS]
    traces = [trace for trace in traces if trace is not None]
    outside, failed = shown[has_score & ~inside], shown[~has_score]
    if len(outside):
        traces.append(_outside(outside, worst, is_maximised(frame), name))
    if len(failed):
        traces.append(_failures(failed, lane))
    line = thin(ordered[ordered["_best"].notna()].reset_index(drop=True), 4_000)
    traces.append(
        go.Scatter(
            x=line["_x"],
            y=line["_best"],
            mode="lines",
            line={"shape": "hv", "color": ORANGE, "width": 2.5},
            name="best so far",
            hoverinfo="skip",
        )
    )
    margin = 0.04 * abs(high - low)
    bounds = [min(low, lane) - margin, max(high, lane) + margin]
    return figure(traces, x=TITLES[x], y=name, yaxis_range=bounds, height=420)


def _positions(ordered: pd.DataFrame, x: Axis) -> pd.Series:
    if x == "trials":
        return pd.Series(np.arange(1, len(ordered) + 1), ordered.index)
    if x == "steps":
        return ordered["steps"].fillna(0).cumsum()
    if ordered["started_at"].isna().all():
        return ordered["wall_seconds"].fillna(0).cumsum()
    began = ordered[["started_at", "finished_at"]].min().min()  # what was scored again has an end alone
    elapsed: pd.Series = (ordered["finished_at"] - began).dt.total_seconds()
    return elapsed


def _range(scores: np.ndarray, maximised: bool) -> tuple[float, float]:
    """The scores to be seen: all but the worst twentieth, if that is far off."""
    low, high = float(scores.min()), float(scores.max())
    usual = float(np.percentile(scores, 5 if maximised else 95))
    if maximised and high - low > 2 * (high - usual) > 0:
        low = usual - 0.1 * (high - usual)
    if not maximised and high - low > 2 * (usual - low) > 0:
        high = usual + 0.1 * (usual - low)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _points(trials: pd.DataFrame, kind: str, name: str) -> go.Scatter | None:
    if trials.empty:
        return None
    colour, symbol = KINDS[kind]
    stopped = trials["status"] == "stopped"
    return go.Scatter(
        x=trials["_x"],
        y=trials["objective"],
        mode="markers",
        name=kind,
        customdata=trials[["uid", "status"]].to_numpy(),
        marker={
            "color": colour,
            "size": 8 if len(trials) < 300 else 5,
            "opacity": 0.85 if len(trials) < 300 else 0.5,
            "symbol": [f"{symbol}-open" if each else symbol for each in stopped] if stopped.any() else symbol,
        },
        hovertemplate="%{customdata[0]} (%{customdata[1]})<br>" + plain(name) + " %{y:.4~g}<extra></extra>",
    )


def _outside(trials: pd.DataFrame, edge: float, maximised: bool, name: str) -> go.Scatter:
    return go.Scatter(
        x=trials["_x"],
        y=[edge] * len(trials),
        mode="markers",
        name="below" if maximised else "above",
        customdata=trials[["uid", "status", "objective"]].to_numpy(),
        marker={"color": BLUE, "size": 8, "symbol": "triangle-down-open" if maximised else "triangle-up-open"},
        hovertemplate="%{customdata[0]} (%{customdata[1]})<br>" + plain(name) + " %{customdata[2]:.4~g}<extra></extra>",
    )


def _failures(trials: pd.DataFrame, lane: float) -> go.Scatter:
    errors = [plain(each or "no score") for each in trials["error"]]
    return go.Scatter(
        x=trials["_x"],
        y=[lane] * len(trials),
        mode="markers",
        name="without a score",
        customdata=list(zip(trials["uid"], trials["status"], errors, strict=True)),
        marker={"color": [STATUSES[each] for each in trials["status"]], "size": 7, "symbol": "x-thin-open"},
        hovertemplate="%{customdata[0]} %{customdata[1]}<br>%{customdata[2]}<extra></extra>",
    )
