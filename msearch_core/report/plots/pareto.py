"""Score against cost, and the trials that nothing beats in both."""

from __future__ import annotations

from typing import Literal

import pandas as pd
import plotly.graph_objects as go

from msearch_core.errors import expect_one_of
from msearch_core.report.plots.style import BLUE, ORANGE, empty, figure, plain
from msearch_core.report.scores import best_first, is_maximised, objective_name, scored
from msearch_core.report.thinning import thin

Cost = Literal["parameters", "model_bytes", "flops", "latency_ms"]
TITLES: dict[Cost, str] = {
    "parameters": "parameters",
    "model_bytes": "bytes of weights",
    "flops": "floating-point operations, one example",
    "latency_ms": "latency of one example, ms",
}


def front(frame: pd.DataFrame, cost: Cost = "parameters") -> pd.DataFrame:
    """The trials than which none is both better and as cheap, cheapest first."""
    ranked = scored(frame)
    ranked = ranked[ranked[cost].notna()].sort_values(
        [cost, "objective", "uid"], ascending=[True, not is_maximised(frame), True], kind="stable"
    )
    score = ranked["objective"].astype(float) * (1 if is_maximised(frame) else -1)
    before = score.cummax().shift()
    return ranked[before.isna() | (score > before)]


def pareto(frame: pd.DataFrame, cost: Cost = "parameters") -> go.Figure:
    """Every scored trial by cost and score, with the Pareto front.

    Args:
        frame: trials of one run.
        cost: which cost.

    Raises:
        UserError: there is no such cost.
    """
    expect_one_of("cost", cost, TITLES)
    usable = best_first(frame)
    usable = usable[usable[cost].notna() & (usable[cost] > 0)].reset_index(drop=True)
    if usable.empty:
        return empty(f"no trial has a score and {TITLES[cost]} on record")
    name, edge = objective_name(frame), front(usable, cost)
    best = usable["objective"].iloc[0]
    farthest = usable["objective"].iloc[int(0.9 * (len(usable) - 1))]
    least = min((best, farthest, *edge["objective"]))
    most = max((best, farthest, *edge["objective"]))
    margin = 0.05 * ((most - least) or 1.0)
    hover = f"%{{customdata[0]}}<br>{plain(name)} %{{y:.4~g}}<br>{TITLES[cost]} %{{x:,}}<extra></extra>"
    shown = thin(usable)
    others = go.Scatter(
        x=shown[cost],
        y=shown["objective"],
        mode="markers",
        name="trials",
        customdata=shown[["uid"]].to_numpy(),
        marker={"color": BLUE, "size": 7 if len(shown) < 300 else 5, "opacity": 0.45},
        hovertemplate=hover,
    )
    line = go.Scatter(
        x=edge[cost],
        y=edge["objective"],
        mode="lines+markers",
        name="Pareto front",
        customdata=edge[["uid"]].to_numpy(),
        line={"shape": "hv", "color": ORANGE, "width": 2},
        marker={"color": ORANGE, "size": 10, "symbol": "diamond"},
        hovertemplate=hover,
    )
    return figure(
        [others, line], x=TITLES[cost], y=name, xaxis_type="log", xaxis_dtick="D2" if _narrow(usable[cost]) else 1,
        yaxis_range=[least - margin, most + margin],
    )  # fmt: skip


def _narrow(costs: pd.Series) -> bool:
    """Whether decades alone would leave the axis nearly without numbers."""
    return bool(costs.max() < 1000 * costs.min())
