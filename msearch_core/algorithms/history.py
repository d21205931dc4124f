"""What an algorithm may know of the past, in the smallest form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from msearch_core.space import Architecture, Value

COLUMNS = (
    "uid", "run", "kind", "status", "objective", "direction", "metrics", "architecture", "hyperparameters",
    "parameters", "weights", "cumulative_steps", "steps",
)  # fmt: skip
"""The columns of the trial log that a history is made from."""
LOSSES = ("log_loss", "rmse")
"""Metrics that tell trials with equal objectives apart; less is better."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished trial.

    Attributes:
        uid: the trial.
        score: the objective with its sign such that more is better; ``None`` if there is none.
        tie_break: the validation loss with its sign such that more is better; tells equal scores apart.
        architecture: names of blocks.
        hyperparameters: by name.
        parameters: the number of trainable parameters, where it was built.
        weights: path of the weights in the log, where it was trained.
        cumulative_steps: gradient steps of the trial and its ancestors.
    """

    uid: str
    score: float | None
    tie_break: float
    architecture: Architecture
    hyperparameters: Mapping[str, Value]
    parameters: int | None
    weights: str | None
    cumulative_steps: int


def outcomes(table: pa.Table, run: str) -> list[Outcome]:
    """The trials of one run among rows of the log.

    Args:
        table: rows with at least the columns ``COLUMNS``.
        run: scores of other runs were made on other data and cannot be compared.
    """
    return [
        _outcome(row) for row in table.select(list(COLUMNS)).to_pylist() if row["run"] == run and row["architecture"]
    ]


def _outcome(row: Mapping[str, Any]) -> Outcome:
    sign = -1.0 if row["direction"] == "min" else 1.0
    usable = row["objective"] is not None and row["status"] in ("completed", "stopped")
    metrics = json.loads(row["metrics"] or "{}")
    loss = next((metrics[name] for name in LOSSES if metrics.get(name) is not None), float("inf"))
    return Outcome(
        uid=row["uid"],
        score=sign * row["objective"] if usable else None,
        tie_break=-loss,
        architecture=tuple(row["architecture"]),
        hyperparameters=json.loads(row["hyperparameters"] or "{}"),
        parameters=row["parameters"],
        weights=row["weights"],
        cumulative_steps=row["cumulative_steps"] or row["steps"] or 0,
    )


def best(history: Iterable[Outcome], count: int) -> list[Outcome]:
    """The best trials that have a score, best first; of equals, the earlier in the history."""
    scored = [(outcome.score, outcome.tie_break, outcome) for outcome in history if outcome.score is not None]
    return [outcome for *_, outcome in sorted(scored, key=lambda each: each[:2], reverse=True)[:count]]
