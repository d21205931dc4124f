"""Who is taken for dead, who is not, and what becomes of their trials: real processes, leases of a second."""

from __future__ import annotations

import dataclasses
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.log_faults import FORK, make_row, run_record, running, search_record, session_without_data
from benchmarks.log_latency import SETTINGS, InstantHost
from msearch_core.session import Session
from msearch_core.space import Proposal
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.proposing import Proposer
from msearch_core.training.spec import PREDICTIONS, WEIGHTS, TrialResult
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import Board, Claim, Heartbeat, Identity, TrialLog, layout
from msearch_core.trial_log.check import Checker
from msearch_core.trial_log.leases import LeaseWatch
from msearch_core.trial_log.store import LocalStore
from tests.test_board import claim, identity

HOURS = 3600.0
LEASE = 1.5


def new_log(url: str, trials: int = 5) -> TrialLog:
    log = TrialLog(url)
    log.open(search_record())
    log.add_run(run_record(trials))
    return log


def watching(log: TrialLog) -> Board:
    """A board with a short lease."""
    board = log.board(run_record(5))
    board.leases = LeaseWatch(lease=LEASE, longest_step=LEASE / 4)
    return board


def look_for(board: Board, seconds: float, until: Callable[[], bool] = lambda: False) -> set[str]:
    """Look ten times a second; every trial that was taken for abandoned meanwhile."""
    abandoned: set[str] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        board.look()
        abandoned |= set(board.abandoned())
        time.sleep(0.1)
    return abandoned


def set_clock(offset: float) -> None:
    """Let this process believe that it is some hours earlier or later."""
    right = time.time
    time.time = lambda: right() + offset


def beat(url: str, slot: int, offset: float) -> None:
    """A trainer on another machine, whose clock is wrong: claim a slot and beat for ever."""
    set_clock(offset)
    log, me = TrialLog(url), identity(f"trainer-{slot}-abc")
    with Heartbeat(log.store, me.trainer, interval=0.1):
        log.board(run_record(5)).claim(claim(slot, me))
        time.sleep(1000)


def observe(url: str, offset: float, report: Any) -> None:
    set_clock(offset)
    board = watching(TrialLog(url))
    while True:
        look_for(board, 0.3)
        report.put(sorted(board.abandoned()))


def test_clocks_that_are_hours_apart_declare_nobody_dead_and_find_the_dead(tmp_path: Path) -> None:
    log, report = new_log(str(tmp_path)), FORK.Queue()
    trainers = [FORK.Process(target=beat, args=(log.url, slot, -5 * HOURS * slot)) for slot in (1, 2)]
    with running([*trainers, FORK.Process(target=observe, args=(log.url, 7 * HOURS, report))]):
        ends = time.monotonic() + 60
        while len(log.store.list("claims")) < 2:
            assert time.monotonic() < ends
            time.sleep(0.05)
        for path in tmp_path.rglob("*"):  # the server that keeps the files is wrong, too
            os.utime(path, (time.time() + 20 * HOURS,) * 2)
        found = [report.get(timeout=30) for _ in range(8)]
        assert found[-4:] == [[]] * 4, "both are alive for several leases"
        trainers[0].kill()
        ends = time.monotonic() + 30
        while report.get(timeout=30) != ["0001-000001"]:
            assert time.monotonic() < ends, "the dead one is found"
        assert [report.get(timeout=30) for _ in range(4)] == [["0001-000001"]] * 4, "and the other one is still alive"


class OutOfOrder(LocalStore):
    """A store that answers nobody for a while."""

    down = False

    def create(self, name: str, data: bytes) -> bool:
        self._answer()
        return super().create(name, data)

    def list(self, folder: str) -> list[str]:
        self._answer()
        return super().list(folder)

    def _answer(self) -> None:
        if self.down:
            raise OSError("503 Service Unavailable")


