"""What the page's script works with, packed small.

It stands in the page as Base64 of deflated JSON: a third of the size, and nothing that a row holds can end the script.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from plotly.io._json import to_json_plotly
from plotly.offline import get_plotlyjs

from msearch_core.report.plots.style import template

LEFT_OUT = ("history", "extra", "schema_version", "inheritance", "search", "space_fingerprint", "versions")
"""Columns that say nothing to a reader, or too much."""


def packed(text: str) -> str:
    """Deflated, in Base64."""
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def packed_library() -> str:
    """The code of Plotly for the browser."""
    return packed(get_plotlyjs())


def payload(charts: Mapping[str, Mapping[str, go.Figure]], rows: pd.DataFrame) -> str:
    """All charts, the two looks, and the rows that a reader can open."""
    return (
        '{"charts":{'
        + ",".join(f"{json.dumps(name)}:{_alternatives(figures)}" for name, figures in charts.items())
        + f'}},"looks":{{"light":{_look("light")},"dark":{_look("dark")}}}'
        + f',"rows":{rows_json(rows)}}}'
    )


def _look(ground: Literal["light", "dark"]) -> str:
    return json.dumps(template(ground).to_plotly_json())


def _alternatives(figures: Mapping[str, go.Figure]) -> str:
    return "[" + ",".join(f"[{json.dumps(label)},{figure_json(each)}]" for label, each in figures.items()) + "]"


def figure_json(figure: go.Figure) -> str:
    """A figure without its look, which the page adds for the reader's ground."""
    bare = figure.to_plotly_json()
    del bare["layout"]["template"]
    return str(to_json_plotly(bare))


def rows_json(rows: pd.DataFrame) -> str:
    """Rows as ``{"columns": [...], "data": [[...], ...]}``; times as texts, not-a-number as null."""
    kept = rows.drop(columns=[name for name in LEFT_OUT if name in rows.columns])
    text: str = kept.to_json(orient="split", index=False, date_format="iso", date_unit="s", double_precision=15)
    return text


def shown_uids(charts: Mapping[str, Mapping[str, go.Figure]]) -> set[str]:
    """The trials that can be pointed at in a chart: those whose name comes first in a point's own data."""
    return {
        str(point[0])
        for figures in charts.values()
        for figure in figures.values()
        for trace in figure.data
        for point in _points(trace)
        if len(point)
    }


def _points(trace: Any) -> Iterable[Any]:
    custom = getattr(trace, "customdata", None)
    return () if custom is None or trace.type == "heatmap" else custom
