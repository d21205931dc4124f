"""A search that ends hopeless trials early, makes ensembles of what it found, and teaches students."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd
import pytest

from tests.searching import Workplace, check_budget, winners, workplace

TRIALS = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path_factory.mktemp("kinds"), tmp_path_factory) as made:
        made.run(
            "search", "digits", "--space", "tabular", "--trials", str(TRIALS), "--steps", "150", "--trainers", "2",
            "--early-stopping", "asha", "--ensemble-every", "6", "--distill-every", "4", "--log", "log",
        )  # fmt: skip
        yield made


@pytest.fixture(scope="module")
def rows(place: Workplace) -> pd.DataFrame:
    frame = check_budget(place.folder / "log", TRIALS).set_index("uid", drop=False)
    frame["mutation"] = frame["mutation"].map(lambda text: json.loads(text) if isinstance(text, str) else {})
    return frame


pytestmark = pytest.mark.slow


def test_an_ensemble_is_no_worse_than_its_members(rows: pd.DataFrame) -> None:
    ensembles = rows[rows["kind"] == "ensemble"]
    assert len(ensembles) >= 1
    for _, ensemble in ensembles.iterrows():
        members = ensemble["mutation"]["members"]
        assert list(members) == list(ensemble["parents"])
        assert sum(members.values()) == pytest.approx(1)
        own = rows.loc[list(members)]
        assert ensemble["objective"] >= own["objective"].max()
        assert ensemble["steps"] == 0
        for column in ("parameters", "flops", "cumulative_steps"):
            assert ensemble[column] == own[column].sum()


def test_a_student_has_a_teacher_and_is_not_its_copy(rows: pd.DataFrame) -> None:
    students = rows[rows["kind"] == "distill"]
    assert len(students) >= 1
    for _, student in students.iterrows():
        assert student["status"] in ("completed", "stopped")
        assert student["teacher"] in rows.index
        assert student["teacher"] not in list(student["parents"])
        assert json.loads(student["timings"])["teacher"] > 0


def test_trials_that_fall_behind_are_ended_early(place: Workplace, rows: pd.DataFrame) -> None:
    behind = rows[(rows["status"] == "stopped") & rows["error"].str.contains("early stopping", na=False)]
    assert len(behind) >= 1
    assert (behind["curve"].map(len) < 10).all()
    assert list((place.folder / "log/rungs").rglob("*.json"))


def test_the_winner_predicts_and_what_it_is_made_of_is_kept(place: Workplace, rows: pd.DataFrame) -> None:
    (winner,) = winners(place.folder / "log")
    best = rows.loc[winner["uid"]]
    assert best["objective"] == rows["objective"].max()
    assert winner["test"]["accuracy"] > 0.9
    assert "prediction" in place.run("predict", "log", "digits").splitlines()[0]
    prunable = place.run("prune", "log", "--dry-run", "--keep", "1")
    needed = [best["uid"], *(best["parents"] if best["kind"] == "ensemble" else [])]
    assert not any(f"weights/{uid}." in prunable for uid in needed)
    place.run("check", "log")
    for command in (("trials", "log"), ("compare", "log", "--by", "kind"), ("report", "log", "--out", "report.html")):
        place.run(*command)
