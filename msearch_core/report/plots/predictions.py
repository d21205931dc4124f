"""What a model gets right and wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from msearch_core.report.plots.style import BLUE, GREY, figure, plain

MAX_POINTS = 2_000


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> go.Figure:
    """The confusion matrix: how many examples of each class were taken for which.

    Args:
        truth: ``int (n,)`` the true classes, as places in ``classes``.
        predicted: ``int (n,)`` the predicted classes.
        classes: their names.
    """
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predicted, labels=range(len(classes)))
    names = [plain(each, 24) for each in classes]
    trace = go.Heatmap(
        z=counts / np.maximum(counts.sum(axis=1, keepdims=True), 1),
        x=names,
        y=names,
        text=counts if len(classes) <= 20 else None,
        texttemplate="%{text}" if len(classes) <= 20 else None,
        customdata=counts,
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
        hovertemplate="%{y} taken for %{x}: %{customdata}<extra></extra>",
    )
    return figure(
        [trace], x="predicted", y="true", height=min(640, 180 + 30 * len(classes)), yaxis_autorange="reversed",
        xaxis_type="category", yaxis_type="category", coloraxis_showscale=False, coloraxis_cmin=0, coloraxis_cmax=1,
    )  # fmt: skip


def residuals(truth: np.ndarray, predicted: np.ndarray) -> go.Figure:
    """Prediction against truth of a regression; on the line is right.

    Args:
        truth: ``float (n,)``.
        predicted: ``float (n,)``.
    """
    if len(truth) > MAX_POINTS:
        kept = np.random.default_rng(0).choice(len(truth), MAX_POINTS, replace=False)
        truth, predicted = truth[kept], predicted[kept]
    ends = [float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))]
    line = go.Scatter(x=ends, y=ends, mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip")
    points = go.Scatter(
        x=truth, y=predicted, mode="markers", marker={"color": BLUE, "size": 6, "opacity": 0.5},
        hovertemplate="true %{x:.4g}<br>predicted %{y:.4g}<extra></extra>",
    )  # fmt: skip
    return figure([line, points], x="true", y="predicted", showlegend=False)


def class_scores(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 and the number of examples of each class."""
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(truth, predicted, labels=range(len(classes)), zero_division=0.0)
    columns = dict(zip(("precision", "recall", "f1", "examples"), scores, strict=True))
    return pd.DataFrame({"class": list(classes), **columns})
