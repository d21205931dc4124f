"""The in-memory training loop: many steps in one TensorFlow call, over batches drawn beforehand.

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
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from msearch_core.data.problem import Problem, Split
from msearch_core.objectives import LOSS, OBJECTIVES, Objective
from msearch_core.space import Value
from msearch_core.training.build import is_kernel

EVALUATIONS = 10
SECONDS_BETWEEN_LOOKS = 0.3
PREDICTION_BATCH = 1024

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
        seconds: spent on gradient steps.
    """

    step: int = 0
    curve: list[float] = field(default_factory=list)
    best: tuple[float, float] | None = None
    best_weights: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainingRun:
    """What is trained, on what, and for how long.

    Attributes:
        model: as ``build_model`` makes it.
        train_steps: as ``make_train_steps`` makes it.
        predict: as ``make_predict`` makes it.
        train: what is learned from.
        validation: what is evaluated on.
        objective: which evaluation is the best.
        seed: of the order of the examples.
        steps: gradient steps in all.
        batch_size: examples a step.
        save: writes a checkpoint.
        save_seconds: how often.
        deadline: when training stops, on ``time.monotonic``'s clock.
        timed: a context manager that adds what happens in it to the phase of that name.
    """

    model: Any
    train_steps: Any
    predict: Callable[[Any], np.ndarray]
    train: Split
    validation: Split
    objective: Objective
    seed: int
    steps: int
    batch_size: int
    save: Callable[[], None]
    save_seconds: float
    deadline: float
    timed: Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fit:
    """How training ended. Unless it was preempted or diverged the model holds the weights of its best evaluation.

    Attributes:
        outputs: ``float32 (examples, classes)`` probabilities or ``float32 (examples,)`` numbers on the validation
            split, by those weights.
    """

    ending: Ending
    error: str | None
    outputs: np.ndarray | None


def make_optimizer(hyperparameters: Mapping[str, Value], steps: int) -> Any:
    """A Keras optimizer.

    Args:
        hyperparameters: ``optimizer`` (adam, adamw, sgd with Nesterov momentum 0.9, rmsprop), ``learning_rate``,
            ``decay`` (none, or cosine to zero at the last step) and ``clip_norm`` (of all gradients together; 0 for
            none).
        steps: gradient steps in all.

    Raises:
        KeyError: the optimizer is unknown.
    """
    rate: Any = float(hyperparameters.get("learning_rate", 1e-3))
    if hyperparameters.get("decay", "none") == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    common = {"learning_rate": rate, "global_clipnorm": float(hyperparameters.get("clip_norm", 0.0)) or None}
    makers: dict[str, Callable[[], Any]] = {
        "adam": lambda: keras.optimizers.Adam(**common),
        "adamw": lambda: keras.optimizers.AdamW(weight_decay=0.01, **common),
        "sgd": lambda: keras.optimizers.SGD(momentum=0.9, nesterov=True, **common),
        "rmsprop": lambda: keras.optimizers.RMSprop(**common),
    }
    return makers[str(hyperparameters.get("optimizer", "adam"))]()


def batch_indices(seed: int, examples: int, batch_size: int, start: int, stop: int) -> np.ndarray:
    """The examples that steps ``start`` to ``stop`` learn from: ``int32 (stop - start, batch_size)``.

    One endless stream of shuffled epochs is cut into batches, so any part of it can be drawn by itself.
    """
    first, last = start * batch_size, stop * batch_size
    epochs = range(first // examples, -(-last // examples))
    stream = np.concatenate([np.random.default_rng([seed, epoch]).permutation(examples) for epoch in epochs])
    offset = first - epochs.start * examples
    return stream[offset : offset + last - first].astype(np.int32).reshape(stop - start, batch_size)


def loss_function(problem: Problem) -> Callable[[Any, Any], Any]:
    """The mean loss of ``(y, outputs)``: cross-entropy of logits, or squared error in standard deviations."""
    if problem.task == "classification":
        return lambda y, outputs: tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs)
        )
    return lambda y, outputs: tf.reduce_mean(tf.square((outputs[:, 0] - y) / problem.target_scale))


