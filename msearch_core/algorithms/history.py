"""What an algorithm may know of the past, in the smallest form, and which trials are the best of it."""

from __future__ import annotations

import heapq
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from msearch_core.algorithms.ranked import RankedHistory
from msearch_core.space import Architecture, Value

COLUMNS = (
    "uid", "run", "kind", "status", "objective", "direction", "metrics", "architecture", "hyperparameters",
    "parameters", "flops", "latency_ms", "model_bytes", "weights", "predictions", "cumulative_steps", "steps", "curve",
    "mutation", "parents", "rung", "teacher", "seed", "batch_size",
)  # fmt: skip
"""The columns of the trial log that a history is made from."""
LOSSES = ("log_loss", "rmse", "loss")
"""Metrics that tell trials with equal objectives apart; less is better."""

Cost = Literal["parameters", "flops", "latency_ms", "model_bytes"]
COSTS: tuple[Cost, ...] = get_args(Cost)
"""What may be minimised beside the score."""


BATCH = 1000
"""So many rows are Python objects at a time while a long log is read: they take several times what is kept of them."""
SHARED = 4096
"""How many mappings of hyperparameters are remembered, for the children that have those of their parents."""
NONE: Mapping[str, float] = {}
RANKED = 1000
"""How many trials are ranked where a cost counts beside the score."""


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
        flops: multiplications and additions of one prediction.
        latency_ms: time of one prediction.
        model_bytes: size of the weights.
        kind: as in the row.
        predictions: path of the validation outputs in the log.
        curve: the objective at evenly spaced steps, in its own sign.
        members: of an ensemble, the shares of the trials that it is made of, by uid.
        adds: what of the members is added up by these shares, what they say in the end or logits.
        parents: uids of the trials that it descends from.
        rung: the rung at which it ended as it was meant to, if it was; one that was cut short ended at none.
        teacher: uid of the trial that it learned from.
        seed: of its training.
        batch_size: examples a step.
    """

    uid: str
    score: float | None
    tie_break: float
    architecture: Architecture
    hyperparameters: Mapping[str, Value]
    parameters: int | None
    weights: str | None
    cumulative_steps: int
    flops: int | None = None
    latency_ms: float | None = None
    model_bytes: int | None = None
    kind: str = "search"
    predictions: str | None = None
    curve: tuple[float, ...] = ()
    members: Mapping[str, float] = field(default_factory=dict)
    adds: Literal["outputs", "logits"] = "outputs"
    parents: tuple[str, ...] = ()
    rung: int | None = None
    teacher: str | None = None
    seed: int | None = None
    batch_size: int | None = None


def outcomes(table: pa.Table, run: str) -> list[Outcome]:
    """The trials of one run among rows of the log.

    Args:
        table: rows with at least the columns ``COLUMNS``.
        run: scores of other runs were made on other data and cannot be compared.
    """
    wanted = table.select(list(COLUMNS))
    batches = (wanted.slice(start, BATCH).combine_chunks() for start in range(0, len(wanted), BATCH))
    return [
        _outcome(row)
        for batch in batches
        for row in batch.to_pylist()
        if row["run"] == run and (row["architecture"] or row["kind"] == "ensemble")
    ]


def _outcome(row: Mapping[str, Any]) -> Outcome:
    """What is kept of a row. Each name is in memory once, not once a trial: a history may be long."""
    sign = -1.0 if row["direction"] == "min" else 1.0
    usable = row["objective"] is not None and row["status"] in ("completed", "stopped")
    metrics = json.loads(row["metrics"] or "{}")
    made_of = json.loads(row["mutation"] or "{}") if row["kind"] == "ensemble" else {}
    loss = next((metrics[name] for name in LOSSES if metrics.get(name) is not None), float("inf"))
    return Outcome(
        uid=intern(row["uid"]),
        score=sign * row["objective"] if usable else None,
        tie_break=-loss,
        architecture=tuple(map(intern, row["architecture"] or ())),
        hyperparameters=_hyperparameters(row["hyperparameters"] or "{}"),
        weights=row["weights"],
        cumulative_steps=row["cumulative_steps"] or row["steps"] or 0,
        **{cost: row[cost] for cost in COSTS},
        kind=intern(row["kind"]),
        predictions=row["predictions"],
        curve=tuple(row["curve"] or ()),
        members=made_of.get("members", NONE),
        adds=made_of.get("adds", "outputs"),
        parents=tuple(map(intern, row["parents"] or ())),
        rung=row["rung"] if row["status"] == "completed" else None,
        teacher=row["teacher"],
        seed=row["seed"],
        batch_size=row["batch_size"],
    )


@lru_cache(maxsize=SHARED)
def _hyperparameters(text: str) -> Mapping[str, Value]:
    """One mapping for all trials that have these, with its names and words in memory once, not once a trial."""
    found: dict[str, Value] = json.loads(text)
    return {intern(name): _shared(value) for name, value in found.items()}


@lru_cache(maxsize=SHARED, typed=True)
def _shared(value: Value) -> Value:
    """The same object for the same choice, of which there are few."""
    return value


def as_recorded(score: float, direction: str) -> float:
    """The objective as a trial's row has it, from the score of its outcome, of which more is always better."""
    return 0.0 - score if direction == "min" else score


