"""Scoring models that were trained before on other data, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from msearch_core.data.prepared import PreparedData, open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.objectives import evaluate, find_objective
from msearch_core.training import checkpoints, spec
from msearch_core.training.build import build_model
from msearch_core.training.child import use_threads
from msearch_core.training.loop import make_predict
from msearch_core.training.spec import Score, ScoreResult, ScoreSpec, TrainedModel


def run(spec_path: str) -> None:
    """Score the models of a ``ScoreSpec`` file and write ``result.json`` into its output folder."""
    asked = spec.read(ScoreSpec, Path(spec_path))
    use_threads(asked.threads)
    data = open_prepared(Path(asked.data))
    scores = []
    for model in asked.models:
        try:
            scores.append(score(asked, model, data))
        except Exception as error:
            print(f"score: {error!r}", file=sys.stderr)  # noqa: T201 (the trainer's log)
            scores.append(Score(error=spec.one_line(error)))
    spec.write(ScoreResult(scores=tuple(scores)), Path(asked.output) / spec.RESULT)


def score(asked: ScoreSpec, model: TrainedModel, data: PreparedData) -> Score:
    """Score one model on the splits asked for."""
    problem = data.problem
    objective = find_objective(problem.task, asked.objective)
    space = fitted_space(load_space(asked.space), problem)
    tower = build_model(problem, space, model.architecture, model.hyperparameters)
    checkpoints.assign_weights(tower, checkpoints.load(Path(model.weights)))
    errors: dict[str, float] = {}
    metrics: dict[str, dict[str, float]] = {}
    for name in asked.splits:
        split = data.splits[name]
        y, outputs = np.asarray(split.y), make_predict(tower, problem, split.x.dtype)(split.x)
        errors[name] = objective.standard_error(y, outputs)
        metrics[name] = spec.finite(evaluate(problem.task, y, outputs))
    return Score(objective_se=spec.finite(errors), metrics=metrics)