def make_train_steps(model: Any, optimizer: Any, problem: Problem, train: Split, l2: float) -> Any:
    """A TensorFlow function ``(x, y, batches) -> sum of the losses`` that takes one step a row of ``batches``.

    The data are arguments: a captured constant would never be freed.
    """
    loss = loss_function(problem)
    kernels = [variable for variable in model.trainable_variables if is_kernel(variable)]
    optimizer.build(model.trainable_variables)

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((None, *problem.input_shape), train.x.dtype),
            tf.TensorSpec((None,), train.y.dtype),
            tf.TensorSpec((None, None), tf.int32),
        ]
    )
    def train_steps(x: Any, y: Any, batches: Any) -> Any:
        total = tf.zeros(())
        for step in tf.range(tf.shape(batches)[0]):
            chosen = batches[step]
            with tf.GradientTape() as tape:
                outputs = model(tf.cast(tf.gather(x, chosen), tf.float32), training=True)
                value = loss(tf.gather(y, chosen), outputs) + sum(model.losses)
                if l2:
                    value += l2 * tf.add_n([tf.reduce_sum(tf.square(kernel)) for kernel in kernels])
            gradients = tape.gradient(value, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            total += value
        return total

    return train_steps


def make_predict(model: Any, problem: Problem, dtype: Any) -> Callable[[Any], np.ndarray]:
    """A function from encoded examples to probabilities ``(examples, classes)`` or numbers ``(examples,)``, float32."""

    @tf.function(input_signature=[tf.TensorSpec((None, *problem.input_shape), dtype)])  # type: ignore[untyped-decorator]
    def predict(x: Any) -> Any:
        outputs = model(tf.cast(x, tf.float32), training=False)
        return tf.nn.softmax(outputs) if problem.task == "classification" else outputs[:, 0]

    def predict_all(x: Any) -> np.ndarray:
        parts = [predict(x[i : i + PREDICTION_BATCH]).numpy() for i in range(0, len(x), PREDICTION_BATCH)]
        return np.concatenate(parts)

    return predict_all


def fit(run: TrainingRun, progress: Progress, signals: Signals) -> Fit:
    """Train to the last step, or until a signal, the deadline or a loss that is not finite.

    Args:
        run: what is trained.
        progress: where to start; kept up to date.
        signals: looked at between calls.
    """
    x, y = tf.constant(run.train.x), tf.constant(run.train.y)
    validation_x = tf.constant(run.validation.x)
    points = [round(run.steps * (each + 1) / EVALUATIONS) for each in range(EVALUATIONS)]
    chunk, next_save = 1, time.monotonic() + run.save_seconds
    ending: Ending = "completed"
    error = None
    while progress.step < run.steps:
        if signals.preempt:
            with run.timed("checkpoint"):
                run.save()
            return Fit("preempted", None, None)
        if signals.finish or time.monotonic() > run.deadline:
            ending, error = "stopped", None if signals.finish else "time limit"
            break
        if time.monotonic() > next_save:
            with run.timed("checkpoint"):
                run.save()
            next_save = time.monotonic() + run.save_seconds
        point = next(each for each in points if each > progress.step)
        stop = min(point, progress.step + chunk)
        with run.timed("train"):
            began = time.monotonic()
            batches = batch_indices(run.seed, len(run.train.y), run.batch_size, progress.step, stop)
            total = float(run.train_steps(x, y, tf.constant(batches)))
            seconds = time.monotonic() - began
        progress.seconds += seconds
        pace = SECONDS_BETWEEN_LOOKS * (stop - progress.step) / max(seconds, 1e-6)
        chunk = max(1, min(8 * chunk, round(pace)))
        progress.step = stop
        if not math.isfinite(total):
            return Fit("diverged", f"the loss is not finite by step {stop}", None)
        if stop == point:
            with run.timed("evaluate"):
                finite = _evaluate(run, run.predict(validation_x), progress)
            if not finite:
                return Fit("diverged", f"the outputs or their score are not finite at step {stop}", None)
    with run.timed("evaluate"):
        if ending == "stopped" and (progress.step not in points or progress.best is None):
            _evaluate(run, run.predict(validation_x), progress)
        if progress.best is None:
            return Fit("diverged", f"the model has no finite score at step {progress.step}", None)
        for variable, value in zip(run.model.weights, progress.best_weights, strict=True):
            variable.assign(value)
        outputs = run.predict(validation_x)
    return Fit(ending, error, outputs)


def _evaluate(run: TrainingRun, outputs: np.ndarray, progress: Progress) -> bool:
    """Add a point to the curve and keep the weights if they are the best so far; ``False`` if not finite."""
    if not np.isfinite(outputs).all():
        return False
    value = run.objective.score(run.validation.y, outputs)
    loss = OBJECTIVES[LOSS[run.objective.task]].score(run.validation.y, outputs)
    if not (math.isfinite(value) and math.isfinite(loss)):
        return False
    score = (value if run.objective.direction == "max" else -value, -loss)
    progress.curve.append(value)
    if progress.best is None or score > progress.best:
        progress.best = score
        progress.best_weights = [variable.value.numpy() for variable in run.model.weights]
    return True