def best(history: Iterable[Outcome], count: int) -> list[Outcome]:
    """The best trials that have a score, best first; of equals, the earlier in the history."""
    if isinstance(history, RankedHistory):
        return history.best(count)
    scored = (outcome for outcome in history if outcome.score is not None)
    return heapq.nlargest(count, scored, key=lambda outcome: (outcome.score, outcome.tie_break))


def ranked_by_front(history: Sequence[Outcome], cost: Cost) -> list[Outcome]:
    """The same trials, scored by what they contribute to the trade-off between score and cost.

    Non-dominated sorting, then crowding distance within a front (NSGA-II; Deb et al. 2002). An algorithm that is
    given this history approaches the Pareto front without knowing of it. The first thousand get new scores, higher
    than any score was, the sparsest part of the first front the highest; the others stay as they are, below them.

    Args:
        history: of the scored trials, those whose cost is unknown come last.
        cost: what counts beside the score; less is better.
    """
    places = [place for place, outcome in enumerate(history) if outcome.score is not None]
    ranked = list(history)
    if not places:
        return ranked
    scores = np.array([history[place].score for place in places], float)
    costs = np.array([np.inf if (found := getattr(history[place], cost)) is None else found for place in places], float)
    fronts = _fronts(scores, costs)
    order = np.lexsort((-_crowding(scores, costs, fronts), fronts))[:RANKED]
    highest = float(scores.max())
    for rank, number in enumerate(order.tolist()):
        score = highest + (1.0 + abs(highest)) * (1.0 - rank / RANKED)
        ranked[places[number]] = replace(history[places[number]], score=score)
    return ranked


def _fronts(scores: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The number of each trial's front, from 0. In order of score, a front is left by whoever costs more than it."""
    fronts = np.zeros(len(scores), int)
    cheapest: list[float] = []  # by front, of the trials so far; ascending
    last, front = None, 0
    order = np.lexsort((costs, -scores))
    for place, point in zip(
        order.tolist(), zip(scores[order].tolist(), costs[order].tolist(), strict=True), strict=True
    ):
        if point != last:
            front = bisect_right(cheapest, point[1])
            cheapest[front : front + 1] = [point[1]]
        fronts[place], last = front, point
    return fronts


def _crowding(scores: np.ndarray, costs: np.ndarray, fronts: np.ndarray) -> np.ndarray:
    """How far each trial's neighbours in its front are apart, in shares of the whole range; infinite at its ends."""
    order = np.lexsort((scores, fronts))
    gaps = np.full(len(scores), np.inf)
    inner = np.flatnonzero(fronts[order][2:] == fronts[order][:-2]) + 1
    total = np.zeros(len(inner))
    for values in (scores, np.where(np.isfinite(costs), costs, costs[np.isfinite(costs)].max(initial=0.0))):
        span = np.ptp(values) or 1.0
        total += np.abs(values[order][inner + 1] - values[order][inner - 1]) / span
    gaps[order[inner]] = total
    return gaps
