"""Fewer points where more would only cover each other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from msearch_core.report.scores import SCORED, best_first, best_so_far

MAX_POINTS = 2_000
BEST = 200


def thin(frame: pd.DataFrame, limit: int = MAX_POINTS) -> pd.DataFrame:
    """A sample that looks like all: every record and the best trials, and of the rest an even choice.

    Args:
        frame: trials in the order in which they are to be drawn, with the index 0, 1, ...
        limit: the number of rows from which on rows are left out.
    """
    if len(frame) <= limit:
        return frame
    so_far = best_so_far(frame)
    records = (frame["objective"] == so_far) & (so_far != so_far.shift()) & frame["status"].isin(SCORED)
    kept = set(frame.index[records]) | set(best_first(frame).head(BEST).index)
    others = frame.index.difference(list(kept))
    even = np.linspace(0, len(others) - 1, max(0, limit - len(kept))).round().astype(int)
    return frame.loc[sorted(kept | set(others[even]))]
