"""What befalls trials that learn from others: each is classified, its row says what was amiss, and the search goes on.

One search by promotion, and one whose trials are proposed by hand, both with a real training host.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from msearch_core.algorithms.early_stopping import RUNGS
from msearch_core.config import make_config
from msearch_core.replay import replay
from msearch_core.report.compare import compare
from msearch_core.session import Session, join
from msearch_core.space import Proposal
from msearch_core.training import spec
from msearch_core.training.checkpoints import load, save
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import name_winner
from msearch_core.training.replaying import Replayer
from msearch_core.training.spec import TrialSpec
from msearch_core.training.trainer import Trainer
from msearch_core.trial import Trial
from msearch_core.trial_log import Claim
from msearch_core.trial_log.check import Checker
from msearch_core.trial_log.layout import artefact_file, checkpoint_file, checkpoint_folder
from msearch_core.trial_log.pruning import prunable
from msearch_core.trial_log.store import Store

pytestmark = pytest.mark.slow

STEPS = 60
TRIALS = 8
"""Six at the first rung, two at the second."""
NOBODY = 2**22 + 1
"""A process id that no process has."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(made / "cache"))
        yield made


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[TrainingHost]:
    with TrainingHost(folder / "host.log") as started:
        yield started


def session(folder: Path, name: str, **options: Any) -> Session:
    return join(make_config(data="wine", log=str(folder / name), steps=STEPS, algorithm="random", **options))


def dead_trainer(made: Session, host: TrainingHost, folder: Path, name: str) -> Trainer:
    """A trainer whose process everybody on this machine knows to be gone."""
    found = Trainer(made, host, folder)
    found.me = found.proposer.me = dataclasses.replace(found.me, trainer=f"{name}-1-abc", pid=NOBODY)
    found.proposer.look()
    return found


