"""One look for all figures, on light and on dark ground, for any kind of colour vision.

Kinds differ in colour and in symbol; scores run through one hue from pale to strong. The colours of the figures are
after Okabe and Ito, "Color Universal Design" (2008), made a little calmer, so that each stands out from both grounds.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, PINK, SKY, GREY = "#3b7fc4", "#d97b29", "#2a9d78", "#c46a9b", "#4fa6d8", "#8a8f98"

KINDS: dict[str, tuple[str, str]] = {
    "search": (BLUE, "circle"),
    "seed": (GREY, "square"),
    "promote": (GREEN, "triangle-up"),
    "ensemble": (PINK, "star"),
    "distill": (ORANGE, "diamond"),
    "rescore": (SKY, "hexagon"),
}
"""Colour and symbol of each kind of trial."""

STATUSES: dict[str, str] = {
    "completed": BLUE,
    "stopped": SKY,
    "infeasible": GREY,
    "diverged": ORANGE,
    "oom": PINK,
    "failed": "#c4483b",
}
"""Colour of each status."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_GROUNDS = {
    "light": {
        "ink": "#33373d", "grid": "#e9e6e0", "line": "#b9b5ad", "card": "#ffffff",
        "scale": ["#dbe4ee", "#8fb4d9", "#3b7fc4", "#0d3d73"],
    },
    "dark": {
        "ink": "#c9ccd1", "grid": "#2a2f36", "line": "#4d545e", "card": "#1a1e24",
        "scale": ["#2b3745", "#37618c", "#5fa3e0", "#d9ecff"],
    },
}  # fmt: skip


def template(ground: Literal["light", "dark"] = "light") -> go.layout.Template:
    """The look of every figure on light or on dark ground."""
    colours = _GROUNDS[ground]
    axis = {
        "gridcolor": colours["grid"],
        "linecolor": colours["line"],
        "zerolinecolor": colours["line"],
        "zerolinewidth": 1,
        "automargin": True,
        "title": {"standoff": 10, "font": {"size": 13}},
        "ticks": "",
    }
    return go.layout.Template(
        layout={
            "font": {"family": _FONT, "size": 13, "color": colours["ink"]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": [BLUE, ORANGE, GREEN, PINK, SKY, GREY],
            "xaxis": axis,
            "yaxis": axis,
            "coloraxis": {"colorscale": colours["scale"], "colorbar": {"thickness": 8, "outlinewidth": 0}},
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
            "margin": {"l": 12, "r": 12, "t": 12, "b": 12},
            "hoverlabel": {
                "bgcolor": colours["card"],
                "bordercolor": colours["line"],
                "font": {"family": _FONT, "size": 12, "color": colours["ink"]},
                "align": "left",
            },
            "hovermode": "closest",
        }
    )


def figure(traces: Sequence[Any], *, x: str = "", y: str = "", height: int = 380, **layout: Any) -> go.Figure:
    """A figure in the common look.

    Args:
        traces: Plotly traces.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        height: in pixels.
        layout: further settings of Plotly's layout.
    """
    made = go.Figure(traces)
    made.update_layout(
        template=template(),
        height=height,
        xaxis_title_text=plain(x),
        yaxis_title_text=plain(y),
        dragmode=False,
        **layout,
    )
    return made


def plain(text: object, length: int = 90) -> str:
    """Text from the log so that Plotly shows it as it is, cut to a length that fits."""
    shown = str(text)
    return html.escape(shown if len(shown) <= length else shown[: length - 1] + "…")


def broken(texts: Sequence[str], length: int = 90) -> str:
    """Texts from the log, one a line."""
    return "<br>".join(plain(each, length) for each in texts)


def note(text: str) -> dict[str, Any]:
    """An annotation that stands in for a figure that has nothing to show."""
    return {"text": text, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}


def empty(why: str, height: int = 160) -> go.Figure:
    """A figure that says why there is nothing to see."""
    text = "<br>".join(textwrap.wrap(why, 36))
    return figure([], height=height, annotations=[note(text)], xaxis_visible=False, yaxis_visible=False)
