"""Of several searches that end a run together, one at a time opens the test split."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from msearch_core.trial_log import Identity, TrialLog, layout, opening
from msearch_core.trial_log.check import Checker
from msearch_core.trial_log.claims import Owned
from msearch_core.trial_log.store import Store
from tests.test_board import identity
from tests.test_log_contract import search_record


@pytest.fixture(params=["folder", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrialLog]:
    made = TrialLog(str(tmp_path / "log") if request.param == "folder" else f"memory://openings/{tmp_path.name}")
    made.open(search_record())
    yield made
    for name in made.store.list(""):
        made.store.delete(name)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msearch_core.trial_log.openings.LOOK_SECONDS", 0.01)


def leave(store: Store, owner: Identity, attempt: int = 1) -> None:
    """An attempt that somebody made."""
    assert store.create(layout.opening_file("0001", 3, attempt), Owned(owner=dataclasses.asdict(owner)).to_bytes())


def test_one_opens_it_and_the_others_wait_for_what_it_finds(log: TrialLog) -> None:
    settled, opened = threading.Event(), []

    def search(number: int) -> int | None:
        with opening(log.store, "0001", 3, settled.is_set) as attempt:
            if attempt is not None:
                opened.append(number)
                assert not settled.wait(0.2)
                settled.set()
            return attempt

    with ThreadPoolExecutor(4) as pool:
        attempts = list(pool.map(search, range(4)))
    assert sorted(attempts, key=str) == [1, None, None, None]
    assert len(opened) == 1
    assert log.store.list("heartbeats") == []
    assert not Checker(log.store).report().findings


def test_who_died_at_it_is_followed(log: TrialLog) -> None:
    dead = dataclasses.replace(Identity.of_this_process(), pid=2**22 - 1)
    for attempt in (1, 2):
        leave(log.store, dead, attempt)
    with opening(log.store, "0001", 3, lambda: False) as attempt:
        assert attempt == 3


def test_who_is_silent_elsewhere_is_waited_for_as_long_as_a_lease(
    log: TrialLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(log.store, identity("elsewhere-1-abc"))
    looks = iter(range(1000))
    # Each look comes ten seconds after the one before.
    monkeypatch.setattr("msearch_core.trial_log.openings.time.monotonic", lambda: 10.0 * next(looks))
    with opening(log.store, "0001", 3, lambda: False) as attempt:
        assert attempt == 2
    assert next(looks) == 8, "the lease is a minute, and begins with the second look"


def test_who_fails_at_it_makes_way_at_once(log: TrialLog) -> None:
    with pytest.raises(RuntimeError), opening(log.store, "0001", 3, lambda: False):
        raise RuntimeError("the model does not survive being saved")
    with opening(log.store, "0001", 3, lambda: False) as attempt:
        assert attempt == 2


def test_who_waits_may_give_up(log: TrialLog) -> None:
    leave(log.store, identity("elsewhere-1-abc"))
    with (
        pytest.raises(InterruptedError, match="elsewhere-1-abc opens the test split of run 0001"),
        opening(log.store, "0001", 3, lambda: False, lambda: True),
    ):
        raise AssertionError("it was not its turn")


def test_the_winner_of_a_larger_budget_is_another_one(log: TrialLog) -> None:
    leave(log.store, Identity.of_this_process())
    with opening(log.store, "0001", 5, lambda: False) as attempt:
        assert attempt == 1
