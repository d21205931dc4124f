"""Every kind of problem from its file to predictions, beside a model of scikit-learn on the same split.

The short form of ``benchmarks/problems.py``: one trial of one of the default space's suggestions in place of a search.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.problems import EXAMPLES, baseline
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import default_space
from msearch_core.loading import load_space
from msearch_core.training import spec
from msearch_core.training.client import TrainingHost
from msearch_core.training.predict import predict
from msearch_core.training.spec import Member, TrialSpec, WinnerResult, WinnerSpec

# Small tables are overfitted by the default space's first suggestion; a search would find out.
SUGGESTION = {"regression": 1, "two_tasks": 1}
STEPS = {"regression": 100, "two_tasks": 100, "regression_with_categories": 600, "sequence_labels": 200}
# A linear model of a sequence is no match.
FOREST = {"sequences", "sequence_labels"}
MARGIN = 0.02
TOPICS = ("arts", "music", "politics", "science", "sports")
PREDICTED = {
    "regression": ["prediction"],
    "regression_with_categories": ["prediction"],
    "sequences": ["prediction", "probability_bell", "probability_cylinder", "probability_funnel"],
    "multilabel": [
        "prediction",
        *(f"probability_{each}" for each in ("arts", "music", "politics", "science", "sports")),
    ],
    "sequence_labels": ["prediction", "probability_fast", "probability_slow"],
    "two_tasks": ["cultivar_prediction", *(f"cultivar_probability_{each}" for each in "abc"), "alcohol_prediction"],
}


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Iterator[TrainingHost]:
    with TrainingHost(tmp_path_factory.mktemp("host") / "log") as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_as_good_as_a_model_of_scikit_learn(host: TrainingHost, tmp_path: Path, name: str) -> None:
    example = EXAMPLES[name]
    options = example.make(tmp_path)
    folder = prepare_cached(options, seed=0, cache=tmp_path / "cache")
    data = open_prepared(folder)
    space = default_space(data.problem)
    trial = TrialSpec(
        uid="trial",
        space=space,
        architecture=load_space(space).suggestions[SUGGESTION.get(name, 0)],
        hyperparameters={"learning_rate": 5e-3, "decay": "cosine", "dropout": 0.2, "l2": 1e-3, "clip_norm": 1.0},
        seed=0,
        steps=STEPS.get(name, 200),
        batch_size=64,
        data=str(folder),
        objective=example.score,
        output=str(tmp_path),
    )
    spec.write(trial, tmp_path / "spec.json")
    assert host.start("train", tmp_path / "spec.json").wait(120)
    result = spec.read_result(tmp_path)
    assert (result.status, result.error) == ("completed", None)

    bundle = tmp_path / "bundle"
    bundle.mkdir()
    member = Member(weights=str(tmp_path / spec.WEIGHTS), architecture=trial.architecture)
    kept = trial.model_dump(include={"uid", "space", "hyperparameters", "data"})
    asked = WinnerSpec(**kept, members=(member,), output=str(bundle))
    spec.write(asked, bundle / "spec.json")
    assert host.start("winner", bundle / "spec.json").wait(120)
    winner = spec.read(WinnerResult, bundle / spec.RESULT)
    assert (winner.status, winner.error) == ("completed", None)
    assert winner.validation == pytest.approx(result.metrics, abs=1e-4)
    assert winner.test is not None
    assert winner.test[example.score] > baseline(data, example, forest=name in FOREST) - MARGIN

    table = predict(str(bundle), options.data)
    assert list(table.columns) == PREDICTED[name]
    if name in ("sequences", "sequence_labels"):
        raw = pd.read_parquet(options.data)
        truth = raw[options.target[0]]
        if name == "sequences":
            assert np.mean(table["prediction"].to_numpy() == truth.to_numpy()) > 0.9
        else:
            time = data.problem.input_shape[0]
            assert [len(row) for row in table["prediction"]] == [min(len(row), time) for row in truth]
            hits = [np.mean(np.array(a) == b[:time]) for a, b in zip(table["prediction"], truth, strict=True)]
            assert np.mean(hits) > 0.85
    if name == "multilabel":
        truth = pd.read_csv(options.data)["topics"]
        assert np.mean(table["prediction"] == truth) > 0.3
