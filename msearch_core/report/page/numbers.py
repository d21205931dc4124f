"""Numbers as a person writes them."""

from __future__ import annotations

import math

from msearch_core.readable import score_text

NOTHING = "\u2013"
"""Stands where there is no number."""


def missing(value: object) -> bool:
    """Whether there is nothing to show."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("NaT", "<NA>")


def score(value: object) -> str:
    """A score, or nothing."""
    return NOTHING if missing(value) else score_text(float(str(value)))


def amount(value: object) -> str:
    """A count in thousands, millions or billions."""
    if missing(value):
        return NOTHING
    number = float(f"{float(str(value)):.3g}")  # rounded first, lest 999,999 become a thousand thousands
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def duration(value: object) -> str:
    """Seconds in the unit that reads best."""
    if missing(value):
        return NOTHING
    seconds = float(str(value))
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"


def milliseconds(value: object) -> str:
    """A latency."""
    return NOTHING if missing(value) else f"{float(str(value)):.3g} ms"
