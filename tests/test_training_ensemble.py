"""An ensemble as one Keras model: what it says is the mean of what its members say, also after it was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from msearch_core.algorithms.ensemble_selection import combine
from msearch_core.blocks.dense import dense
from msearch_core.data.problem import Problem, Target
from msearch_core.space import Choice, SearchSpace
from msearch_core.training.build import build_model
from msearch_core.training.ensemble import build_ensemble
from msearch_core.training.loop import make_predict

SPACE = SearchSpace(
    name="small",
    blocks=(*dense.variants(units=(4, 8)),),
    hyperparameters={"optimizer": Choice(("adam",))},
)
TARGETS = (
    Target("kind", "classification", ("a", "b", "c")),
    Target("tags", "multilabel", ("x", "y")),
    Target("price", "regression", mean=2.0, scale=3.0),
)
X = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
WEIGHTS = (0.5, 0.3, 0.2)


def members(problem: Problem) -> list[Any]:
    models = []
    for seed, block in enumerate(("dense(units=4)", "dense(units=8)", "dense(units=8)")):
        keras.utils.set_random_seed(seed)
        models.append(build_model(problem, SPACE, (block,), {}))
    return models


@pytest.mark.parametrize(
    "targets", [(each,) for each in TARGETS] + [TARGETS], ids=lambda each: "+".join(t.task for t in each)
)
def test_the_mean_of_what_its_members_say(targets: tuple[Target, ...], tmp_path: Path) -> None:
    problem = Problem("vector", (5,), {"kind": "table"}, targets)
    models = members(problem)
    said = [make_predict(model, problem, X.dtype)(X) for model in models]
    ensemble = build_ensemble(problem, models, WEIGHTS)
    found = make_predict(ensemble, problem, X.dtype)(X)
    for name, expected in combine(said, WEIGHTS).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)
    assert not ensemble.trainable_weights

    ensemble.save(tmp_path / "ensemble.keras")
    loaded = keras.models.load_model(tmp_path / "ensemble.keras", safe_mode=True)
    for name, expected in ensemble(X).items():
        np.testing.assert_allclose(loaded(X)[name], expected, rtol=1e-5, atol=1e-6)


def test_a_single_model_needs_no_ensemble() -> None:
    problem = Problem("vector", (5,), {"kind": "table"}, TARGETS[:1])
    model = members(problem)[0]
    assert build_ensemble(problem, [model], (1.0,)) is model
