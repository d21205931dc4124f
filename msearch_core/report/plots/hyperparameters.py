"""Score against each hyperparameter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.plots.style import BLUE, empty, figure, plain
from msearch_core.report.scores import best_first, decoded, objective_name
from msearch_core.report.thinning import thin

MANY = 8
"""Numbers of more different values than these are shown on an axis, fewer as categories."""


def hyperparameter_names(frame: pd.DataFrame) -> list[str]:
    """The hyperparameters of which the scored trials have more than one value."""
    values: dict[str, set[str]] = {}
    for each in best_first(frame)["hyperparameters"]:
        for name, value in decoded(each).items():
            values.setdefault(name, set()).add(repr(value))
    return sorted(name for name, found in values.items() if len(found) > 1)


def hyperparameters(frame: pd.DataFrame, name: str) -> go.Figure:
    """The score of every trial by the value of one hyperparameter.

    Args:
        frame: trials of one run.
        name: which hyperparameter.
    """
    ranked = best_first(frame).reset_index(drop=True)
    ranked = ranked.assign(_value=ranked["hyperparameters"].map(lambda each: decoded(each).get(name)))
    ranked = ranked[ranked["_value"].notna()].reset_index(drop=True)
    if ranked.empty:
        return empty(f"no scored trial has a {plain(name)}")
    floor = ranked["objective"].iloc[int(0.95 * (len(ranked) - 1))]
    best = ranked["objective"].iloc[0]
    margin = 0.08 * (abs(best - floor) or 1.0)
    bounds = [min(best, floor) - margin, max(best, floor) + margin]
    numbers = pd.to_numeric(ranked["_value"], errors="coerce")
    shown = thin(ranked)
    objective = objective_name(frame)
    hover = f"%{{customdata[0]}}<br>{plain(name)} %{{x}}<br>{plain(objective)} %{{y:.4~g}}<extra></extra>"
    uids = shown[["uid"]].to_numpy()
    if numbers.notna().all() and numbers.nunique() > MANY:
        positive = bool((numbers > 0).all())
        wide = positive and numbers.max() > 20 * numbers.min()
        trace = go.Scatter(
            x=numbers.loc[shown.index], y=shown["objective"], mode="markers", customdata=uids, hovertemplate=hover,
            marker={"color": BLUE, "size": 7, "opacity": 0.6}, showlegend=False,
        )  # fmt: skip
        return figure([trace], x=name, y=objective, xaxis_type="log" if wide else "linear", yaxis_range=bounds)
    texts = [str(each) for each in ranked["_value"]]
    order = sorted(set(texts), key=_numbers_first)
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(shown))
    trace = go.Scatter(
        x=[order.index(texts[index]) + move for index, move in zip(shown.index, spread, strict=True)],
        y=shown["objective"],
        mode="markers",
        customdata=[(uid, plain(texts[index])) for index, uid in zip(shown.index, shown["uid"], strict=True)],
        hovertemplate=hover.replace("%{x}", "%{customdata[1]}"),
        marker={"color": BLUE, "size": 7, "opacity": 0.6},
        showlegend=False,
    )
    ticks = {
        "tickmode": "array",
        "tickvals": list(range(len(order))),
        "ticktext": [plain(each, 30) for each in order],
        "showgrid": False,
        "zeroline": False,
    }
    return figure([trace], x=name, y=objective, xaxis=ticks, yaxis_range=bounds)


def _numbers_first(text: str) -> tuple[bool, float, str]:
    number = pd.to_numeric(text, errors="coerce")
    return bool(pd.isna(number)), 0.0 if pd.isna(number) else float(number), text
