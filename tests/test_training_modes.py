"""A small search whose children inherit averages and moments, and whose ensembles grow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from msearch_core.algorithms.history import outcomes
from msearch_core.config import make_config
from msearch_core.loading import CODE_PATH
from msearch_core.session import Session, join
from msearch_core.training import spec
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.checkpoints import load
from msearch_core.training.client import TrainingHost
from msearch_core.training.predict import predict
from msearch_core.training.spec import WinnerResult, WinnerSpec
from msearch_core.training.trainer import Trainer
from msearch_core.trial import SCHEMA
from msearch_core.trial_log.pruning import prunable

SPACE = """
from msearch_core.blocks.dense import dense
from msearch_core.space import Choice, SearchSpace, Uniform

space = SearchSpace(
    name="narrow",
    blocks=dense.variants(units=(8,), activation=("relu",), batch_norm=(False,)),
    hyperparameters={"optimizer": Choice(("adam",)), "learning_rate": Uniform(5e-3, 2e-2)},
    max_depth=2,
)
"""


@dataclass(frozen=True)
class Searched:
    session: Session
    host: TrainingHost
    rows: pd.DataFrame
    folder: Path


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    folder = tmp_path_factory.mktemp("modes")
    (folder / "narrow.py").write_text(SPACE)
    config = make_config(
        data="breast_cancer", space=str(folder / "narrow.py"), log=str(folder / "log"), trials=6, steps=20,
        algorithm="regularized_evolution", algorithm_options={"population": 2, "tournament": 2, "random_trials": 2},
        inheritance="weighted", optimizer_state="inherit", rewarm=0.2,
        ensemble_search="residual", ensemble_every=2, distill_every=4,
    )  # fmt: skip
    environment = {CODE_PATH: str(folder)}
    with pytest.MonkeyPatch.context() as patch, TrainingHost(folder / "host.log", environment) as host:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv(CODE_PATH, str(folder))
        session = join(config)
        trainer = Trainer(session, host, folder)
        for claim in trainer.claims():
            trainer.run(claim)
        rows = session.log.trials().set_index("uid", drop=False)
        for column in ("mutation", "extra", "timings", "inheritance"):
            rows[column] = rows[column].map(lambda text: json.loads(text) if isinstance(text, str) else {})
        yield Searched(session, host, rows, folder)


def test_every_trial_completes(searched: Searched) -> None:
    assert list(searched.rows["status"]) == ["completed"] * 6, list(searched.rows["error"])
    assert list(searched.rows["kind"]) == ["search", "search", "search", "ensemble", "distill", "ensemble"]


def test_children_of_several_say_whose_weights_they_average(searched: Searched) -> None:
    averaged = searched.rows[searched.rows["extra"].map(lambda extra: "shares" in extra.get("proposal", {}))]
    assert len(averaged)
    for _, row in averaged.iterrows():
        shares = row["extra"]["proposal"]["shares"]
        assert sum(shares.values()) == pytest.approx(1)
        assert set(row["parents"][: len(shares)]) == set(shares)
        assert 0 <= row["extra"].get("averaged_fraction", 0.0) <= 1
        assert row["cumulative_steps"] == 20 + searched.rows.loc[list(shares), "cumulative_steps"].max()


def test_moments_are_kept_and_are_no_part_of_a_models_size(searched: Searched) -> None:
    for uid in ("0001-000001", "0001-000002"):
        path = searched.folder / "log" / searched.rows.loc[uid, "weights"]
        kept = [name for name in load(path) if name.startswith("optimizer/adam/velocity/")]
        assert len(kept) >= 4
        assert searched.rows.loc[uid, "model_bytes"] < path.stat().st_size / 2


def test_an_ensemble_grows_by_a_tower(searched: Searched) -> None:
    rows = searched.rows
    for uid in ("0001-000004", "0001-000006"):
        row = rows.loc[uid]
        members, base = row["mutation"]["members"], row["extra"]["proposal"]["base"]
        frozen = rows.loc[[each for each in members if each != uid]]
        assert row["mutation"]["adds"] == "logits"
        assert set(members.values()) == {1.0}
        assert base in frozen.index or set(frozen.index) < set(rows.loc[base, "mutation"]["members"]) | {base}
        assert set(frozen.index) <= set(row["parents"])
        assert row["cumulative_steps"] >= frozen["cumulative_steps"].max() + row["steps"]
        assert row["parameters"] > frozen["parameters"].sum() - 1e-9
        assert row["timings"]["base"] > 0
        assert len(row["architecture"])
        kept = load(searched.folder / "log" / row["predictions"])
        assert all(np.isfinite(each).all() for each in kept.values())
    needed = {rows.loc[each, "weights"] for each in rows.loc["0001-000006", "mutation"]["members"]}
    if rows["objective"].idxmax() == "0001-000006":
        assert not needed & set(prunable(searched.session.log, keep=1))


def test_it_predicts_and_is_what_was_scored_by_ones_own_objective_too(searched: Searched) -> None:
    log, folder = searched.session.log, searched.folder / "scratch" / "model"
    folder.mkdir(parents=True)
    history = {each.uid: each for each in outcomes(pa.Table.from_pandas(log.trials(), SCHEMA), "0001")}
    asked = WinnerSpec(
        uid="0001-000006",
        space=searched.session.search.space,
        objective="tests.training_spaces:missed",
        members=Artefacts(log.store).load_members(history["0001-000006"], history, folder),
        data=str(searched.session.data),
        output=str(folder),
    )
    spec.write(asked, folder / "spec.json")
    searched.host.start("winner", folder / "spec.json").wait()
    result = spec.read(WinnerResult, folder / spec.RESULT)
    assert result.validation, result.error
    assert result.validation["accuracy"] == pytest.approx(searched.rows.loc["0001-000006", "objective"], abs=1e-6)
    assert result.test
    for scores in (result.validation, result.test):
        assert scores["tests.training_spaces:missed"] == pytest.approx(1 - scores["accuracy"], abs=1e-6)
    assert len(predict(str(folder), "breast_cancer")) == 569


def test_a_student_has_a_teacher_that_it_is_no_copy_of(searched: Searched) -> None:
    student, before = searched.rows.loc["0001-000005"], searched.rows.iloc[:4]
    assert student["teacher"] in before.index
    assert student["teacher"] not in list(student["parents"])
    assert student["timings"]["teacher"] > 0
