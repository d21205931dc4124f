"""The last word on the winner: its test score, and a model that takes raw input."""

from __future__ import annotations

import dataclasses
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from msearch_core.answers import answers
from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import Problem, Target
from msearch_core.loading import load_space
from msearch_core.objectives import evaluate, find_objective
from msearch_core.training import spec
from msearch_core.training.child import use_threads
from msearch_core.training.ensemble import load_members
from msearch_core.training.loop import make_predict
from msearch_core.training.preprocessing import raw_inputs
from msearch_core.training.spec import BUNDLE, MODEL, WinnerResult, WinnerSpec

TOLERANCE = 1e-4


def run(spec_path: str) -> None:
    """Test the model that a ``WinnerSpec`` file describes and write its bundle and ``result.json``."""
    asked = spec.read(WinnerSpec, Path(spec_path))
    try:
        result = finish(asked)
    except Exception as error:
        print(f"winner {asked.uid}: {error!r}", file=sys.stderr)  # noqa: T201 (the trainer's log)
        result = WinnerResult(status="failed", error=spec.one_line(error))
    spec.write(result, Path(asked.output) / spec.RESULT)


def finish(asked: WinnerSpec) -> WinnerResult:
    """Open the test split, once, and write ``model.keras`` and ``bundle.json`` into the output folder.

    Raises:
        ValueError: the saved model, loaded again, answers otherwise than the one that was trained.
    """
    use_threads(asked.threads)
    output = Path(asked.output)
    data = open_prepared(Path(asked.data))
    objective = find_objective(data.problem, asked.objective)
    tower = load_members(data.problem, load_space(asked.space), asked.members)

    validation = data.splits["validation"]
    expected = make_predict(tower, data.problem, validation.x.dtype)(validation.x)
    complete_model(data.problem, tower).save(output / MODEL)
    reloaded = keras.models.load_model(output / MODEL, compile=False, safe_mode=True)
    again = make_predict(reloaded.get_layer(tower.name), data.problem, validation.x.dtype)(validation.x)
    for target in data.problem.targets:
        off = float(np.max(np.abs(again[target.name] - expected[target.name])))
        if off > TOLERANCE * target.scale:
            raise ValueError(f"the saved model's predictions of {target.name!r} are off by {off:.2g}")

    test = data.splits["test"]
    opened = make_predict(tower, data.problem, test.x.dtype)(test.x)
    # An objective of the user's own is none of those that `evaluate` knows.
    scores = {
        name: {
            objective.name: objective.score(split.y, outputs, split.weight),
            **evaluate(data.problem, split.y, outputs, split.weight),
        }
        for name, split, outputs in (("validation", validation, expected), ("test", test, opened))
    }
    finite = {split: spec.finite(values) for split, values in scores.items()}
    bundle = {
        "uid": asked.uid,
        "problem": dataclasses.asdict(data.problem),
        "members": [member.model_dump(include={"architecture", "share", "adds"}) for member in asked.members],
        "hyperparameters": asked.hyperparameters,
        "scores": finite,
        "versions": {name: version(name) for name in ("keras", "tensorflow", "numpy")},
    }
    temporary = output / f".{BUNDLE}"
    temporary.write_text(json.dumps(bundle, indent=1))
    temporary.replace(output / BUNDLE)
    return WinnerResult(
        status="completed",
        validation=finite["validation"],
        test=finite["test"],
        answers=answers(data.problem, validation, expected),
    )


def complete_model(problem: Problem, tower: Any) -> Any:
    """Put the preprocessing before the tower, and probabilities after it where there are labels.

    Returns:
        A ``keras.Model`` from raw input, as ``raw_inputs`` takes it, to ``float32 (batch, outputs)``, or
        ``(batch, time, outputs)`` where each step has a target; of several targets, a dict of them by name.
    """
    inputs, encoded = raw_inputs(problem)
    answers = tower(encoded)
    several = len(problem.targets) > 1
    outputs = {
        target.name: _answer(answers[target.name], target, str(number) if several else "")
        for number, target in enumerate(problem.targets)
    }
    return keras.Model(inputs, outputs if several else next(iter(outputs.values())), name="model")


def _answer(outputs: Any, target: Target, suffix: str) -> Any:
    if target.task == "regression":
        return outputs
    if target.task == "classification":
        return keras.layers.Softmax(name=f"probabilities{suffix}")(outputs)
    return keras.layers.Activation("sigmoid", name=f"probabilities{suffix}")(outputs)
