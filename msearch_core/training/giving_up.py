"""A trial that one trainer after another dies at is given up. Its row is no sign that trainers get anything done."""

from __future__ import annotations

import re

import pyarrow as pa

from msearch_core.training.spec import TrialResult


def given_up(lost: int) -> TrialResult:
    """What is recorded of a trial that so many trainers died at."""
    return TrialResult(status="failed", error=f"lost {lost} trainers")


def worked_on(rows: pa.Table) -> int:
    """How many trials a trainer brought to an end, rather than gave up.

    Args:
        rows: of the log, with the column ``error``.
    """
    return sum(not re.fullmatch(r"lost \d+ trainers", error or "") for error in rows.column("error").to_pylist())
