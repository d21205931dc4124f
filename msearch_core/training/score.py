"""Scoring models that were trained before on other data, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from msearch_core.data.prepared import PreparedData, open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.objectives import evaluate, find_objective
from msearch_core.training import spec
from msearch_core.training.child import use_threads
from msearch_core.training.ensemble import load_members
from msearch_core.training.loop import make_predict
from msearch_core.training.spec import Member, Score, ScoreResult, ScoreSpec


def run(spec_path: str) -> None:
    """Score the models of a ``ScoreSpec`` file and write ``result.json`` into its output folder."""
    asked = spec.read(ScoreSpec, Path(spec_path))
    use_threads(asked.threads)
    data = open_prepared(Path(asked.data))
    scores = []
    for members in asked.models:
        try:
            scores.append(score(asked, members, data))
        except Exception as error:
            print(f"score: {error!r}", file=sys.stderr)  # noqa: T201 (the trainer's log)
            scores.append(Score(error=spec.one_line(error)))
    spec.write(ScoreResult(scores=tuple(scores)), Path(asked.output) / spec.RESULT)


def score(asked: ScoreSpec, members: Sequence[Member], data: PreparedData) -> Score:
    """Score one model, or one ensemble, on the splits asked for."""
    problem = data.problem
    objective = find_objective(problem, asked.objective)
    tower = load_members(problem, fitted_space(load_space(asked.space), problem), members)
    objectives: dict[str, float] = {}
    errors: dict[str, float] = {}
    metrics: dict[str, dict[str, float]] = {}
    for name in asked.splits:
        split = data.splits[name]
        outputs = make_predict(tower, problem, split.x.dtype)(split.x)
        objectives[name] = objective.score(split.y, outputs, split.weight)
        errors[name] = objective.standard_error(split.y, outputs, split.weight, split.group)
        metrics[name] = spec.finite(evaluate(problem, split.y, outputs, split.weight))
    return Score(objective=spec.finite(objectives), objective_se=spec.finite(errors), metrics=metrics)
