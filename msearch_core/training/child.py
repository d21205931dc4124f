"""One trial in a process of its own: from a spec on disk to a result on disk."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.objectives import evaluate, find_objective
from msearch_core.training import checkpoints, spec
from msearch_core.training.build import build_model, count_flops, count_parameters
from msearch_core.training.inherit import Inheritance, inherit
from msearch_core.training.loop import (
    Progress,
    Signals,
    TrainingRun,
    fit,
    make_optimizer,
    make_predict,
    make_train_steps,
)
from msearch_core.training.spec import TrialResult, TrialSpec

LATENCY_REPEATS = 20


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.began = time.monotonic()

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add what happens inside to a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] += time.monotonic() - began

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began


def run(spec_path: str) -> None:
    """Train the trial that a ``TrialSpec`` file describes and write ``result.json`` into its output folder.

    SIGUSR1 means finish now: evaluate and end as ``stopped``. SIGTERM means leave: write a checkpoint and end as
    ``preempted``. Whatever goes wrong becomes a status and one line.
    """
    signals = Signals()
    signal.signal(signal.SIGUSR1, lambda *_: setattr(signals, "finish", True))
    signal.signal(signal.SIGTERM, lambda *_: setattr(signals, "preempt", True))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    trial = spec.read(TrialSpec, Path(spec_path))
    watch = Stopwatch()
    try:
        result = train(trial, signals, watch)
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        result = TrialResult(status="oom", error=spec.one_line(error))
    except Exception as error:
        print(f"trial {trial.uid} failed: {error!r}", file=sys.stderr)  # noqa: T201 (the trainer's log)
        result = TrialResult(status="failed", error=spec.one_line(error))
    measured = {
        "wall_seconds": watch.total,
        "timings": {phase: round(seconds, 4) for phase, seconds in watch.seconds.items()},
        "peak_mb": peak_megabytes(),
    }
    spec.write(result.model_copy(update=measured), Path(trial.output) / spec.RESULT)


def use_threads(count: int) -> None:
    """Set how many cores TensorFlow may use; must come before its first operation."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


def train(trial: TrialSpec, signals: Signals, watch: Stopwatch) -> TrialResult:
    """Train a trial and write its weights and its validation outputs; see ``run`` for what may end it early."""
    use_threads(trial.threads)
    output = Path(trial.output)
    with watch.timed("data"):
        data = open_prepared(Path(trial.data))
        problem, training, validation = data.problem, data.splits["train"], data.splits["validation"]
    objective = find_objective(problem.task, trial.objective)
    space = fitted_space(load_space(trial.space), problem)
    invalid = space.why_invalid(trial.architecture)
    if invalid:
        return TrialResult(status="infeasible", error=invalid)

    with watch.timed("build"):
        keras.utils.set_random_seed(trial.seed)
        model = build_model(problem, space, trial.architecture, trial.hyperparameters)
        optimizer = make_optimizer(trial.hyperparameters, trial.steps)
    with watch.timed("trace"):
        l2 = float(trial.hyperparameters.get("l2", 0.0))
        train_steps = make_train_steps(model, optimizer, problem, training, l2)
        train_steps.get_concrete_function()
    with watch.timed("warm_start"):
        inheritance = _warm_start(model, trial)
        progress = _resume(Path(trial.resume), trial.batch_size, model, optimizer) if trial.resume else Progress()

    predict = make_predict(model, problem, training.x.dtype)
    run = TrainingRun(
        model=model,
        train_steps=train_steps,
        predict=predict,
        train=training,
        validation=validation,
        objective=objective,
        seed=trial.seed,
        steps=trial.steps,
        batch_size=trial.batch_size,
        save=lambda: save_progress(output / spec.CHECKPOINT, trial.batch_size, model, optimizer, progress),
        save_seconds=trial.checkpoint_seconds,
        deadline=watch.began + (trial.time_limit_seconds or float("inf")),
        timed=watch.timed,
    )
    outcome = fit(run, progress, signals)
    result = TrialResult(
        status=outcome.ending,
        error=outcome.error,
        curve=tuple(progress.curve),
        steps=progress.step,
        train_seconds=progress.seconds,
        parameters=count_parameters(model),
        flops=count_flops(model),
        inherited_fraction=inheritance.fraction if inheritance else 0.0,
        inheritance=inheritance.layers if inheritance else None,
    )
    if outcome.outputs is None:
        return result
    with watch.timed("evaluate"):
        y = np.asarray(validation.y)
        scores = {
            "objective": objective.score(y, outcome.outputs),
            "objective_se": objective.standard_error(y, outcome.outputs),
            "metrics": spec.finite(evaluate(problem.task, y, outcome.outputs)),
            "latency_ms": _latency(predict, tf.constant(validation.x[:1])),
        }
    with watch.timed("checkpoint"):
        checkpoints.save(output / spec.WEIGHTS, checkpoints.weights_of(model))
        np.save(output / spec.PREDICTIONS, outcome.outputs)
        scores["model_bytes"] = (output / spec.WEIGHTS).stat().st_size
    return result.model_copy(update=scores)


def _warm_start(model: Any, trial: TrialSpec) -> Inheritance | None:
    if trial.parent is None:
        return None
    weights = checkpoints.load(Path(trial.parent.weights))
    return inherit(model, trial.architecture, trial.parent.architecture, weights)


def _latency(predict: Any, example: Any) -> float:
    """The median time of one prediction of one example, in milliseconds."""
    times = []
    for _ in range(LATENCY_REPEATS):
        began = time.perf_counter()
        predict(example)
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times))


def peak_megabytes() -> float:
    """The most memory the process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def _state_variables(model: Any, optimizer: Any) -> dict[str, Any]:
    """All that changes in training besides the model's weights: the optimizer's state and dropout's generators."""
    weights = {id(variable) for variable in model.weights}
    generators = [variable for variable in model.variables if id(variable) not in weights]
    return {
        **{f"optimizer/{index}": variable for index, variable in enumerate(optimizer.variables)},
        **{f"generator/{index}": variable for index, variable in enumerate(generators)},
    }


def save_progress(path: Path, batch_size: int, model: Any, optimizer: Any, progress: Progress) -> None:
    """Write all that a resumed trial needs to end as an uninterrupted one would."""
    tensors = {name: variable.value.numpy() for name, variable in _state_variables(model, optimizer).items()}
    tensors |= {f"weights/{name}": value for name, value in checkpoints.weights_of(model).items()}
    tensors |= {f"best/{index}": value for index, value in enumerate(progress.best_weights)}
    state = {
        "batch_size": batch_size,
        "step": progress.step,
        "curve": progress.curve,
        "best": progress.best,
        "seconds": progress.seconds,
    }
    checkpoints.save(path, tensors, state)


def _resume(path: Path, batch_size: int, model: Any, optimizer: Any) -> Progress:
    """Go on from a checkpoint, or from the start if it was made with batches of another size."""
    tensors, state = checkpoints.load(path), checkpoints.load_state(path)
    if state["batch_size"] != batch_size:
        return Progress()
    checkpoints.assign_weights(
        model, {name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")}
    )
    for name, variable in _state_variables(model, optimizer).items():
        variable.assign(tensors[name])
    best = [tensors[f"best/{index}"] for index in range(len(model.weights))] if state["best"] else []
    return Progress(
        step=state["step"],
        curve=state["curve"],
        best=tuple(state["best"]) if state["best"] else None,
        best_weights=best,
        seconds=state["seconds"],
    )
