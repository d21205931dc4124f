"""What a child starts from: one trial's weights or several trials' mean, its optimizer's moments, its learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from msearch_core.data.problem import fitted_space
from msearch_core.training import checkpoints
from msearch_core.training.feed import Batches
from msearch_core.training.flat import FlatWeights
from msearch_core.training.slots import slots_of
from msearch_core.training.spec import Parent, TrialSpec
from msearch_core.training.steps import TrainSteps, make_optimizer
from msearch_core.training.warm_start import warm_start
from tests import training_data
from tests.training_runs import build
from tests.training_spaces import DENSE, NORM, TABLES

DATA = training_data.linear()
SPACE = fitted_space(TABLES, DATA.problem)
PARENT, DEEPER = (DENSE, NORM), (DENSE, DENSE, NORM)
X = DATA.splits["train"].x


def trained(folder: Path, seed: int) -> tuple[Any, str]:
    """A model after a few steps, and the file that it left: each seed takes the same first steps and others then."""
    model = build(DATA, TABLES, PARENT)
    optimizer = make_optimizer({"optimizer": "adam", "learning_rate": 1e-3}, 12)
    steps = TrainSteps(model, optimizer, DATA.problem, DATA.splits["train"], {}, 32)
    batches = np.random.default_rng(seed).integers(len(X), size=(12, 32))
    batches[:6] = np.random.default_rng(0).integers(len(X), size=(6, 32))
    steps(Batches(X, DATA.splits["train"].y, np.ones(len(X), np.float32), batches.astype(np.int32)))
    steps.scatter()
    path = folder / f"{seed}.safetensors"
    checkpoints.save(path, checkpoints.weights_of(model) | slots_of(model, optimizer))
    return model, str(path)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, str]]:
    return [trained(tmp_path_factory.mktemp("trials"), seed) for seed in (1, 2)]


def started(trials: list[tuple[Any, str]], architecture: tuple[str, ...], optimizer: str = "adam", **asked: Any) -> Any:
    parent, *others = (Parent(weights=path, architecture=PARENT, share=1 / len(trials)) for _, path in trials)
    trial = TrialSpec(
        uid="0001-000001", space="", architecture=architecture, seed=0, steps=10, batch_size=32, data="", objective="",
        parent=parent, others=tuple(others), output="", **asked,
    )  # fmt: skip
    model = build(DATA, TABLES, architecture)
    made = make_optimizer({"optimizer": optimizer}, 10)
    made.build([FlatWeights(model.trainable_variables).vector])
    return model, made, warm_start(model, made, SPACE, trial, X)[0]


def test_a_child_of_several_begins_as_their_mean(trials: list[tuple[Any, str]]) -> None:
    model, _, inheritance = started(trials, PARENT)
    assert set(inheritance.layers.values()) == {"copied"}
    assert inheritance.extra == {"averaged_fraction": 1.0}
    first, second = (checkpoints.weights_of(each) for each, _ in trials)
    for path, found in checkpoints.weights_of(model).items():
        np.testing.assert_allclose(found, (first[path] + second[path]) / 2, rtol=1e-5, atol=1e-6)
        assert not np.array_equal(first[path], second[path])

    deeper, _, inheritance = started(trials, DEEPER)
    assert inheritance.exact
    np.testing.assert_allclose(deeper(X)["y"], model(X)["y"], rtol=1e-4)


def test_moments_follow_copied_layers_to_their_new_places_and_no_others(trials: list[tuple[Any, str]]) -> None:
    model, optimizer, inheritance = started(trials[:1], DEEPER, optimizer_state="inherit")
    left = checkpoints.load(Path(trials[0][1]))
    moments = {path.removeprefix("optimizer/adam/velocity/"): each for path, each in left.items() if "velocity" in path}
    found = {path.rpartition("velocity/")[2]: each for path, each in slots_of(model, optimizer).items()}
    assert inheritance.layers["b1_dense_dense"] == "morphed"
    assert not found["b1_dense_dense/kernel"].any()
    assert moments["b1_dense_dense/kernel"].any()
    assert np.array_equal(found["b2_dense_dense/kernel"], moments["b1_dense_dense/kernel"])
    assert np.array_equal(found["head/kernel"], moments["head/kernel"])
    inserted = sum(int(np.prod(each.shape)) for each in model.get_layer("b1_dense_dense").trainable_weights)
    whole = sum(int(np.prod(each.shape)) for each in model.trainable_variables)
    assert inheritance.extra["optimizer_fraction"] == pytest.approx(1 - inserted / whole)
    assert int(optimizer.iterations.numpy()) == 0


@pytest.mark.parametrize(("optimizer", "state"), [("adam", "fresh"), ("rmsprop", "inherit")])
def test_moments_begin_at_zero_unless_asked_for_or_of_another_kind(
    trials: list[tuple[Any, str]], optimizer: str, state: str
) -> None:
    model, made, _ = started(trials[:1], PARENT, optimizer, optimizer_state=state)
    assert not any(each.any() for each in slots_of(model, made).values())


@pytest.mark.parametrize(("decay", "end"), [("none", 0.01), ("cosine", 0.0)])
def test_the_learning_rate_is_warmed_up(decay: str, end: float) -> None:
    rate = make_optimizer({"learning_rate": 0.01, "decay": decay}, 100, warm_up=10)._learning_rate
    rates = [float(rate(step)) for step in (0, 5, 10, 100)]
    assert rates == pytest.approx([0.0, 0.005, 0.01, end], abs=1e-8)
