"""The training loop: steps over batches drawn beforehand, many at a time.

Between calls it looks at the clock and at signals, evaluates at evenly spaced steps and writes checkpoints. How the
steps are cut into calls does not change the result, so a resumed trial ends with the very weights of an
uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from msearch_core.algorithms.early_stopping import EVALUATIONS
from msearch_core.data.problem import Problem, Split
from msearch_core.objectives import Objective, loss
from msearch_core.training.feed import Feed, take_rows
from msearch_core.training.steps import TrainSteps

SECONDS_BETWEEN_LOOKS = 0.3
PREDICTION_BATCH = 1024
PREDICTION_BYTES = 64 << 20

Outputs: TypeAlias = dict[str, np.ndarray]

Ending = Literal["completed", "stopped", "diverged", "preempted"]


@dataclass
class Signals:
    """What others ask of a trial under way; signal handlers set it."""

    finish: bool = False
    preempt: bool = False


@dataclass
class Progress:
    """How far a trial has come: with the weights and the optimizer's state, all that a resumed trial needs.

    Attributes:
        step: gradient steps done.
        curve: the objective at each evaluation.
        best: the best evaluation's (objective with larger as better, loss with larger as better).
        best_weights: the weights at that evaluation, in the order of ``model.weights``.
        best_outputs: what the model said then; not kept in a checkpoint.
        seconds: spent on gradient steps.
        loss: the mean of what training lowers, over the steps before the last evaluation and after the one before.
        begun: the step at which the trial began, where it goes on from another one.
    """

    step: int = 0
    curve: list[float] = field(default_factory=list)
    best: tuple[float, float] | None = None
    best_weights: list[np.ndarray] = field(default_factory=list)
    best_outputs: Outputs | None = None
    seconds: float = 0.0
    loss: float | None = None
    begun: int = 0


@dataclass(frozen=True)
class TrainingRun:
    """What is trained, on what, and for how long.

    Attributes:
        model: as ``build_model`` makes it.
        train_steps: takes gradient steps on it.
        predict: as ``make_predict`` makes it.
        feed: what is learned from, in order.
        problem: what is learned.
        validation: what is evaluated on.
        objective: which evaluation is the best.
        steps: gradient steps of a whole training.
        save: writes a checkpoint.
        save_seconds: how often.
        deadline: when training stops, on ``time.monotonic``'s clock.
        timed: a context manager that adds what happens in it to the phase of that name.
        report: is told of the progress after each evaluation.
        stop_at: after so many steps training ends as if a signal had ended it.
        evaluations: the training ends with so many of a whole one's.
    """

    model: Any
    train_steps: TrainSteps
    predict: Callable[[np.ndarray], Outputs]
    feed: Feed
    problem: Problem
    validation: Split
    objective: Objective
    steps: int
    save: Callable[[], None]
    save_seconds: float
    deadline: float
    timed: Callable[[str], AbstractContextManager[None]]
    report: Callable[[Progress], None] = lambda _: None
    stop_at: float = math.inf
    evaluations: int = EVALUATIONS


@dataclass(frozen=True)
class Fit:
    """How training ended. Unless it was preempted or diverged the model holds the weights of its best evaluation.

    Attributes:
        outputs: by target, as `make_predict` says, on the validation split and by those weights.
    """

    ending: Ending
    error: str | None
    outputs: Outputs | None


def as_outputs(problem: Problem, logits: Mapping[str, Any]) -> dict[str, Any]:
    """Probabilities, or numbers without their last axis, from what a model says, by target."""
    heads = {"classification": tf.nn.softmax, "multilabel": tf.sigmoid, "regression": lambda numbers: numbers[..., 0]}
    return {target.name: heads[target.task](logits[target.name]) for target in problem.targets}


def make_predict(model: Any, problem: Problem, dtype: Any, *, logits: bool = False) -> Callable[[np.ndarray], Outputs]:
    """A function from encoded examples to outputs by target, ``float32``.

    Probabilities ``(examples, labels)`` or numbers ``(examples,)``; ``(examples, time, labels)`` or
    ``(examples, time)`` where each step has a target.

    Args:
        model: as ``build_model`` makes it.
        problem: the targets.
        dtype: of the encoded examples.
        logits: leave what the model says as it is, ``(examples, labels)`` or ``(examples, 1)``.
    """

    @tf.function(  # type: ignore[untyped-decorator]
        autograph=False, input_signature=[tf.TensorSpec((None, *problem.input_shape), dtype)]
    )
    def predict(x: Any) -> Any:
        outputs = model(tf.cast(x, tf.float32), training=False)
        return outputs if logits else as_outputs(problem, outputs)

    size = min(PREDICTION_BATCH, max(1, PREDICTION_BYTES // (4 * math.prod(problem.input_shape))))

    def predict_all(x: np.ndarray) -> Outputs:
        starts = range(0, len(x), size)
        parts = [predict(take_rows(x, np.arange(start, min(start + size, len(x))))) for start in starts]
        return {
            target.name: np.concatenate([part[target.name].numpy() for part in parts]) for target in problem.targets
        }

    return predict_all


def fit(run: TrainingRun, progress: Progress, signals: Signals) -> Fit:
    """Train to the last step, or until a signal, the deadline or a loss that is not finite.

    One that ends before a whole training would leaves a checkpoint from which another trial can go on.

    Args:
        run: what is trained.
        progress: where to start; kept up to date.
        signals: looked at between calls.
    """
    points = [round(run.steps * (each + 1) / EVALUATIONS) for each in range(EVALUATIONS)]
    last = max(1, points[run.evaluations - 1])
    chunk, next_save = 1, time.monotonic() + run.save_seconds
    ending: Ending = "completed"
    error = None
    losses, since = 0.0, progress.step
    run.train_steps.gather()
    while progress.step < last:
        if signals.preempt:
            _save(run)
            return Fit("preempted", None, None)
        told = signals.finish or progress.step >= run.stop_at
        if told or time.monotonic() > run.deadline:
            ending, error = "stopped", None if told else "time limit"
            break
        if time.monotonic() > next_save:
            _save(run)
            next_save = time.monotonic() + run.save_seconds
        point = next(each for each in points if each > progress.step)
        stop = int(min(point, progress.step + chunk, run.feed.end(progress.step), run.stop_at))
        with run.timed("train"):
            began = time.monotonic()
            total = run.train_steps(run.feed.take(progress.step, stop))
            seconds = time.monotonic() - began
        progress.seconds += seconds
        pace = SECONDS_BETWEEN_LOOKS * (stop - progress.step) / max(seconds, 1e-6)
        chunk = max(1, min(8 * chunk, round(pace)))
        progress.step = stop
        losses += total
        if not math.isfinite(total):
            return Fit("diverged", f"the loss is not finite by step {stop}", None)
        if stop == point:
            with run.timed("evaluate"):
                finite = _evaluate(run, progress)
            if not finite:
                return Fit("diverged", f"the outputs or their score are not finite at step {stop}", None)
            progress.loss, losses, since = losses / (stop - since), 0.0, stop
            run.report(progress)
    if ending == "completed" and last < run.steps:
        _save(run)
    with run.timed("evaluate"):
        if ending == "stopped" and (progress.step not in points or progress.best is None):
            _evaluate(run, progress)
        if progress.best is None:
            return Fit("diverged", f"the model has no finite score at step {progress.step}", None)
        for variable, value in zip(run.model.weights, progress.best_weights, strict=True):
            variable.assign(value)
        outputs = progress.best_outputs or run.predict(run.validation.x)
    return Fit(ending, error, outputs)


def _save(run: TrainingRun) -> None:
    """Write a checkpoint of the model as it is now."""
    with run.timed("checkpoint"):
        run.train_steps.scatter()
        run.save()


def _evaluate(run: TrainingRun, progress: Progress) -> bool:
    """Add a point to the curve and keep the weights if they are the best so far; ``False`` if not finite."""
    run.train_steps.scatter()
    outputs = run.predict(run.validation.x)
    if not all(np.isfinite(values).all() for values in outputs.values()):
        return False
    value = run.objective.score(run.validation.y, outputs, run.validation.weight)
    tie_break = loss(run.problem, run.validation.y, outputs, run.validation.weight)
    if not (math.isfinite(value) and math.isfinite(tie_break)):
        return False
    score = (value if run.objective.direction == "max" else -value, -tie_break)
    progress.curve.append(value)
    if progress.best is None or score > progress.best:
        progress.best = score
        progress.best_weights = [variable.value.numpy() for variable in run.model.weights]
        progress.best_outputs = outputs
    return True
