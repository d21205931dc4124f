"""Scoring earlier models again, ensembles too."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from msearch_core.algorithms.ensemble_selection import combine
from msearch_core.data.prepare import open_prepared, prepare_cached
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.objectives import find_objective
from msearch_core.training import checkpoints
from msearch_core.training.build import build_model
from msearch_core.training.loop import make_predict
from msearch_core.training.score import score
from msearch_core.training.spec import Member, ScoreSpec


def test_an_ensemble_is_scored_by_what_it_says(tmp_path: Path) -> None:
    folder = prepare_cached("wine", seed=0, cache=tmp_path)
    data = open_prepared(folder)
    space = fitted_space(load_space("tabular"), data.problem)
    architecture = tuple(space.suggestions[0])
    members, said = [], []
    for seed, share in enumerate((0.75, 0.25)):
        keras.utils.set_random_seed(seed)
        model = build_model(data.problem, space, architecture, {})
        weights = tmp_path / f"{seed}.safetensors"
        checkpoints.save(weights, checkpoints.weights_of(model))
        members.append(Member(weights=str(weights), architecture=architecture, share=share))
        said.append(make_predict(model, data.problem, np.float32)(data.splits["validation"].x))

    asked = ScoreSpec(
        space="tabular", objective="log_loss", models=(tuple(members),), data=str(folder),
        splits=("validation", "test"), output=str(tmp_path),
    )  # fmt: skip
    objective = find_objective(data.problem, "log_loss")
    truth = data.splits["validation"].y
    both = score(asked, members, data)
    assert both.objective["validation"] == pytest.approx(objective.score(truth, combine(said, (0.75, 0.25))), rel=1e-4)
    assert set(both.metrics) == set(both.objective_se) == {"validation", "test"}
    alone = score(asked, [members[0].model_copy(update={"share": 1.0})], data)
    assert alone.objective["validation"] == pytest.approx(objective.score(truth, said[0]), rel=1e-4)
