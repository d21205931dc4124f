"""What a model gets right and wrong; see `msearch_core.answers` for what is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.plots.style import BLUE, GREY, figure, plain

MOST_NAMES = 40
"""An axis names every class up to so many, and every other one beyond."""


def predictions(answers: Mapping[str, Any]) -> go.Figure | None:
    """The confusion matrix of a classification, truth and prediction of a regression; of labels, a table says it."""
    if answers["task"] == "classification":
        return confusion(np.array(answers["counts"]), answers["labels"])
    if answers["task"] == "regression":
        return residuals(np.array(answers["truth"]), np.array(answers["predicted"]))
    return None


def confusion(counts: np.ndarray, classes: Sequence[str]) -> go.Figure:
    """The confusion matrix: how many examples of each class were taken for which.

    Args:
        counts: ``int (classes, classes)``, true classes in rows.
        classes: their names.
    """
    few = len(classes) <= 20
    said = [
        [f"{plain(true)} taken for {plain(taken)}: {count}" for taken, count in zip(classes, row, strict=True)]
        for true, row in zip(classes, counts.tolist(), strict=True)
    ]
    # By number, since names that are cut short may be alike.
    places = list(range(len(classes)))
    trace = go.Heatmap(
        z=counts / np.maximum(counts.sum(axis=1, keepdims=True), 1),
        x=places,
        y=places,
        text=counts if few else None,
        texttemplate="%{text}" if few else None,
        hovertext=said,
        hoverinfo="text",
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
    )
    named = places[:: 1 + len(classes) // MOST_NAMES]
    ticks = {"tickvals": named, "ticktext": [plain(classes[place], 24) for place in named]}
    return figure(
        [trace], x="predicted", y="true", height=min(640, 180 + 30 * len(classes)), yaxis_autorange="reversed",
        xaxis=ticks, yaxis=ticks, coloraxis_showscale=False, coloraxis_cmin=0, coloraxis_cmax=1,
    )  # fmt: skip


def residuals(truth: np.ndarray, predicted: np.ndarray) -> go.Figure:
    """What is missing from each prediction of a regression, by its truth; on the line is right.

    Args:
        truth: ``float (n,)``.
        predicted: ``float (n,)``.
    """
    ends = [float(truth.min()), float(truth.max())] if len(truth) else [0.0, 0.0]
    line = go.Scatter(x=ends, y=[0, 0], mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip")
    points = go.Scatter(
        x=truth, y=predicted - truth, mode="markers", marker={"color": BLUE, "size": 6, "opacity": 0.5},
        hovertemplate="true %{x:.4g}<br>off by %{y:+.4g}<extra></extra>",
    )  # fmt: skip
    return figure([line, points], x="true", y="predicted minus true", showlegend=False)


def class_scores(answers: Mapping[str, Any]) -> pd.DataFrame:
    """Precision, recall, F1 and the number of examples of each class or label; empty for numbers.

    Rare classes that were counted together have none: which of them was taken for which is not known.
    """
    if answers["task"] == "regression":
        return pd.DataFrame(columns=["class", "precision", "recall", "f1", "examples"])
    counts = np.array(answers["counts"])
    if answers["task"] == "classification":
        hits = np.diag(counts)
        wrongly, missed = counts.sum(axis=0) - hits, counts.sum(axis=1) - hits
    else:
        hits, wrongly, missed = counts.T
    columns = {
        "precision": hits / np.maximum(hits + wrongly, 1),
        "recall": hits / np.maximum(hits + missed, 1),
        "f1": 2 * hits / np.maximum(2 * hits + wrongly + missed, 1),
        "examples": hits + missed,
    }
    table = pd.DataFrame({"class": list(answers["labels"]), **columns})
    together = answers["task"] == "classification" and answers.get("others")
    return table.iloc[:-1] if together else table
