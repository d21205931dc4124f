"""Which blocks help."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.effects import block_effects
from msearch_core.report.plots.style import BLUE, GREY, ORANGE, empty, figure, plain
from msearch_core.report.scores import is_maximised, objective_name

MAX_ROWS = 24
ROW_PIXELS = 38


def effects(frame: pd.DataFrame, *, by_family: bool = True) -> go.Figure:
    """The effect of each block on the score with its 95 % interval; grey where the interval holds zero.

    Args:
        frame: trials of one run.
        by_family: whether blocks that differ in their parameters alone are one.
    """
    table = block_effects(frame, by_family=by_family)
    if table is None:
        return empty("too few scored trials to tell the blocks' effects apart")
    if len(table) > MAX_ROWS:
        largest = table["effect"].abs().sort_values(ascending=False).index[:MAX_ROWS]
        table = table.loc[table.index.isin(largest)]
    table = table.iloc[::-1].reset_index(drop=True)
    names = [
        {
            "text": plain(f"{name} ({count} trials)", 64), "xref": "paper", "x": 0, "xanchor": "left", "y": place,
            "yshift": 14, "showarrow": False, "font": {"size": 12},
        }
        for place, (name, count) in enumerate(zip(table["block"], table["trials"], strict=True))
    ]  # fmt: skip
    sign = 1 if is_maximised(frame) else -1
    helps, harms = (
        (sign * table["low"] > 0) & (sign * table["high"] > 0),
        (sign * table["low"] < 0) & (sign * table["high"] < 0),
    )
    colours = [BLUE if good else ORANGE if bad else GREY for good, bad in zip(helps, harms, strict=True)]
    trace = go.Scatter(
        x=table["effect"],
        y=table.index,
        mode="markers",
        marker={"color": colours, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": table["high"] - table["effect"],
            "arrayminus": table["effect"] - table["low"],
            "color": GREY,
            "thickness": 1.5,
            "width": 0,
        },
        text=[plain(each) for each in table["block"]],
        customdata=[("", *each) for each in table[["low", "high", "trials"]].itertuples(index=False)],
        hovertemplate="%{text}<br>%{x:+.4f} (%{customdata[1]:+.4f} to %{customdata[2]:+.4f})"
        "<br>%{customdata[3]} trials<extra></extra>",
        showlegend=False,
    )
    return figure(
        [trace], x=f"change of {objective_name(frame)}", height=90 + ROW_PIXELS * len(table), xaxis_nticks=6,
        yaxis_visible=False, yaxis_range=[-0.6, len(table) - 0.2], annotations=names,
    )  # fmt: skip
