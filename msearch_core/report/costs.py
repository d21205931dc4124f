"""Where the time of trials went."""

from __future__ import annotations

import pandas as pd

from msearch_core.report.scores import decoded

PHASES = (
    "read", "propose", "claim", "process", "data", "build", "teacher", "base", "trace", "warm_start", "train",
    "evaluate", "select", "checkpoint", "publish",
)  # fmt: skip
"""A trial's phases in their order; a row has those that its kind of trial has."""


def phase_costs(frame: pd.DataFrame) -> pd.DataFrame:
    """The median seconds of each phase, and its share of the time of all trials.

    Args:
        frame: trials of one run.

    Returns:
        One row a phase in the order of ``PHASES``, then any others: ``phase``, ``trials`` that had it, ``median``
        seconds of those, and ``share`` of all seconds that are on record.
    """
    spent = pd.DataFrame([dict(decoded(each)) for each in frame["timings"]], dtype=float)
    names = [name for name in PHASES if name in spent] + [name for name in spent if name not in PHASES]
    spent = spent[names]
    whole = spent.sum().sum()
    return pd.DataFrame(
        {
            "phase": names,
            "trials": spent.count().to_numpy(int),
            "median": spent.median().to_numpy(float),
            "share": (spent.sum() / whole if whole else spent.sum()).to_numpy(float),
        }
    )
