"""Rungs of trials under way, on every filesystem."""

import pytest

from msearch_core.trial_log import layout
from msearch_core.trial_log.rungs import RungRecord, Rungs
from msearch_core.trial_log.store import open_store

UID, OTHER = "0001-000001", "0001-001002"
FOLDERS = ("0001-0", "0001-1")


def record(uid: str = UID, rung: int = 0, objective: float = 0.5, attempt: int = 1) -> RungRecord:
    return RungRecord(uid=uid, attempt=attempt, rung=rung, objective=objective)


@pytest.fixture
def rungs(log_url: str) -> tuple[Rungs, Rungs]:
    return Rungs(open_store(log_url)), Rungs(open_store(log_url))


def test_one_trainer_sees_what_another_has_published(rungs: tuple[Rungs, Rungs]) -> None:
    own, other = rungs
    own.publish(record(rung=0))
    own.publish(record(rung=1, objective=0.7))
    own.publish(record(OTHER, objective=0.9))
    other.refresh(FOLDERS, lambda _: False)
    assert other.reached == own.reached
    assert other.reached[UID][1].objective == 0.7


def test_trials_that_are_done_are_forgotten(rungs: tuple[Rungs, Rungs]) -> None:
    own, other = rungs
    own.publish(record())
    own.publish(record(OTHER))
    other.refresh(FOLDERS, lambda uid: uid == UID)
    assert set(other.reached) == {OTHER}
    other.refresh(FOLDERS, lambda _: True)
    assert other.reached == {}


def test_an_attempt_that_goes_on_from_a_checkpoint_counts_once(rungs: tuple[Rungs, Rungs]) -> None:
    own, other = rungs
    own.publish(record(objective=0.5))
    other.refresh(FOLDERS, lambda _: False)
    own.publish(record(objective=0.6, attempt=2))
    other.refresh(FOLDERS, lambda _: False)
    assert [each.objective for each in other.reached[UID].values()] == [0.5]


def test_damaged_and_foreign_files_are_passed_over(rungs: tuple[Rungs, Rungs], log_url: str) -> None:
    own, other = rungs
    store = open_store(log_url)
    store.create(layout.rung_file(UID, 1, 0), b"{torn")
    for attempt, score in enumerate((b"NaN", b"null", b'"0.5"'), start=2):
        name = layout.rung_file(UID, attempt, 0)
        store.create(name, b'{"uid": "%s", "attempt": %d, "rung": 0, "objective": %s}' % (UID.encode(), attempt, score))
    store.create("rungs/0001-0/notes.txt", b"foreign")
    own.publish(record(rung=1))
    other.refresh(FOLDERS, lambda _: False)
    assert list(other.reached[UID]) == [1]


@pytest.mark.parametrize("name", ["rungs/0001-0/x.1.0.json", "rungs/0001-0/0001-000001.0.json", "notes"])
def test_only_names_of_rungs_are_taken_for_rungs(name: str) -> None:
    assert layout.parse_rung(name) is None
    assert layout.parse_rung(layout.rung_file(UID, 2, 1)) == (UID, 2, 1)