def test_while_a_store_errs_nobody_is_declared_dead(tmp_path: Path) -> None:
    log = new_log(str(tmp_path))
    store = OutOfOrder(log.store.fs, log.store.root)
    board = watching(log)
    board.store = store
    board.claim(claim(1, identity("alive-1-abc")))
    board.claim(claim(2, identity("dead-2-abc")))
    store.create(layout.heartbeat_file("dead-2-abc", 0), b"")
    with Heartbeat(store, "alive-1-abc", interval=0.1):
        assert look_for(board, LEASE / 2) == set()
        store.down = True
        ends = time.monotonic() + 2 * LEASE
        while time.monotonic() < ends:
            with pytest.raises(OSError, match="503"):
                board.look()
            time.sleep(0.1)
        store.down = False
        board.look()
        assert board.abandoned() == [], "silence does not count while the store errs"
        assert look_for(board, 2 * LEASE) == {"0001-000002"}, "and counts again when it answers"


def with_settings(url: str, trials: int) -> Session:
    session = session_without_data(url, trials)
    return dataclasses.replace(session, search=dataclasses.replace(session.search, settings=SETTINGS))


def work_or_die(url: str, trials: int) -> None:
    """A trainer that the first trial kills."""
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(with_settings(url, trials), InstantHost(), Path(scratch))
        with trainer.heartbeat():
            for claim in trainer.claims():
                if claim.uid == "0001-000001" and claim.lost < 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                trainer.run(claim)


def test_a_trial_that_kills_its_trainers_is_given_up_and_the_others_are_tried(tmp_path: Path) -> None:
    log = new_log(str(tmp_path), trials=4)
    exits = []
    for _ in range(4):
        process = FORK.Process(target=work_or_die, args=(log.url, 4))
        process.start()
        process.join(60)
        exits.append(process.exitcode)
    assert exits == [-signal.SIGKILL] * 3 + [0]
    rows = log.trials().set_index("slot")
    assert rows["status"].to_dict() == {1: "failed", 2: "completed", 3: "completed", 4: "completed"}
    assert (rows.loc[1, "error"], rows.loc[1, "attempt"]) == ("lost 3 trainers", 4)


def finish(session: Session, attempt: Claim, folder: Path) -> bool:
    """Publish what an attempt leaves, as a trainer does."""
    output = folder / f"attempt-{attempt.attempt}"
    output.mkdir()
    for name in (WEIGHTS, PREDICTIONS):
        (output / name).write_bytes(f"of attempt {attempt.attempt}".encode())
    names = Artefacts(session.log.store).publish(attempt, output)
    result = TrialResult(status="completed", objective=attempt.attempt / 10, steps=1)
    return session.log.append(make_row(session, attempt, attempt.identity, result, **names))


@pytest.mark.parametrize("zombie_first", [False, True])
def test_of_a_zombie_and_its_successor_the_first_result_stands(tmp_path: Path, zombie_first: bool) -> None:
    log = new_log(str(tmp_path / "log"))
    session = with_settings(log.url, 5)
    zombie = Proposer(session, identity("zombie-1-abc"))
    log.store.create(layout.heartbeat_file("zombie-1-abc", 0), b"")  # and never again
    zombie.look()
    first = zombie.next()
    successor = Proposer(session, Identity.of_this_process())
    successor.board.leases = LeaseWatch(lease=LEASE, longest_step=LEASE / 4)
    assert look_for(successor.board, 10, until=lambda: bool(successor.board.abandoned())) <= {"0001-000001"}
    second = successor.next()
    assert first
    assert second
    assert (second.uid, second.attempt, second.lost) == (first.uid, 2, 1)
    assert Proposal.from_json(second.proposal) == Proposal.from_json(first.proposal)
    order = [first, second] if zombie_first else [second, first]
    assert [finish(session, attempt, tmp_path) for attempt in order] == [True, False]
    log.seal()
    rows = TrialLog(log.url).trials()
    winner = order[0].attempt
    assert rows["attempt"].tolist() == [winner]
    for column in ("weights", "predictions"):
        assert log.store.read(rows[column][0]) == f"of attempt {winner}".encode()
        assert len(log.store.list(column)) == 2, "the other's are there under a name of their own"
    report = Checker(log.store).report()
    assert report.is_sound
    assert {finding.what for finding in report.findings} == {"belongs to a finished trial that does not name it"}
