"""Values as a person reads them, wherever they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")
"""Characters that would steer the terminal, which an error's message may hold."""


def score_text(score: float) -> str:
    """A score with four decimals, or with four digits where these would say nothing or too much.

    Args:
        score: any score or its standard error.
    """
    usual = score == 0 or 1e-3 <= abs(score) < 100
    return f"{score:.4f}" if usual else f"{score:,.4g}"


def printable(value: Any) -> str:
    """A value of a row as a cell of a table."""
    if isinstance(value, list | tuple | np.ndarray):
        return " > ".join(map(printable, value))
    if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 10 else f"{value:.4g}"
    return str(value).translate(_CONTROLS)
