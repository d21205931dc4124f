"""A search that recurs, on this machine, from the command line."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from flows.refresh import is_at_work
from msearch_core.trial_log import TrialLog
from tests.searching import Workplace, check_budget, claims, finish, results, wait_for, winners, workplace

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(1800)]


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path, tmp_path_factory) as made:
        yield made


def write_digits(path: Path, count: int) -> None:
    digits = load_digits()
    np.savez(path, x=digits.images[:count, ..., np.newaxis].astype(np.uint8), y=digits.target[:count])


def test_new_data_is_searched_from_what_is_known(place: Workplace) -> None:
    write_digits(place.folder / "data.npz", 400)
    options = {"data": "data.npz", "log": "log", "trials": 3, "steps": 60, "trainers": 2, "keep": 2}
    (place.folder / "search.json").write_text(json.dumps(options))
    assert "promoted: nothing was in use" in place.run("refresh", "search.json")
    log = TrialLog(str(place.folder / "log"))
    check_budget(place.folder / "log", 3)

    began = time.monotonic()
    assert "nothing new" in place.run("refresh", "search.json")
    assert time.monotonic() - began < 10
    assert len(log.refreshes()) == 1

    write_digits(place.folder / "data.npz", 1000)
    said = place.run("refresh", "search.json")
    frame = log.trials().set_index("uid", drop=False)
    again = frame[frame["kind"] == "rescore"]
    assert list(again["uid"]) == ["0002-r00001", "0002-r00002"]
    new = frame[(frame["run"] == "0002") & (frame["kind"] != "rescore")]
    assert list(new["slot"]) == [1, 2, 3]
    assert {parents[0] for parents in new["parents"].iloc[:2]} == set(again["uid"])
    for child in new.iloc[:2].itertuples():
        parent = again.loc[child.parents[0]]
        assert child.inherited_fraction == 1.0
        assert child.cumulative_steps == child.steps + frame.loc[parent["parents"][0], "cumulative_steps"]
    assert set(again["data_fingerprint"]) == set(new["data_fingerprint"])

    winner, record = winners(place.folder / "log")[-1], log.refreshes()[-1]
    assert winner["uid"] in set(new["uid"]), "an earlier model stays in use, or does not; it wins no new run"
    used = again[again["parents"].map(lambda parents: parents[0] == log.productions()[0].uid)].iloc[0]
    better = bool(winner["validation"]["accuracy"] - used["objective"] > used["objective_se"])
    assert (record.promoted == winner["uid"]) is better
    assert ("promoted" in said) is better
    assert set(record.test) == {"winner", "before"}
    assert record.rescored == {row.parents[0]: row.objective for row in again.itertuples()}
    if better:
        assert "rolled back" in place.run("promote", "log", "--rollback")
        assert log.productions()[-1].uid == log.productions()[0].uid
    assert "sound" in place.run("check", "log")
    place.wait_until_gone()


def test_a_model_in_use_is_compared_with_the_winner_of_a_search_by_hand(place: Workplace) -> None:
    write_digits(place.folder / "data.npz", 400)
    options = {"data": "data.npz", "log": "log", "trials": 1, "steps": 60, "trainers": 1, "keep": 1}
    (place.folder / "search.json").write_text(json.dumps(options))
    place.run("refresh", "search.json")

    write_digits(place.folder / "data.npz", 1000)
    place.run("search", "data.npz", "--log", "log", "--trials", "1", "--steps", "60", "--trainers", "1")
    place.run("refresh", "search.json")
    log = TrialLog(str(place.folder / "log"))
    record = log.refreshes()[-1]
    assert record.run == "0002"
    assert set(record.rescored) == {"0001-000001"}
    assert "against 0001-000001" in record.reason
    assert len(log.winners()) == 2, "the winner's test split stays as it was: opened once"

    place.run("search", "data.npz", "--log", "log", "--trials", "1", "--steps", "60", "--trainers", "1")
    assert len(log.winners()) == 2, "what was scored again counts as no trial of the run"
    place.wait_until_gone()


def test_a_refresh_is_seen_at_work_before_its_first_trial(place: Workplace) -> None:
    write_digits(place.folder / "data.npz", 400)
    options = {"data": "data.npz", "log": "log", "trials": 1, "steps": 20, "trainers": 1, "keep": 1}
    (place.folder / "search.json").write_text(json.dumps(options))
    (place.folder / "refusing.json").write_text(json.dumps({**options, "overlap": "refuse"}))
    place.run("refresh", "refusing.json")
    log = TrialLog(str(place.folder / "log"))
    assert not is_at_work(log)

    write_digits(place.folder / "data.npz", 1000)
    scoring = place.msearch("refresh", "search.json")
    wait_for(lambda: log.store.list("heartbeats"), "the refresh beats")
    assert not [each for each in claims(place.folder / "log") if each["uid"].startswith("0002-")]
    assert is_at_work(log)
    finish(scoring)
    assert log.refreshes()[-1].run == "0002"
    assert "0002-r00001" in results(place.folder / "log")
    assert not is_at_work(log), "who ends clears away"
    assert "nothing new" in place.run("refresh", "refusing.json")
    place.wait_until_gone()
