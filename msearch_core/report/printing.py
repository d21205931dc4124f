"""Comparisons and groups as text: for a terminal, for a program, for a spreadsheet."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from msearch_core.readable import printable
from msearch_core.report.effects import MIN_PRESENT, MIN_TRIALS, TRIALS_PER_FEATURE
from msearch_core.trial import dumps

_LABELS = {
    "low": "95 % from",
    "high": "95 % to",
    "latency_ms": "latency, ms",
    "model_bytes": "weights, bytes",
    "cumulative_steps": "steps with ancestors",
    "train_seconds": "training, s",
    "ancestor_seconds": "training with ancestors, s",
    "architecture_difference": "architecture against the first",
    "hyperparameter_difference": "hyperparameters against the first",
}

NO_EFFECTS = (
    f"what each block does for the score is not estimated: that takes {MIN_TRIALS} trials with a score, "
    f"and {TRIALS_PER_FEATURE} for each block that {MIN_PRESENT} or more have and as many lack"
)
"""What is said where `block_effects` finds too few trials."""


def comparison_table(compared: pd.DataFrame) -> Table:
    """Trials side by side, a column each; what is the same nowhere on record is left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_lines=False)
    table.add_column("")
    records = compared.to_dict("records")
    for record in records:
        table.add_column(str(record["uid"]), overflow="fold")
    for name in compared.columns.drop("uid"):
        cells = [_cell(record[name]) for record in records]
        if any(cells):
            table.add_row(_label(str(name)), *cells)
    return table


def groups_table(found: pd.DataFrame) -> Table:
    """One line a group."""
    table = Table(*map(_label, found.columns), box=None, padding=(0, 2, 0, 0), header_style="bold")
    for row in found.itertuples(index=False):
        table.add_row(*map(printable, row))
    return table


def as_json(frame: pd.DataFrame) -> str:
    """Rows as a JSON array of objects; what is not on record is null."""
    return json.dumps(_plain(frame.to_dict("records")), indent=1, ensure_ascii=False)


def as_csv(frame: pd.DataFrame) -> str:
    """Rows as CSV; lists and objects as JSON within a cell."""
    return str(frame.map(lambda value: dumps(value) if isinstance(value, list | dict) else value).to_csv(index=False))


def _label(name: str) -> str:
    return _LABELS.get(name) or name.replace("seconds_", "seconds to ").replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, dict):
        return "\n".join(f"{name} {printable(each)}" for name, each in value.items())
    return printable(value)


def _plain(value: Any) -> Any:
    """The value with what JSON knows alone."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
