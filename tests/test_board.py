"""Claims, leases and takeover, on every filesystem where it matters."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.trial import to_parquet, to_table
from msearch_core.trial_log import Claim, Heartbeat, Identity, StopRecord, TrialLog, layout, take_key
from msearch_core.trial_log.leases import LONGEST_STEP_SECONDS, LeaseWatch, look_interval, start_of
from msearch_core.trial_log.sealing import chunk_size
from tests.test_log_contract import run_record, search_record, trial

KEY = "0123456789abcdef"


def identity(trainer: str = "elsewhere-1-abc", **fields: object) -> Identity:
    defaults: dict[str, object] = {"host": "elsewhere", "machine": "other", "pid": 1, "started": 0.0}
    return Identity(trainer=trainer, **(defaults | fields))  # type: ignore[arg-type]


def claim(slot: int, owner: Identity | None = None, attempt: int = 1, key: str = KEY) -> Claim:
    owner = owner or identity()
    return Claim(
        uid=f"0001-{slot:06d}",
        attempt=attempt,
        owner=dataclasses.asdict(owner),
        proposal={"architecture": ["a"]},
        key=key,
    )


@pytest.fixture
def log(log_url: str) -> TrialLog:
    log = TrialLog(log_url)
    log.open(search_record())
    log.add_run(run_record(5))
    return log


def test_results_are_compacted_when_they_are_a_tenth() -> None:
    log = TrialLog("memory://tenth")
    log.add_run(run_record(60))
    board = log.board(run_record(60))
    sealed = []
    for slot in range(1, 61):
        log.append(trial(slot), board)
        sealed.append(board.seal_if_due())
    assert sealed[:20] == [1] * 20, "a short log is sealed at once"
    assert [each for each in sealed[20:] if each] == [2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5], "a tenth of those before"
    assert chunk_size(10**6) == 250


def test_slots_go_from_free_to_claimed_to_done(log: TrialLog) -> None:
    board, other = log.board(log.runs()[0]), log.board(log.runs()[0])
    board.look()
    assert list(board.free()) == [1, 2, 3, 4, 5]
    assert board.claim(claim(1))
    assert list(board.free()) == [2, 3, 4, 5]
    assert not other.claim(claim(1, identity("late-2-abc")))
    other.look()
    assert [each.uid for each in other.pending()] == ["0001-000001"]
    log.append(trial(1))
    other.look()
    assert other.pending() == []
    assert other.take().column("uid").to_pylist() == ["0001-000001"]
    assert other.take().num_rows == 0
    for slot in range(2, 6):
        assert not other.is_over
        log.append(trial(slot))
        other.look()
    assert other.is_over
    assert list(other.free()) == []


def test_a_larger_budget_opens_slots(log: TrialLog) -> None:
    board = log.board(log.runs()[0])
    for slot in range(1, 6):
        log.append(trial(slot))
    board.look()
    assert board.is_over
    log.add_run(run_record(7, extension=2))
    board.look()
    assert not board.is_over
    assert list(board.free()) == [6, 7]


def test_a_stop_ends_one_budget(log: TrialLog) -> None:
    board = log.board(log.runs()[0])
    board.claim(claim(1))
    log.stop(log.runs()[0], StopRecord(reason="time"))
    board.look(now=0.0)
    assert board.stopped is not None
    assert not board.is_over  # one trial is still under way
    log.append(trial(1))
    board.look(now=1.0)
    assert board.is_over
    log.add_run(run_record(7, extension=2))
    board.look(now=2.0)
    assert not board.is_over


def test_released_claims_are_taken_over_at_once(log: TrialLog) -> None:
    board, other = log.board(log.runs()[0]), log.board(log.runs()[0])
    board.claim(claim(1))
    board.release(claim(1))
    other.look()
    assert other.abandoned() == ["0001-000001"]
    first = other.claims.latest["0001-000001"]
    assert first is not None
    assert other.claim(first.taken_over_by(identity("second-1-abc")))
    board.look()
    assert board.abandoned() == []
    assert board.claims.attempts["0001-000001"] == 2
    assert board.claims.latest["0001-000001"].proposal == {"architecture": ["a"]}  # type: ignore[union-attr]


def test_silent_trainers_lose_their_claims_and_beating_ones_keep_them(log: TrialLog) -> None:
    board = log.board(log.runs()[0])
    board.claim(claim(1, identity("silent-1-abc")))
    board.claim(claim(2, identity("beating-2-abc")))
    log.store.create(layout.heartbeat_file("silent-1-abc", 0), b"")
    for second in range(0, 80, 10):
        log.store.create(layout.heartbeat_file("beating-2-abc", second), b"")
        board.look(now=float(second))
    assert board.abandoned() == ["0001-000001"]


def test_a_process_that_died_on_this_machine_is_known_at_once(tmp_path) -> None:
    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.add_run(run_record(5))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = Identity.of_this_process()
    owner = dataclasses.replace(here, trainer="child-1-abc", pid=child.pid, started=start_of(child.pid))
    board = log.board(log.runs()[0])
    board.claim(claim(1, owner))
    board.claim(claim(2, here))
    board.look()
    assert board.abandoned() == []
    child.kill()
    child.wait()
    assert board.abandoned() == ["0001-000001"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"uid": "0001-000001"}', b"\xff"])
def test_a_claim_that_cannot_be_read_is_abandoned(log: TrialLog, data: bytes) -> None:
    log.store.create(layout.claim_file("0001-000001", 1), data)
    board = log.board(log.runs()[0])
    board.look()
    assert board.abandoned() == ["0001-000001"]
    assert list(board.free()) == [2, 3, 4, 5]


def test_many_racing_trainers_get_each_slot_once(log: TrialLog) -> None:
    log.add_run(run_record(20, extension=2))

    def work(number: int) -> list[str]:
        board, mine = log.board(log.runs()[0]), []
        while True:
            board.look()
            free = list(board.free())
            if not free:
                return mine
            if board.claim(claim(free[0], identity(f"trainer-{number}-abc"))):
                mine.append(board.uid(free[0]))

    with ThreadPoolExecutor(4) as pool:
        won = [uid for uids in pool.map(work, range(4)) for uid in uids]
    assert sorted(won) == [f"0001-{slot:06d}" for slot in range(1, 21)]


def test_a_proposal_is_tried_once_in_a_run(log: TrialLog) -> None:
    assert take_key(log.store, "0001", "0001-000001", KEY)
    assert take_key(log.store, "0001", "0001-000001", KEY)  # the same slot comes again
    assert not take_key(log.store, "0001", "0001-000002", KEY)
    assert take_key(log.store, "0002", "0002-000001", KEY)


def test_a_mark_left_by_the_loser_of_a_slot_is_passed_over_once(log: TrialLog) -> None:
    assert take_key(log.store, "0001", "0001-000001", KEY)
    log.board(log.runs()[0]).claim(claim(1, key="f" * 16))  # another trainer won the slot with another proposal
    assert take_key(log.store, "0001", "0001-000002", KEY)
    assert not take_key(log.store, "0001", "0001-000003", KEY)


def test_the_first_look_at_a_long_log_finds_the_open_end(tmp_path) -> None:
    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.add_run(run_record(3000))
    log.store.create(layout.chunk_file(1), to_parquet(to_table(trial(slot) for slot in range(1, 2099))))
    for slot in (2099, 2100):
        log.append(trial(slot))
    board = log.board(log.runs()[0])
    board.claim(claim(2101))
    fresh = TrialLog(str(tmp_path)).board(log.runs()[0])
    fresh.look()
    assert fresh.done == 2100
    assert next(fresh.free()) == 2102
    assert [each.uid for each in fresh.pending()] == ["0001-002101"]


class TestLeaseWatch:
    def test_silence_counts_only_while_listings_succeed(self) -> None:
        watch = LeaseWatch(lease=60)
        watch.observe(["heartbeats/a/1"], now=0)
        watch.lost_sight()  # the store errs for ten minutes
        watch.observe(["heartbeats/a/1"], now=600)
        assert not watch.is_dead("a")
        for now in range(610, 671, 10):
            watch.observe(["heartbeats/a/1"], now=now)
        assert watch.is_dead("a")

    def test_waking_from_a_long_sleep_declares_nobody_dead(self) -> None:
        watch = LeaseWatch(lease=60)
        watch.observe(["heartbeats/a/1"], now=0)
        watch.observe(["heartbeats/a/1"], now=36_000)
        assert not watch.is_dead("a")

    def test_a_trainer_that_never_beats_is_given_one_lease(self) -> None:
        watch = LeaseWatch(lease=60)
        assert not watch.is_dead("ghost")
        for now in range(0, 90, 10):
            watch.observe([], now=now)
        assert watch.is_dead("ghost")

    @given(st.lists(st.floats(0, 20), min_size=1, max_size=40))
    def test_a_beat_at_each_look_keeps_anyone_alive(self, steps: list[float]) -> None:
        watch, now = LeaseWatch(lease=60), 0.0
        for counter, step in enumerate(steps):
            now += step
            watch.observe([f"heartbeats/a/{counter}"], now)
            assert not watch.is_dead("a")


@given(st.floats(0.1, 20), st.integers(0, 10_000), st.integers(0, 10_000))
def test_many_trainers_look_less_often_each_but_as_often_together(least: float, some: int, more: int) -> None:
    few, many = sorted((some, more))
    assert least <= look_interval(least, few) <= look_interval(least, many) <= LONGEST_STEP_SECONDS
    assert look_interval(least, 1) == least
    if least < look_interval(least, few) < LONGEST_STEP_SECONDS:
        assert look_interval(least, few) / few == pytest.approx(look_interval(0, 1))


def test_heartbeats_advance_and_clean_up(tmp_path) -> None:
    log = TrialLog(str(tmp_path))
    with Heartbeat(log.store, "trainer-1-abc", interval=0.02):
        seen = set()
        while len(seen) < 5:
            seen.update(log.store.list("heartbeats"))
            assert len(log.store.list("heartbeats")) <= 3
    assert log.store.list("heartbeats") == []


def test_the_number_of_trainers_can_be_changed_while_they_work(log: TrialLog) -> None:
    board = log.board(log.runs()[0])
    board.look()
    assert board.trainers is None
    log.set_trainers("0001", 4)
    log.set_trainers("0001", 2)
    log.set_trainers("0002", 9)
    board.look()
    assert board.trainers == 2
    assert [run.run for run in log.runs()] == ["0001"], "it is no budget"
