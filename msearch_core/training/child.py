"""One trial in a process of its own: from a spec on disk to a result on disk."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.objectives import evaluate, find_objective
from msearch_core.training import checkpoints, spec
from msearch_core.training.build import build_model, count_flops, count_parameters
from msearch_core.training.distillation import make_distillation_loss, teacher_outputs, with_teacher
from msearch_core.training.feed import make_feed
from msearch_core.training.growing import grow
from msearch_core.training.inherit import all_copied
from msearch_core.training.loop import (
    Progress,
    Signals,
    TrainingRun,
    fit,
    make_predict,
)
from msearch_core.training.measure import Stopwatch, latency, processor, reset_peak
from msearch_core.training.resume import go_on, save_progress, warm_up_steps
from msearch_core.training.slots import slots_of
from msearch_core.training.spec import ProgressRecord, TrialResult, TrialSpec
from msearch_core.training.steps import TrainSteps, make_optimizer
from msearch_core.training.summaries import Summaries
from msearch_core.training.warm_start import warm_start

MOST_STEPS_AS_TRACED = 1000
"""Up to so many steps a trial runs its graphs as they were traced."""


def run(spec_path: str) -> bool:
    """Train the trial that a ``TrialSpec`` file describes and write ``result.json`` into its output folder.

    SIGUSR1 means finish now: evaluate and end as ``stopped``. SIGTERM means leave: write a checkpoint and end as
    ``preempted``. Whatever goes wrong becomes a status and one line.

    Returns:
        Whether the process is as good as before, for another trial.
    """
    signals = Signals()
    signal.signal(signal.SIGUSR1, lambda *_: setattr(signals, "finish", True))
    signal.signal(signal.SIGTERM, lambda *_: setattr(signals, "preempt", True))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    trial = spec.read(TrialSpec, Path(spec_path))
    reset_peak()
    watch = Stopwatch()
    try:
        result = train(trial, signals, watch)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        result = TrialResult(status="oom", error=spec.one_line(error))
    except Exception as error:
        print(f"trial {trial.uid} failed: {error!r}", file=sys.stderr)  # noqa: T201 (the trainer's log)
        result = TrialResult(status="failed", error=spec.one_line(error))
    spec.write(result.model_copy(update=watch.costs()), Path(trial.output) / spec.RESULT)
    return result.status not in ("oom", "failed")


def use_threads(count: int) -> None:
    """Set how many cores TensorFlow may use; must come before its first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


def rewrite_graphs(steps: int) -> None:
    """Let TensorFlow rewrite graphs before it first runs them (Grappler) where the steps are so many that it pays.

    It takes 0.05 to 0.4 seconds a trial and makes the steps of the smallest models a tenth faster, of others none.
    """
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": steps <= MOST_STEPS_AS_TRACED})


