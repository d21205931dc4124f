"""Who did what when."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.plots.style import STATUSES, empty, figure, plain

MAX_BARS = 1_500
MAX_TRAINERS = 40


def timeline(frame: pd.DataFrame) -> go.Figure:
    """One line a trainer, one bar a trial from its start to its end; where there is no bar the trainer was idle.

    Where there are more trials than a screen has room for, neighbours of one status become one bar, unless there is
    a gap between them that could be seen.

    Args:
        frame: trials of one run.
    """
    timed = frame[frame["started_at"].notna() & frame["finished_at"].notna() & frame["trainer"].notna()]
    if timed.empty:
        return empty("no trial has its times on record")
    began = timed["started_at"].min()
    bars = pd.DataFrame(
        {
            "uid": timed["uid"],
            "trainer": timed["trainer"].astype(str),
            "status": timed["status"],
            "start": (timed["started_at"] - began).dt.total_seconds(),
            "end": (timed["finished_at"] - began).dt.total_seconds(),
            "trials": 1,
        }
    ).sort_values(["trainer", "start"], kind="stable")
    busiest = bars.groupby("trainer")["start"].agg(["size", "min"]).sort_values("size", ascending=False)
    trainers = busiest.head(MAX_TRAINERS).sort_values("min").index.tolist()
    bars = bars[bars["trainer"].isin(trainers)]
    if len(bars) > MAX_BARS:
        bars = _joined(bars, float(bars["end"].max()) / 800)
    names = {trainer: f"trainer {number}" for number, trainer in enumerate(trainers, 1)}
    traces = [_bars(bars[bars["status"] == status], status, names) for status in STATUSES]
    left_out = len(busiest) - len(trainers)
    title = "seconds since the first trial began" + (f" ({left_out} further trainers not shown)" if left_out else "")
    return figure(
        [trace for trace in traces if trace is not None], x=title, height=130 + 26 * len(trainers), barmode="overlay",
        bargap=0.25, yaxis_autorange="reversed", yaxis_type="category", xaxis_rangemode="tozero",
        yaxis_categoryorder="array", yaxis_categoryarray=list(names.values()),
    )  # fmt: skip


def _joined(bars: pd.DataFrame, gap: float) -> pd.DataFrame:
    """Bars of one trainer and status become one where less than ``gap`` seconds lie between them."""
    before = bars.shift()
    new = (
        (bars["trainer"] != before["trainer"])
        | (bars["status"] != before["status"])
        | (bars["start"] - before["end"] > gap)
    )
    grouped = bars.groupby(new.cumsum())
    return grouped.agg(
        uid=("uid", "first"), trainer=("trainer", "first"), status=("status", "first"), start=("start", "min"),
        end=("end", "max"), trials=("trials", "sum"),
    )  # fmt: skip


def _bars(bars: pd.DataFrame, status: str, names: dict[str, str]) -> Any:
    if bars.empty:
        return None
    what = [
        plain(f"{uid} on {trainer}" if count == 1 else f"{count} trials from {uid} on, on {trainer}")
        for uid, trainer, count in zip(bars["uid"], bars["trainer"], bars["trials"], strict=True)
    ]
    return go.Bar(
        base=bars["start"],
        x=bars["end"] - bars["start"],
        y=[names[each] for each in bars["trainer"]],
        orientation="h",
        name=status,
        marker={
            "color": STATUSES[status],
            "line": {"width": 0.5 if len(bars) < 400 else 0, "color": "rgba(127,127,127,0.6)"},
        },
        customdata=list(zip(bars["uid"], what, bars["end"], strict=True)),
        hovertemplate=f"%{{customdata[1]}}<br>{status}, %{{base:.1f}} to %{{customdata[2]:.1f}} s<extra></extra>",
    )
