"""Naming the winner: the test split is opened once, whatever befalls the store or whoever else ends the run."""

from __future__ import annotations

import builtins
import dataclasses
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from msearch_core.config import make_config
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import name_winner
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import TrialLog, WinnerRecord
from msearch_core.trial_log.patience import LONGEST_SECONDS
from msearch_core.trial_log.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("finishing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(made / "cache"))
        yield made


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[TrainingHost]:
    with TrainingHost(folder / "host.log") as started:
        yield started


def searched(folder: Path, host: TrainingHost, name: str) -> Session:
    """A run whose only trial has ended, and whose winner nobody has named."""
    made = join(make_config(data="wine", log=str(folder / name), steps=60, algorithm="random", trials=1))
    trainer = Trainer(made, host, folder)
    for claim in trainer.claims():
        assert trainer.run(claim)
    return made


class Erring(Store):
    """A store that answers each request only when it is repeated."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.fs, store.root)
        self.store = store
        self.errors = 0
        self._asked: set[tuple[str, str]] = set()

    def create(self, name: str, data: bytes) -> bool:
        self._err("create", name)
        return self.store.create(name, data)

    def read(self, name: str) -> bytes:
        self._err("read", name)
        return self.store.read(name)

    def list(self, folder: str) -> builtins.list[str]:
        self._err("list", folder)
        return self.store.list(folder)

    def _err(self, *request: str) -> None:
        if request not in self._asked:
            self._asked.add(request)
            self.errors += 1
            raise OSError("503 Service Unavailable")


def test_the_test_split_is_opened_once_though_the_store_errs(
    folder: Path, host: TrainingHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msearch_core.trial_log.patience.FIRST_SECONDS", 0.01)
    run = searched(folder, host, "erring")
    store = Erring(run.log.store)
    winner = name_winner(dataclasses.replace(run, log=TrialLog(store)), host, folder)
    assert winner
    assert store.errors > 6
    assert [each.test_openings for each in run.log.winners()] == [1]


def test_a_search_that_is_told_to_stop_does_not_wait_for_the_store(folder: Path, host: TrainingHost) -> None:
    run = searched(folder, host, "stopping")
    away = dataclasses.replace(run, log=TrialLog(Erring(run.log.store)))
    began = time.monotonic()
    with pytest.raises(OSError, match="503"):
        name_winner(away, host, folder, give_up=lambda: True)
    assert time.monotonic() - began < LONGEST_SECONDS
    assert run.log.winners() == []


def test_of_two_searches_that_end_a_run_together_one_opens_the_test_split(folder: Path, host: TrainingHost) -> None:
    run = searched(folder, host, "together")
    began = threading.Barrier(2)

    def end(name: str) -> WinnerRecord | None:
        with TrainingHost(folder / f"{name}.log") as own:
            joined = dataclasses.replace(run, log=TrialLog(run.log.url))
            began.wait()
            return name_winner(joined, own, folder / name)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(end, ("one", "other"))
    assert first
    assert first == second
    assert run.log.winners() == [first]
    assert first.test_openings == 1