def train(trial: TrialSpec, signals: Signals, watch: Stopwatch) -> TrialResult:
    """Train a trial and write its weights and its validation outputs; see ``run`` for what may end it early."""
    use_threads(trial.threads)
    rewrite_graphs(trial.steps)
    output = Path(trial.output)
    with watch.timed("data"):
        data = open_prepared(Path(trial.data))
        problem, training, validation = data.problem, data.splits["train"], data.splits["validation"]
    objective = find_objective(problem, trial.objective)
    space = fitted_space(load_space(trial.space), problem)
    invalid = space.why_invalid(trial.architecture)
    if invalid:
        return TrialResult(status="infeasible", error=invalid)

    with watch.timed("build"):
        keras.utils.set_random_seed(trial.seed)
        model = build_model(problem, space, trial.architecture, trial.hyperparameters)
        warm_up = warm_up_steps(trial)
        optimizer = make_optimizer(trial.hyperparameters, trial.steps, warm_up)
    loss_of = None
    if trial.teacher:
        with watch.timed("teacher"):
            training = with_teacher(training, teacher_outputs(trial.teacher, problem, space, training.x))
            smoothing = float(trial.hyperparameters.get("label_smoothing", 0.0))
            loss_of = make_distillation_loss(problem, trial.teacher.method, label_smoothing=smoothing)
    learner, growth = model, None
    if trial.base:
        with watch.timed("base"):
            smoothing = float(trial.hyperparameters.get("label_smoothing", 0.0))
            splits = {"train": training, "validation": validation}
            growth = grow(trial.base, model, problem, space, splits, smoothing)
            learner, training, loss_of = growth.model, growth.train, growth.loss
    with watch.timed("trace"):
        train_steps = TrainSteps(
            learner, optimizer, problem, training, trial.hyperparameters, trial.batch_size, loss_of
        )
    with watch.timed("warm_start"):
        inheritance, warnings = warm_start(model, optimizer, space, trial, training.x)
        if growth:
            growth.begin()
        progress, lost = go_on(trial, learner, optimizer)
        if progress.begun:
            inheritance, warnings = all_copied(model), []
        resumed_at = progress.step if progress.step > progress.begun else 0
    with watch.timed("data"):
        limit = round(trial.in_memory_mb * 2**20)
        feed = make_feed(training, trial.seed, trial.batch_size, trial.steps, limit)

    predict = make_predict(model, problem, training.x.dtype)
    parameters, flops = count_parameters(model), count_flops(model)
    summaries = Summaries(trial.tensorboard, trial)

    def report(so_far: Progress) -> None:
        told = ProgressRecord(curve=tuple(so_far.curve), parameters=parameters, flops=flops)
        spec.write(told, output / spec.PROGRESS)
        summaries.progress(so_far)

    run = TrainingRun(
        model=learner,
        train_steps=train_steps,
        predict=growth.predict if growth else predict,
        feed=feed,
        problem=problem,
        validation=validation,
        objective=objective,
        steps=trial.steps,
        save=lambda: save_progress(output / spec.CHECKPOINT, trial.batch_size, learner, optimizer, progress, warm_up),
        save_seconds=trial.checkpoint_seconds,
        deadline=watch.began + (trial.time_limit_seconds or float("inf")),
        timed=watch.timed,
        report=report,
        stop_at=float("inf") if trial.stop_at is None else trial.stop_at,
        evaluations=trial.evaluations,
    )
    outcome = fit(run, progress, signals)
    inherited = inheritance.extra if inheritance else {}
    result = TrialResult(
        status=outcome.ending,
        error=outcome.error,
        curve=tuple(progress.curve),
        steps=progress.step - progress.begun,
        train_seconds=progress.seconds,
        parameters=parameters,
        flops=flops,
        inherited_fraction=inheritance.fraction if inheritance else 0.0,
        inheritance=inheritance.layers if inheritance else None,
        extra={"training": {**_conditions(trial), "resumed_at": resumed_at}, **inherited},
    ).warned(*warnings, *lost)
    if outcome.outputs is None:
        return result
    with watch.timed("evaluate"):
        y, weight = validation.y, validation.weight
        scores = {
            "objective": objective.score(y, outcome.outputs, weight),
            "objective_se": objective.standard_error(y, outcome.outputs, weight, validation.group),
            "metrics": spec.finite(evaluate(problem, y, outcome.outputs, weight)),
            "mixture": growth.mixture if growth else None,
            "latency_ms": latency(predict, validation.x[:1]),
        }
    with watch.timed("checkpoint"):
        checkpoints.save(output / spec.WEIGHTS, checkpoints.weights_of(model))
        checkpoints.save(output / spec.PREDICTIONS, outcome.outputs)
        scores["model_bytes"] = (output / spec.WEIGHTS).stat().st_size
        if trial.optimizer_state == "inherit":
            checkpoints.save(output / spec.WEIGHTS, checkpoints.weights_of(model) | slots_of(model, optimizer))
    result = result.model_copy(update=scores)
    summaries.end(result)
    return result


def _conditions(trial: TrialSpec) -> dict[str, Any]:
    """What the result depends on, to the last bit, and no other column says."""
    return {
        **trial.model_dump(include=set(spec.CONDITIONS)),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "processor": processor(),
    }