def damage(store: Store, name: str) -> None:
    """Let an object end in the middle."""
    data = store.read(name)
    store.delete(name)
    store.create(name, data[: len(data) // 2])


def spoil(store: Store, name: str, folder: Path) -> None:
    """Make one number of a file of tensors none."""
    path = folder / "spoiled.safetensors"
    path.write_bytes(store.read(name))
    tensors = {key: np.array(values) for key, values in load(path).items()}
    next(iter(tensors.values())).flat[0] = np.nan
    save(path, tensors)
    store.delete(name)
    store.create(name, path.read_bytes())


def warnings(row: Trial | Mapping[str, Any]) -> str:
    extra = row.extra if isinstance(row, Trial) else json.loads(row["extra"]) if isinstance(row["extra"], str) else {}
    return "; ".join((extra or {}).get("warnings", ()))


@pytest.fixture(scope="module")
def promoting(folder: Path) -> Session:
    return session(folder, "promotion", trials=TRIALS, early_stopping="promotion")


@pytest.fixture(scope="module")
def rows(promoting: Session, host: TrainingHost, folder: Path) -> pd.DataFrame:
    """A search whose first promotion loses the checkpoint to go on from, and whose second one loses its trainer."""
    working, promoted = Trainer(promoting, host, folder), 0
    for claim in working.claims():
        mine = claim
        if claim.proposal["kind"] == "promote":
            promoted += 1
            if promoted == 1:
                store = promoting.log.store
                damage(store, store.list(checkpoint_folder(claim.proposal["parents"][0]))[0])
            if promoted == 2:
                working.proposer.board.release(claim)
                assert dead_trainer(promoting, host, folder, "first").proposer.next()
                working.proposer.look()
                mine = working.proposer.next() or claim
        assert working.run(mine)
    assert name_winner(promoting, host, folder)
    return promoting.log.trials().set_index("uid", drop=False)


@pytest.fixture(scope="module")
def promotions(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["kind"] == "promote"]


class TestPromotion:
    def test_a_third_goes_on_once(self, rows: pd.DataFrame, promotions: pd.DataFrame) -> None:
        assert set(rows["status"]) == {"completed"}
        assert list(rows["rung"].value_counts().sort_index()) == [6, 2]
        assert promotions["parents"].map(tuple).is_unique
        for _, row in promotions.iterrows():
            parent = rows.loc[row["parents"][0]]
            assert parent["rung"] == row["rung"] - 1
            same = ["architecture_hash", "hyperparameters", "seed", "batch_size"]
            assert list(row[same]) == list(parent[same])
            assert row["cumulative_steps"] == row["steps"] + parent["cumulative_steps"]
            assert row["inherited_fraction"] == 1
            assert set(json.loads(row["inheritance"]).values()) == {"copied"}
        assert (rows.drop(promotions.index)["steps"] == STEPS // 10).all()

    def test_without_the_checkpoint_it_starts_from_the_weights(self, promotions: pd.DataFrame) -> None:
        first = promotions.iloc[0]
        assert warnings(first).startswith("its parent's training did not go on: it is damaged")
        assert first["steps"] == RUNGS[1] * STEPS // 10

    def test_a_dead_trainers_promotion_is_taken_over(self, promotions: pd.DataFrame) -> None:
        second = promotions.iloc[1]
        assert (second["attempt"], second["steps"]) == (3, (RUNGS[1] - RUNGS[0]) * STEPS // 10)
        assert warnings(second) == ""

    def test_a_lineage_ends_like_an_uninterrupted_training(
        self, rows: pd.DataFrame, promotions: pd.DataFrame, promoting: Session, host: TrainingHost, tmp_path: Path
    ) -> None:
        last = promotions.iloc[1]
        asked = TrialSpec(
            uid="whole",
            space=promoting.search.space,
            architecture=tuple(last["architecture"]),
            hyperparameters=json.loads(last["hyperparameters"]),
            seed=int(last["seed"]),
            steps=STEPS,
            evaluations=RUNGS[1],
            batch_size=int(last["batch_size"]),
            data=str(promoting.data),
            objective=promoting.search.objective,
            output=str(tmp_path),
        )
        spec.write(asked, tmp_path / "spec.json")
        assert host.start("train", tmp_path / "spec.json").wait(100)
        whole = spec.read_result(tmp_path)
        assert whole.objective == last["objective"]
        assert list(whole.curve or ()) == [*rows.loc[last["parents"][0], "curve"], *last["curve"]]
        (tmp_path / "said.safetensors").write_bytes(promoting.log.store.read(last["predictions"]))
        said = load(tmp_path / "said.safetensors")
        assert all(np.array_equal(said[name], each) for name, each in load(tmp_path / spec.PREDICTIONS).items())

    def test_checkpoints_are_kept_for_those_that_may_go_on(
        self, rows: pd.DataFrame, promotions: pd.DataFrame, promoting: Session
    ) -> None:
        left = {uid for uid in rows.index if promoting.log.store.list(checkpoint_folder(uid))}
        assert left == set(rows.index[rows["rung"] < len(RUNGS) - 1]) - {each[0] for each in promotions["parents"]}
        assert not [each for each in Checker(promoting.log.store).report().findings if each.name.startswith("weights")]
        removable = {name.split("/")[1] for name in prunable(promoting.log, keep=0)}
        assert removable >= left - {each.uid for each in promoting.log.winners()}

    def test_it_goes_on_though_no_child_inherits(self, host: TrainingHost, folder: Path, tmp_path: Path) -> None:
        made = session(folder, "heirless", trials=4, early_stopping="promotion", inheritance="none")
        trainer = Trainer(made, host, folder)
        for claim in trainer.claims():
            trainer.run(claim)
        replayer = Replayer(made.log, host, tmp_path)
        (last,) = (row for row in replayer.rows.values() if row.kind == "promote")
        assert (last.steps, last.cumulative_steps) == (2 * STEPS // 10, RUNGS[1] * STEPS // 10)
        again = replay(replayer, last.uid, from_scratch=True)
        assert again.verdict == "bit-equal", again.as_dict()

    def test_a_comparison_tells_kind_and_rung(self, rows: pd.DataFrame, promotions: pd.DataFrame) -> None:
        compared = compare(rows.reset_index(drop=True), list(promotions.index))
        assert list(compared["kind"]) == ["promote"] * 2
        assert list(compared["rung"]) == [1, 1]
        assert all(len(line) == 2 for line in compared["lineage"])


BLOCK = "dense(units=32,activation=relu,batch_norm=False)"
HYPERPARAMETERS = {"optimizer": "adam", "learning_rate": 0.01}
SOUND, *AILING = (f"0001-{slot:06d}" for slot in range(1, 7))


@pytest.fixture(scope="module")
def learning(folder: Path) -> Session:
    return session(folder, "learning", trials=20, ensemble_every=100)


@pytest.fixture(scope="module")
def working(learning: Session, host: TrainingHost, folder: Path) -> Trainer:
    """One trial, and five copies of it: weights gone and damaged; outputs gone, damaged and not a number."""
    found, store = Trainer(learning, host, folder), learning.log.store
    sound = run(found, Proposal((BLOCK,), HYPERPARAMETERS))
    assert sound.status == "completed"
    copies = []
    for slot, uid in enumerate(AILING, start=2):
        files = {kind: artefact_file(kind, uid, 1, "safetensors") for kind in ("weights", "predictions")}
        for kind, name in files.items():
            store.create(name, store.read(str(getattr(sound, kind))))
        copies.append(dataclasses.replace(sound, uid=uid, slot=slot, **files))
        assert learning.log.append(copies[-1])
    store.delete(str(copies[0].weights))
    damage(store, str(copies[1].weights))
    store.delete(str(copies[2].predictions))
    damage(store, str(copies[3].predictions))
    spoil(store, str(copies[4].predictions), folder)
    return found


def run(working: Trainer, proposal: Proposal) -> Trial:
    """Put a trial of a proposal on record, in the next free slot."""
    return finished(working, claimed(working, proposal))


def claimed(working: Trainer, proposal: Proposal) -> Claim:
    working.proposer.look()
    board = working.proposer.board
    claim = Claim(
        uid=board.uid(next(board.free())),
        attempt=1,
        owner=dataclasses.asdict(working.me),
        proposal=dataclasses.asdict(proposal),
        key=proposal.key,
    )
    assert board.claim(claim)
    return claim


def finished(working: Trainer, claim: Claim) -> Trial:
    row = working.run(claim)
    assert row
    return row


def taken_over(working: Trainer, lost: Claim) -> Claim:
    working.proposer.look()
    claim = working.proposer.next()
    assert claim
    assert (claim.uid, claim.attempt) == (lost.uid, 2)
    return claim


class TestLearningFromOthers:
    @pytest.mark.parametrize(("parent", "said"), [(AILING[0], "they are gone"), (AILING[1], "it is damaged")])
    def test_a_child_without_its_parents_weights_begins_from_nothing(
        self, working: Trainer, parent: str, said: str
    ) -> None:
        row = run(working, Proposal((BLOCK, BLOCK), HYPERPARAMETERS, parents=(parent,)))
        assert (row.status, row.inheritance, row.inherited_fraction) == ("completed", None, 0)
        assert row.cumulative_steps == row.steps == STEPS
        assert warnings(row).startswith(f"the weights of its parent were not inherited: {said}")

    @pytest.mark.parametrize(
        ("teacher", "said"),
        [(AILING[0], f"its teacher {AILING[0]} is gone"), (AILING[1], f"the weights of {AILING[1]}: it is damaged")],
    )
    def test_a_student_without_its_teacher_fails(self, working: Trainer, teacher: str, said: str) -> None:
        row = run(working, Proposal((BLOCK,), HYPERPARAMETERS, kind="distill", teacher=teacher))
        assert row.status == "failed"
        assert said in str(row.error)

    def test_a_student_that_diverges_is_called_so(self, working: Trainer) -> None:
        wild = {"optimizer": "sgd", "learning_rate": 1e30}
        row = run(working, Proposal((BLOCK,), wild, kind="distill", teacher=SOUND))
        assert (row.status, row.objective) == ("diverged", None)

    def test_a_student_is_taken_over_though_its_checkpoint_is_damaged(
        self, working: Trainer, learning: Session, host: TrainingHost, folder: Path
    ) -> None:
        student = Proposal((BLOCK,), HYPERPARAMETERS, kind="distill", teacher=SOUND)
        lost = claimed(dead_trainer(learning, host, folder, "second"), student)
        learning.log.store.create(checkpoint_file(lost.uid, 1, 1), b"torn")
        row = finished(working, taken_over(working, lost))
        assert (row.attempt, row.status, row.steps) == (2, "completed", STEPS)
        assert warnings(row).startswith("what an earlier attempt had done was lost: it is damaged")
        assert not learning.log.store.list(checkpoint_folder(row.uid))

    def test_an_ensemble_is_made_of_what_can_be_used_by_whoever_takes_it_over(
        self, working: Trainer, learning: Session, host: TrainingHost, folder: Path
    ) -> None:
        ensemble = Proposal((), kind="ensemble", parents=(SOUND, *AILING[:1], *AILING[2:]))
        lost = claimed(dead_trainer(learning, host, folder, "third"), ensemble)
        row = finished(working, taken_over(working, lost))
        assert (row.status, row.parents, row.mutation) == ("completed", (SOUND,), {"members": {SOUND: 1.0}})
        for uid, why in zip(ensemble.parents[1:], ("gone", "gone", "damaged", "finite"), strict=True):
            assert any(uid in each and why in each for each in warnings(row).split("; ")), warnings(row)

    def test_an_ensemble_of_nothing_that_can_be_used_fails(self, working: Trainer) -> None:
        row = run(working, Proposal((), kind="ensemble", parents=(AILING[0], AILING[3])))
        assert (row.status, row.error) == ("failed", "none of its candidates can be used")
        assert "its weights are gone" in warnings(row)

    def test_a_trial_without_weights_cannot_win(
        self, working: Trainer, learning: Session, host: TrainingHost, folder: Path
    ) -> None:
        scored = learning.log.trials().dropna(subset=["objective"]).set_index("uid")
        for name in scored["weights"].dropna().drop(SOUND):
            learning.log.store.delete(name)
        winner = name_winner(learning, host, folder)
        assert winner
        assert set(scored["parents"].get(winner.uid, [])) | {winner.uid} >= {SOUND}
