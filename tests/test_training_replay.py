"""A small search with every kind of trial: what its trainer leaves behind, and whether its trials can be done again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from msearch_core.config import make_config
from msearch_core.data.prepared import open_prepared
from msearch_core.errors import UserError
from msearch_core.proposal import Proposal
from msearch_core.replay import Replay, lines, notes, replay
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import name_winner
from msearch_core.training.replaying import Replayer
from msearch_core.training.rows import proposal_of
from msearch_core.training.spec import TrialResult
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import TrialLog, WinnerRecord
from msearch_core.trial_log.layout import parse_uid
from tests.test_cli import msearch
from tests.test_log_contract import trial

CHILD, ENSEMBLE, STUDENT = "0001-000003", "0001-000004", "0001-000005"


@dataclasses.dataclass
class Searched:
    """A finished search, whose training host is still there."""

    session: Session
    host: TrainingHost
    folder: Path
    winner: WinnerRecord
    proposals: dict[str, Proposal]

    def replayer(self, name: str) -> Replayer:
        folder = self.folder / name
        folder.mkdir()
        return Replayer(self.session.log, self.host, folder)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    folder = tmp_path_factory.mktemp("searched")
    with TrainingHost(folder / "host.log") as host:
        config = make_config(
            data="breast_cancer", log=str(folder / "log"), trials=5, steps=20, ensemble_every=4, distill_every=4,
            space="tests.training_spaces:TABLES", algorithm_options={"random_trials": 1, "random_probability": 0.0},
            tensorboard=str(folder / "tensorboard"),
        )  # fmt: skip
        session = join(config)
        trainer = Trainer(session, host, folder, tensorboard=config.tensorboard)
        proposals = {}
        for claim in trainer.claims():
            proposals[claim.uid] = Proposal.from_json(claim.proposal)
            trainer.run(claim)
        session.log.seal()
        winner = name_winner(session, host, folder)
        assert winner
        yield Searched(session, host, folder, winner, proposals)


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


class TestReplay:
    def test_the_search_has_what_these_tests_are_about(self, searched: Searched) -> None:
        rows = searched.replayer("kinds").rows
        assert [row.kind for row in rows.values()] == ["search", "search", "search", "ensemble", "distill"]
        assert rows[CHILD].inheritance
        assert rows[STUDENT].teacher

    def test_a_row_holds_its_whole_proposal(self, searched: Searched) -> None:
        rows = searched.replayer("proposals").rows
        assert {uid: proposal_of(row) for uid, row in rows.items()} == searched.proposals

    @pytest.mark.parametrize(("uid", "from_scratch"), [(CHILD, True), (ENSEMBLE, False), (STUDENT, False)])
    def test_it_is_equal_to_the_last_bit(self, searched: Searched, uid: str, from_scratch: bool) -> None:
        before = listing(searched.folder / "log")
        done = replay(searched.replayer(f"again-{uid}"), uid, from_scratch=from_scratch)
        assert done.verdict == "bit-equal", done.as_dict()
        assert {"score", "outputs"} <= done.equal.keys()
        assert done.same == {"code": True, "data": True, "versions": True}
        assert list(lines(done))[-1].startswith("bit-equal: score")
        assert listing(searched.folder / "log") == before, "nothing is written to the log"

    def test_a_stopped_trial_is_ended_after_the_same_steps(self, searched: Searched) -> None:
        replayer = searched.replayer("stopped")
        replayer.rows[CHILD] = dataclasses.replace(replayer.rows[CHILD], status="stopped", steps=7, curve=None)
        done = replay(replayer, CHILD)
        assert (done.result.status, done.result.steps, len(done.result.curve or ())) == ("stopped", 7, 4)
        assert any("after the same 7 steps" in note for note in notes(done))

    def test_what_is_gone_is_said(self, searched: Searched) -> None:
        replayer = searched.replayer("gone")
        history = replayer.rows[CHILD]
        replayer.rows[CHILD] = dataclasses.replace(history, parents=("0001-009999",), inheritance={"a": "copied"})
        with pytest.raises(UserError, match="the weights of 0001-009999 are no longer in the log; try --from-scratch"):
            replay(replayer, CHILD)
        done = msearch("replay", str(searched.folder / "log"), "0001-009999")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


class TestAncestors:
    """What is trained again before a trial that is replayed from scratch, from rows made by hand."""

    @staticmethod
    def ancestors(folder: Path, slots: int, parents: int) -> list[int]:
        """The slots that the last one is made from, where each averages those before it."""
        with TrainingHost(folder / "host.log") as host:
            replayer = Replayer(TrialLog(str(folder)), host, folder)
        for slot in range(1, slots + 1):
            uids = tuple(f"0001-{each:06d}" for each in range(max(1, slot - parents), slot))
            averaged = {"proposal": {"shares": dict.fromkeys(uids, 1 / parents)}}
            row = trial(slot, parents=uids, inheritance={"head": "copied"}, extra=averaged)
            replayer.rows[row.uid] = row
        return [parse_uid(uid).number for uid in replayer._ancestors(row)]

    def test_each_comes_once_after_all_that_it_was_made_from(self, tmp_path: Path) -> None:
        assert self.ancestors(tmp_path, slots=60, parents=3) == list(range(1, 60))

    def test_a_long_line_is_no_deep_recursion(self, tmp_path: Path) -> None:
        assert self.ancestors(tmp_path, slots=3000, parents=1) == list(range(1, 3000))


class TestComparison:
    """What is said of a replay, from rows made by hand."""

    @staticmethod
    def compared(now: float | None, **fields: object) -> Replay:
        row = trial(
            1,
            **{
                "status": "completed",
                "objective": 0.9,
                "objective_se": 0.03,
                "space_fingerprint": "a",
                "data_fingerprint": "d",
                **fields,
            },
        )
        result = TrialResult(status="failed" if now is None else "completed", objective=now, objective_se=0.04)
        now_and_here = {
            "data_fingerprint": "d", "space_fingerprint": "b", "versions": {"keras": "2"}, "host": "h",
            "processor": "p",
        }  # fmt: skip
        return Replay(row, result, 2, 64, now_and_here, {"score": now == 0.9, "weights": now == 0.9})

    def test_the_tolerance_is_two_standard_errors_of_the_difference(self) -> None:
        assert self.compared(0.9).tolerance == pytest.approx(0.1)
        verdicts = {now: self.compared(now).verdict for now in (0.9, 0.81, 0.99, 0.79, 1.01, None)}
        assert list(verdicts.values()) == ["bit-equal", "within", "within", "beyond", "beyond", "unscored"]
        assert [self.compared(now).agrees for now in (0.81, 0.79, None)] == [True, False, False]

    def test_scores_on_other_data_do_not_compare(self) -> None:
        done = self.compared(0.9, data_fingerprint="e")
        assert (done.verdict, done.agrees) == ("other data", False)
        assert list(lines(done))[-1] == "the data has CHANGED, so the two scores do not compare: difference +0"

    def test_what_differs_is_named(self) -> None:
        text = "\n".join(lines(self.compared(0.5, versions={"keras": "1"}, host="elsewhere")))
        assert "NOT the same (space" in text
        assert "a on record, b here" in text
        assert "keras 1 on record, 2 here" in text
        assert "elsewhere on record" in text
        assert "BEYOND the tolerance: difference -0.4, tolerance 0.1 (2 standard errors)" in text

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({}, "is not on record; 2 were used"),
            ({"extra": {"training": {"threads": 1}}}, "another number of threads, 1"),
            ({"extra": {"training": {"threads": 2}}}, "2 threads add up in no fixed order"),
            ({"extra": {"training": {"threads": 2, "gpus": 1}}}, "on a GPU"),
            ({"extra": {"training": {"threads": 2, "resumed_at": 50}}, "attempt": 2}, "attempt 2 went on from step 50"),
            ({"extra": {"training": {"threads": 2, "processor": "q"}}}, "another processor: q"),
            ({"batch_size": 32}, "memory ran out at batches of 64"),
            ({"status": "stopped", "steps": 30, "error": "time limit"}, "ended early (time limit)"),
            ({"kind": "rescore"}, "trains nothing"),
        ],
    )
    def test_what_cannot_be_repeated_is_said(self, fields: dict[str, object], said: str) -> None:
        assert any(said in note for note in notes(self.compared(0.9, **fields)))


def test_the_winner_says_what_it_gets_right(searched: Searched) -> None:
    (found,) = searched.winner.answers.values()
    counts = np.array(found["counts"])
    assert found["labels"] == ["benign", "malignant"]
    assert counts.sum() == found["examples"] == len(open_prepared(searched.session.data).splits["validation"])
    assert np.trace(counts) / counts.sum() == pytest.approx(searched.winner.validation["accuracy"])


def test_tensorboard_finds_curves_and_hyperparameters(searched: Searched) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    rows = {uid: row for uid, row in searched.replayer("board").rows.items() if row.kind != "ensemble"}
    folder = searched.folder / "tensorboard"
    assert {path.name for path in folder.iterdir()} == set(rows), "an ensemble trains nothing"
    for uid, row in rows.items():
        events = EventAccumulator(str(folder / uid)).Reload()
        # Scalars are tensors to the accumulator, which knows nothing of TensorFlow 2.
        curve = events.Tensors("validation/accuracy")
        assert [float(make_ndarray(each.tensor_proto)) for each in curve] == pytest.approx(list(row.curve or ()))
        assert [each.step for each in curve] == list(range(2, 21, 2))
        assert len(events.Tensors("train/loss")) == 10
        plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data
        assert plugin.plugin_name == "hparams"
        assert b"dense(units=" in plugin.content


def test_without_tensorboard_nothing_is_written(searched: Searched, tmp_path: Path) -> None:
    replay(searched.replayer("quiet"), CHILD)
    assert not list((searched.folder / "quiet").rglob("events*"))
    with pytest.raises(UserError, match="--tensorboard"):
        make_config(data="digits", tensorboard="https://user:secret@host/folder")
