"""A log with damaged and foreign files in each of its folders is read, searched to its end and checked all the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.log_faults import make_row, run_record, search_record, session_without_data
from msearch_core.errors import UserError
from msearch_core.training.proposing import Proposer
from msearch_core.training.spec import TrialResult
from msearch_core.trial import to_parquet, to_table
from msearch_core.trial_log import CorruptChunkError, Identity, TrialLog, layout, take_key
from msearch_core.trial_log.check import Checker
from tests.test_log_contract import read_plainly, trial

TRIALS = 6
SOUND = to_parquet(to_table([trial(1)]))
BAD = {"empty": b"", "truncated": SOUND[: len(SOUND) // 2], "noise": bytes(range(256)) * 4, "another file": b"[1, 2]"}
KEY = "0123456789abcdef"

VOID = "results/0001-0/0001-000003.parquet"
IGNORED = (
    "results/0001-0/notes.parquet",
    "results/notes.txt",
    "claims/0001-0/0001-000002.1.json",  # a proposal that is lost, and made anew
    "claims/0001-0/0001-000004.1.released",
    "claims/0001-0/notes.txt",
    f"claims/keys/0001-{KEY}.1",
    "claims/keys/notes",
    "runs/notes.json",
    "runs/0001.2.old",
    "heartbeats/notes.txt",
    "heartbeats/somebody-1-abc/notes",
    "heartbeats/somebody-1-abc/7",
    "winners/notes.json",
    "weights/notes",
    "predictions/0001-000001.1.npy",
    "notes",
)


def finish_run(log: TrialLog) -> Proposer:
    """One trainer works until the run is over."""
    session, me = session_without_data(log.url, TRIALS), Identity.of_this_process()
    proposer = Proposer(session, me)
    proposer.look()
    for _ in range(3 * TRIALS):
        if proposer.board.is_over:
            break
        claim = proposer.next()
        assert claim
        session.log.append(make_row(session, claim, me, TrialResult(status="completed", objective=0.5, steps=1)))
        proposer.look()
    assert proposer.board.is_over
    return proposer


@pytest.fixture
def log(tmp_path: Path) -> TrialLog:
    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.add_run(run_record(TRIALS))
    log.append(dataclasses.replace(trial(1), run="0001", slot=1))
    return log


@pytest.mark.parametrize("bad", BAD)
def test_a_search_goes_on_to_its_exact_end(log: TrialLog, bad: str) -> None:
    paths = [Path(log.store.root, name) for name in (VOID, *IGNORED)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BAD[bad])
    proposer = finish_run(log)
    log.seal()
    rows = TrialLog(log.url).trials()
    assert rows["slot"].tolist() == [1, 2, 4, 5, 6, 7], "a slot more in place of the void one"
    assert proposer.board.slots == TRIALS + 1
    assert all(path.read_bytes() == BAD[bad] for path in paths), "nothing is overwritten"
    assert sorted(read_plainly(log)["uid"]) == rows["uid"].tolist()
    report = Checker(log.store).report()
    assert report.rows == TRIALS
    assert [finding.name for finding in report.findings if finding.level == "error"] == [VOID]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["search.json", "runs/0001.2.json", "runs/0001.1.stop.json", "winners/1.json"])
def test_a_record_that_all_depends_on_is_named_in_one_line(log: TrialLog, name: str, bad: str) -> None:
    path = Path(log.store.root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BAD[bad])
    operation = {
        "search.json": log.search,
        "runs/0001.2.json": log.runs,
        "runs/0001.1.stop.json": log.board(run_record(TRIALS)).look,
        "winners/1.json": log.winners,
    }[name]
    with pytest.raises(UserError, match=name) as refusal:
        operation()
    assert "\n" not in str(refusal.value)
    assert any(each.name == name for each in Checker(log.store).report().findings)


@pytest.mark.parametrize("bad", BAD)
def test_a_damaged_chunk_is_never_read_as_no_trials(log: TrialLog, bad: str) -> None:
    path = Path(log.store.root, layout.chunk_file(1))
    path.write_bytes(BAD[bad])
    for operation in (TrialLog(log.url).trials, TrialLog(log.url).seal, log.board(run_record(TRIALS)).look):
        with pytest.raises(CorruptChunkError, match=r"check .* --repair"):
            operation()


@pytest.mark.parametrize("bad", BAD)
def test_a_damaged_mark_belongs_to_nobody(log: TrialLog, bad: str) -> None:
    log.store.create(layout.key_file("0001", KEY, 1), BAD[bad])
    assert take_key(log.store, "0001", "0001-000002", KEY)
    assert not take_key(log.store, "0001", "0001-000003", KEY)
