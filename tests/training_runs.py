"""How the tests of training build and train a model."""

from __future__ import annotations

import contextlib
import math

import keras

from msearch_core.data.prepared import PreparedData
from msearch_core.objectives import find_objective
from msearch_core.training.build import build_model
from msearch_core.training.feed import make_feed
from msearch_core.training.loop import (
    Fit,
    Progress,
    Signals,
    TrainingRun,
    fit,
    make_predict,
)
from msearch_core.training.steps import TrainSteps, make_optimizer

HYPERPARAMETERS = {"optimizer": "adam", "learning_rate": 3e-3, "decay": "cosine", "l2": 1e-4, "clip_norm": 1.0}


def trained(
    data: PreparedData, model, steps: int, hyperparameters=HYPERPARAMETERS, deadline=math.inf, in_memory=1 << 30
) -> tuple[Fit, Progress]:
    optimizer = make_optimizer(hyperparameters, steps)
    train = data.splits["train"]
    run = TrainingRun(
        model=model,
        train_steps=TrainSteps(model, optimizer, data.problem, train, hyperparameters, 32),
        predict=make_predict(model, data.problem, train.x.dtype),
        feed=make_feed(train, 0, 32, steps, in_memory),
        problem=data.problem,
        validation=data.splits["validation"],
        objective=find_objective(data.problem),
        steps=steps,
        save=lambda: None,
        save_seconds=math.inf,
        deadline=deadline,
        timed=lambda phase: contextlib.nullcontext(),
    )
    progress = Progress()
    ended = fit(run, progress, Signals())
    return ended, progress


def of(data: PreparedData, arrays):
    """The array of the only target."""
    return arrays[data.problem.targets[0].name]


def build(data: PreparedData, space, architecture, **hyperparameters):
    keras.utils.set_random_seed(0)
    return build_model(data.problem, space, architecture, hyperparameters)
