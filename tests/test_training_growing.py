"""A tower that is trained beside frozen models: how it begins, what it learns, and what comes of it as one model."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from msearch_core.data.prepared import PreparedData
from msearch_core.data.problem import fitted_space
from msearch_core.objectives import find_objective, loss
from msearch_core.space import SearchSpace
from msearch_core.training import checkpoints
from msearch_core.training.ensemble import build_ensemble, load_members
from msearch_core.training.feed import make_feed
from msearch_core.training.growing import Growth, grow
from msearch_core.training.loop import (
    Progress,
    Signals,
    TrainingRun,
    fit,
    make_predict,
)
from msearch_core.training.spec import Base, Member
from msearch_core.training.steps import TrainSteps, make_optimizer
from tests import training_data
from tests.training_runs import build
from tests.training_spaces import DENSE, NORM, STEP, STEPS, TABLES

Kind = tuple[PreparedData, SearchSpace, tuple[str, ...], tuple[str, ...]]
KINDS: dict[str, Kind] = {
    "several": (training_data.two_tasks(), TABLES, (DENSE,), (DENSE, NORM)),
    "labels": (training_data.tags(), TABLES, (DENSE,), (NORM,)),
    "steps": (training_data.steps(number=120), STEPS, (STEP,), (STEP, STEP)),
}
STEPS_TAKEN = 40


def started(kind: Kind, growth: str, folder: Path, shares: tuple[float, ...] = (1.0,)) -> Growth:
    data, space, frozen, own = kind
    members = []
    for number, share in enumerate(shares):
        path = folder / f"{number}.safetensors"
        keras.utils.set_random_seed(number)
        checkpoints.save(path, checkpoints.weights_of(build(data, space, frozen)))
        members.append(Member(weights=str(path), architecture=frozen, share=share, adds="logits"))
    base = Base(members=tuple(members), outputs=str(folder / "outputs"), growth=growth)  # type: ignore[arg-type]
    tower = build(data, space, own)
    return grow(base, tower, data.problem, fitted_space(space, data.problem), data.splits)


def trained(data: PreparedData, growth: Growth) -> Progress:
    optimizer = make_optimizer({"learning_rate": 1e-2}, STEPS_TAKEN)
    run = TrainingRun(
        model=growth.model,
        train_steps=TrainSteps(growth.model, optimizer, data.problem, growth.train, {}, 32, growth.loss),
        predict=growth.predict,
        feed=make_feed(growth.train, 0, 32, STEPS_TAKEN, 1 << 30),
        problem=data.problem,
        validation=data.splits["validation"],
        objective=find_objective(data.problem),
        steps=STEPS_TAKEN,
        save=lambda: None,
        save_seconds=math.inf,
        deadline=math.inf,
        timed=lambda phase: contextlib.nullcontext(),
    )
    progress = Progress()
    assert fit(run, progress, Signals()).ending == "completed"
    return progress


def frozen_model(kind: Kind, growth: Growth) -> Any:
    data, space, *_ = kind
    return load_members(data.problem, fitted_space(space, data.problem), growth.base.members)


@pytest.mark.parametrize(("name", "growth"), [("several", "adaptive"), ("labels", "residual"), ("steps", "residual")])
def test_a_tower_learns_what_is_left_and_joins_one_model_of_kerass_own_layers(
    name: str, growth: str, tmp_path: Path
) -> None:
    kind = data, *_ = KINDS[name]
    validation, problem = data.splits["validation"], data.problem
    made = started(kind, growth, tmp_path, shares=(0.7, 0.3))
    made.begin()
    base = make_predict(frozen_model(kind, made), problem, validation.x.dtype)(validation.x)
    if growth == "residual":
        for target, found in made.predict(validation.x).items():
            np.testing.assert_allclose(found, base[target], rtol=1e-4, atol=1e-4)
    else:
        assert made.mixture == pytest.approx((2 / 3, 1 / 3))

    trained(data, made)
    expected = made.predict(validation.x)
    assert loss(problem, validation.y, expected, None) < 0.9 * loss(problem, validation.y, base, None)
    frozen, own = made.mixture
    assert (made.mixture == (1.0, 1.0)) == (growth == "residual")
    if growth == "adaptive":
        assert made.mixture != pytest.approx((2 / 3, 1 / 3), abs=1e-3)

    checkpoints.save(tmp_path / "tower", checkpoints.weights_of(made.model.tower))
    tower = Member(weights=str(tmp_path / "tower"), architecture=kind[3], share=own, adds="logits")
    members = [each.model_copy(update={"share": frozen * each.share}) for each in made.base.members]
    whole = load_members(problem, fitted_space(kind[1], problem), [*members, tower])
    whole.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras", compile=False, safe_mode=True)
    for target, found in make_predict(loaded, problem, validation.x.dtype)(validation.x).items():
        np.testing.assert_allclose(found, expected[target], rtol=1e-3, atol=1e-3)


def test_what_frozen_models_say_is_computed_once(tmp_path: Path) -> None:
    kind = data, *_ = KINDS["labels"]
    first = started(kind, "adaptive", tmp_path)
    (tmp_path / "0.safetensors").unlink()
    again = grow(first.base, first.model.tower, data.problem, fitted_space(kind[1], data.problem), data.splits)
    for name, values in first.train.y.items():
        assert np.array_equal(again.train.y[name], values)


def test_numbers_add_up_from_the_targets_mean_on() -> None:
    data = training_data.linear()
    models = [build(data, TABLES, (DENSE,)) for _ in range(2)]
    x = data.splits["validation"].x
    said = [make_predict(model, data.problem, x.dtype)(x)["y"] for model in models]
    mean = data.problem.targets[0].mean
    whole = build_ensemble(data.problem, models, (1.0, 0.5), "logits")
    found = make_predict(whole, data.problem, x.dtype)(x)["y"]
    np.testing.assert_allclose(found, mean + (said[0] - mean) + 0.5 * (said[1] - mean), rtol=1e-5)
