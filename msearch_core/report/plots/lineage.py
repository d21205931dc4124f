"""The family tree of the trials."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.differences import changes
from msearch_core.report.lineage import Node, line, parents_of, tree
from msearch_core.report.plots.style import GREY, KINDS, ORANGE, broken, empty, figure, plain
from msearch_core.report.scores import SCORED, best_first, is_maximised, objective_name

ROW_PIXELS = 13
STEPS = 8


def lineage(frame: pd.DataFrame, winner: str | None = None) -> go.Figure:
    """Who descends from whom: one node a trial coloured by its score, one edge a mutation, which a pointer tells.

    Generations run from left to right. The line of the winner is drawn thick.

    Args:
        frame: rows of the log.
        winner: the trial whose line is marked; the best if not given.
    """
    if frame.empty:
        return empty("no trial is on record yet")
    nodes = tree(frame)
    rows = frame.set_index("uid", drop=False).loc[[node.uid for node in nodes]]
    trials: dict[str, Any] = {str(row["uid"]): row for row in rows.to_dict("records")}
    placed = {node.uid: node for node in nodes}
    best = best_first(frame)["uid"]
    winner = winner or (str(best.iloc[0]) if len(best) else None)
    thick = set(line(winner, parents_of(frame))) if winner else set()
    edges = [(placed[node.parent], node) for node in nodes if node.parent]
    drawn = [each for each in edges if each[1].uid not in thick]
    marked = [each for each in edges if each[1].uid in thick]
    traces = [
        _lines(drawn, GREY, 1.0, 0.55),
        _lines(marked, ORANGE, 2.5, 1.0),
        _mutations(edges, trials),
        _failed([node for node in nodes if not _has_score(trials[node.uid])], trials),
        *_scored([node for node in nodes if _has_score(trials[node.uid])], trials, winner, objective_name(frame)),
    ]
    single = [node for node in nodes if node.parent is None and node.uid not in {edge[0].uid for edge in edges}]
    generations = int(max(edge[1].column for edge in edges)) + 1 if edges else 0
    rows_used = max(node.row for node in nodes) + 1
    height = 130 + ROW_PIXELS * int(rows_used)
    scores = [float(trials[node.uid]["objective"]) for node in nodes if _has_score(trials[node.uid])]
    return figure(
        traces, x="generation" if edges else "", height=max(260, height), yaxis_visible=False,
        yaxis_range=[rows_used - 0.2, -0.8], xaxis_tickvals=list(range(0, generations, 1 + generations // 10)),
        xaxis_showgrid=False, xaxis_zeroline=False, showlegend=False,
        coloraxis=_colours(scores, is_maximised(frame), objective_name(frame)),
        annotations=_label_of_singles(single) if edges and single else [],
    )  # fmt: skip


def _colours(scores: list[float], maximised: bool, name: str) -> dict[str, Any]:
    """A scale on which the best is strongest; the worst tenth shares its end, lest it take all the contrast."""
    values = pd.Series(scores or [0.0, 1.0])
    low, high = (values.quantile(0.1), values.max()) if maximised else (values.min(), values.quantile(0.9))
    bar = {
        "title": {"text": plain(name), "side": "top", "font": {"size": 12}}, "orientation": "h", "lenmode": "pixels",
        "len": 240, "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "nticks": 4,
    }  # fmt: skip
    return {"cmin": float(low), "cmax": float(high), "reversescale": not maximised, "colorbar": bar}


def _label_of_singles(nodes: list[Node]) -> list[dict[str, Any]]:
    return [
        {
            "text": f"{len(nodes)} without relatives",
            "x": 0,
            "y": min(node.row for node in nodes),
            "yshift": 16,
            "xanchor": "left",
            "showarrow": False,
            "font": {"size": 12},
        }
    ]


def _has_score(trial: Any) -> bool:
    return trial["status"] in SCORED and not pd.isna(trial["objective"])


def _curve(start: Node, end: Node) -> tuple[list[float | None], list[float | None]]:
    """An edge that leaves and arrives level, as a smooth step from one node to the other."""
    shares = [step / STEPS for step in range(STEPS + 1)]
    across: list[float | None] = [start.column + share * (end.column - start.column) for share in shares]
    down: list[float | None] = [start.row + (3 * share**2 - 2 * share**3) * (end.row - start.row) for share in shares]
    return [*across, None], [*down, None]


def _lines(edges: list[tuple[Node, Node]], colour: str, width: float, opacity: float) -> go.Scatter:
    curves = [_curve(*edge) for edge in edges]
    return go.Scatter(
        x=[value for across, _ in curves for value in across],
        y=[value for _, down in curves for value in down],
        mode="lines",
        line={"color": colour, "width": width},
        opacity=opacity,
        hoverinfo="skip",
    )


def _mutations(edges: list[tuple[Node, Node]], trials: dict[str, Any]) -> go.Scatter:
    """Points in the middle of the edges, unseen, that tell what was changed."""
    texts = [broken(changes(trials[start.uid], trials[end.uid])) for start, end in edges]
    return go.Scatter(
        x=[start.column + 0.6 * (end.column - start.column) for start, end in edges],
        y=[start.row + 0.648 * (end.row - start.row) for start, end in edges],
        mode="markers",
        marker={"size": 11, "opacity": 0},
        customdata=[
            (end.uid, f"{start.uid} → {end.uid}<br>{text}") for (start, end), text in zip(edges, texts, strict=True)
        ],
        hovertemplate="%{customdata[1]}<extra></extra>",
        name="mutations",
    )


def _failed(nodes: list[Node], trials: dict[str, Any]) -> go.Scatter:
    texts = [plain(trials[node.uid]["error"] or trials[node.uid]["status"]) for node in nodes]
    return go.Scatter(
        x=[node.column for node in nodes],
        y=[node.row for node in nodes],
        mode="markers",
        marker={"size": 8, "symbol": "x-thin-open", "color": GREY},
        customdata=[(node.uid, text) for node, text in zip(nodes, texts, strict=True)],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        name="without a score",
    )


def _scored(nodes: list[Node], trials: dict[str, Any], winner: str | None, name: str) -> list[go.Scatter]:
    first = [node for node in nodes if node.uid == winner]
    ring = go.Scatter(
        x=[node.column for node in first],
        y=[node.row for node in first],
        mode="markers",
        marker={"size": 20, "symbol": "circle-open", "color": ORANGE, "line": {"width": 2.5}},
        hoverinfo="skip",
        name="winner",
    )
    points = go.Scatter(
        x=[node.column for node in nodes],
        y=[node.row for node in nodes],
        mode="markers",
        marker={
            "size": 11,
            "color": [float(trials[node.uid]["objective"]) for node in nodes],
            "coloraxis": "coloraxis",
            "symbol": [KINDS[trials[node.uid]["kind"]][1] for node in nodes],
            "line": {"color": GREY, "width": 1},
            "opacity": 1,
        },
        customdata=[
            (node.uid, f"<br>{node.hidden} more children are not shown" if node.hidden else "") for node in nodes
        ],
        hovertemplate=f"%{{customdata[0]}}<br>{plain(name)} %{{marker.color:.4~g}}%{{customdata[1]}}<extra></extra>",
        name="trials",
    )
    return [ring, points]
