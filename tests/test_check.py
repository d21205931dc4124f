"""What `check` finds, what `repair` rebuilds and what `prune` spares."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from msearch_core.trial import to_row
from msearch_core.trial_log import CorruptChunkError, TrialLog, layout, results
from msearch_core.trial_log.check import Checker, repair
from msearch_core.trial_log.pruning import prunable, prune
from msearch_core.trial_log.records import StopRecord, WinnerRecord
from tests.test_board import claim, identity
from tests.test_log_contract import read_plainly, run_record, search_record, trial


@pytest.fixture
def log(log_url: str) -> TrialLog:
    log = TrialLog(log_url)
    log.open(search_record())
    log.add_run(run_record(30))
    for slot in range(1, 13):
        log.append(trial(slot))
    return log


def findings(log: TrialLog, level: str) -> list[str]:
    return [f"{each.name} {each.what}" for each in Checker(log.store).report().findings if each.level == level]


def test_a_sound_log(log: TrialLog) -> None:
    report = Checker(log.store).report()
    assert report.is_sound
    assert report.findings == ()
    assert (report.rows, report.unsealed) == (12, 0)


@pytest.mark.parametrize(
    ("name", "data", "level", "what"),
    [
        (layout.result_file("0001-000027"), b"PAR1", "error", "slot is void"),
        (layout.result_file("0001-000027"), b"", "error", "slot is void"),
        ("results/0001-0/readme.txt", b"hello", "note", "no result"),
        ("trials/readme.txt", b"hello", "error", "no chunk"),
        (layout.chunk_file(900), b"PAR1 torn", "error", "cannot be decoded"),
        (layout.claim_file("0001-000028", 1), b"{", "note", "another proposal"),
        ("claims/0001-0/notes", b"", "note", "no claim"),
        ("runs/0002.1.json", b"[]", "error", "cannot be read"),
        ("winners/1.json", b"{", "error", "cannot be read"),
        ("weights/0001-000003.1.safetensors", b"x", "note", "does not name it"),
    ],
)
def test_each_kind_of_bad_file_is_found(log: TrialLog, name: str, data: bytes, level: str, what: str) -> None:
    log.store.create(name, data)
    found = findings(log, level)
    assert any(each.startswith(name) and what in each for each in found), found
    assert Checker(log.store).report().is_sound == (level == "note")


def test_a_row_that_is_damaged_in_one_of_its_copies_is_read_from_the_other(log: TrialLog) -> None:
    data = bytearray(results.encode(to_row(trial(27, objective=0.25))))
    data[data.rindex(b'"objective":0.25') + 13] ^= 1  # of the copy
    log.store.create(layout.result_file("0001-000027"), bytes(data))
    assert "the other one is read" in findings(log, "note")[0]
    assert TrialLog(log.url).trials()["objective"].iloc[-1] == 0.25


def test_weights_that_are_gone_are_noted(log: TrialLog) -> None:
    log.append(trial(26, weights="weights/0001-000026.1.safetensors"))
    assert "children start fresh" in findings(log, "note")[0]


def test_a_lost_chunk_stops_sealing_until_it_is_rebuilt(log: TrialLog) -> None:
    before = sorted(TrialLog(log.url).trials()["uid"])
    for number, bad in ((3, b"PAR1 torn"), (5, None)):
        log.store.delete(layout.chunk_file(number))
        if bad:
            log.store.create(layout.chunk_file(number), bad)
    with pytest.raises(CorruptChunkError, match="check"):
        TrialLog(log.url).trials()
    with pytest.raises(CorruptChunkError):
        TrialLog(log.url).seal()
    assert repair(log.store) == [layout.chunk_file(3), layout.chunk_file(5)]
    assert Checker(log.store).report().is_sound
    assert sorted(TrialLog(log.url).trials()["uid"]) == before
    assert sorted(read_plainly(log)["uid"]) == before
    log.append(trial(27))
    assert TrialLog(log.url).seal() in (0, 1)
    assert len(read_plainly(log)) == 13


def test_a_doubled_row_is_an_error(log: TrialLog) -> None:
    last = max(number for name in log.store.list("trials") if (number := layout.chunk_number(name)) is not None)
    log.store.create(layout.chunk_file(last + 1), log.store.read(layout.chunk_file(last)))
    assert any("on record 2 times" in each for each in findings(log, "error"))


def test_dead_owners_are_told(tmp_path: Path) -> None:
    from msearch_core.trial_log import Identity

    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.add_run(run_record(5))
    gone = dataclasses.replace(Identity.of_this_process(), pid=2**22 - 1)
    log.board(log.runs()[0]).claim(claim(1, gone))
    log.board(log.runs()[0]).claim(claim(2, identity()))
    found = findings(log, "note")
    assert len(found) == 1
    assert "is dead" in found[0]


class TestPrune:
    def add(self, log: TrialLog, slot: int, objective: float | None, **fields: object) -> None:
        names = {kind: f"{kind}/0001-{slot:06d}.1.bin" for kind in ("weights", "predictions")}
        for name in names.values():
            log.store.create(name, b"x" * 10)
        log.append(trial(slot, run="0001", direction="max", objective=objective, **names, **fields))

    def test_only_what_nothing_needs_goes(self, log_url: str) -> None:
        log = TrialLog(log_url)
        log.open(search_record())
        log.add_run(run_record(10))
        for slot, objective in ((1, 0.1), (2, 0.2), (3, 0.9), (4, 0.8), (5, None), (6, 0.3)):
            self.add(log, slot, objective)
        log.add_winner(
            WinnerRecord(run="0001", trials=1, uid="0001-000001", model="", validation={}, test={}, test_openings=1)
        )
        child = dataclasses.replace(claim(7), proposal={"architecture": ["a"], "parents": ["0001-000002"]})
        log.board(log.runs()[0]).claim(child)
        log.store.create("weights/0001-000007/000001.1.safetensors", b"checkpoint of the trial under way")
        expected = [f"{kind}/0001-00000{slot}.1.bin" for kind in ("predictions", "weights") for slot in (5, 6)]
        assert prunable(log, keep=2) == expected
        rows = log.trials()
        prune(log, expected)
        assert prunable(log, keep=2) == []
        pd.testing.assert_frame_equal(log.trials(), rows)
        assert "weights/0001-000007/000001.1.safetensors" in log.store.list("weights")

    @pytest.mark.parametrize("end", ["budget", "time"])
    def test_what_may_still_be_promoted_stays_until_the_run_is_over(self, log_url: str, end: str) -> None:
        log = TrialLog(log_url)
        log.open(search_record())
        log.add_run(run_record(3 if end == "budget" else 1000))
        for slot, objective in ((1, 0.9), (2, 0.1)):
            self.add(log, slot, objective)
            log.store.create(f"weights/0001-00000{slot}/000001.1.safetensors", b"where a promotion would go on")
        assert prunable(log, keep=1) == []
        if end == "budget":
            log.append(trial(3, run="0001", direction="max", objective=None))
        else:
            log.stop(log.runs()[0], StopRecord(reason="1 minutes", minutes=1.0))
        ending = "0001-000002.1.bin"
        assert prunable(log, keep=1) == [
            f"predictions/{ending}", f"weights/{ending}", "weights/0001-000002/000001.1.safetensors"
        ]  # fmt: skip

    def test_a_model_that_was_scored_again_keeps_its_weights(self, log_url: str) -> None:
        log = TrialLog(log_url)
        log.open(search_record())
        self.add(log, 1, 0.9)
        again = {"kind": "rescore", "objective": 0.1, "weights": "weights/0001-000001.1.bin"}
        log.append(dataclasses.replace(trial(1, run="0002", direction="max", **again), uid="0002-r00001"))
        log.append(dataclasses.replace(trial(1, run="0002", direction="max", objective=0.5), uid="0002-000001"))
        assert prunable(log, keep=1) == []
