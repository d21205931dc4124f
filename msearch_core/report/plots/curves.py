"""Learning curves."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.plots.style import BLUE, GREEN, GREY, ORANGE, PINK, SKY, empty, figure, plain
from msearch_core.report.scores import best_first, is_maximised, listed, objective_name

HIGHLIGHTED = (ORANGE, BLUE, GREEN, PINK, SKY)
MAX_GREY = 60


def curves(frame: pd.DataFrame) -> go.Figure:
    """The objective over the steps of each trial: the best in colour, an even choice of the others in grey.

    Args:
        frame: trials of one run.
    """
    ranked = best_first(frame)
    ranked = ranked[[len(listed(each)) > 1 for each in ranked["curve"]]]
    if ranked.empty:
        return empty("no trial has a learning curve on record")
    best, others = ranked.head(len(HIGHLIGHTED)), ranked.iloc[len(HIGHLIGHTED) :]
    name = objective_name(frame)
    even = np.unique(np.linspace(0, len(others) - 1, min(MAX_GREY, len(others))).round().astype(int))
    traces = [_curve(trial, GREY, 1.0, 0.3, name) for trial in others.iloc[even].to_dict("records")]
    traces += [
        _curve(trial, colour, 2.5, 1.0, name)
        for trial, colour in zip(best.to_dict("records"), HIGHLIGHTED, strict=False)
    ]
    values = np.concatenate([np.asarray(listed(each), float) for each in ranked["curve"]])
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [5, 100] if is_maximised(frame) else [0, 95])
    margin = 0.05 * float((high - low) or 1.0)
    bounds = [float(low) - margin, float(high) + margin]
    return figure(traces, x="gradient steps", y=name, yaxis_range=bounds, xaxis_rangemode="tozero")


def _curve(trial: Mapping[Hashable, Any], colour: str, width: float, opacity: float, name: str) -> go.Scatter:
    values = listed(trial["curve"])
    last = len(values) if pd.isna(trial["steps"]) else float(trial["steps"])
    return go.Scatter(
        x=np.linspace(last / len(values), last, len(values)),
        y=values,
        mode="lines",
        line={"color": colour, "width": width},
        opacity=opacity,
        name=str(trial["uid"]),
        customdata=[[trial["uid"]]] * len(values),
        showlegend=colour != GREY,
        hovertemplate="%{customdata[0]}<br>" + plain(name) + " %{y:.4~g} at step %{x:.0f}<extra></extra>",
    )
