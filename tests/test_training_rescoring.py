"""The best models of a run are scored again on the data of the next one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_wine

from msearch_core import production
from msearch_core.config import make_config
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.finishing import name_winner
from msearch_core.training.rescoring import Rescorer
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import ProductionRecord, WinnerRecord


def work(session: Session, host: TrainingHost, scratch: Path) -> WinnerRecord:
    trainer = Trainer(session, host, scratch)
    for claim in trainer.claims():
        trainer.run(claim)
    winner = name_winner(session, host, scratch)
    assert winner
    return winner


@pytest.mark.slow
def test_an_ensemble_in_use_is_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wine = load_wine(as_frame=True).frame
    wine["target"] = wine["target"].map({0: "a", 1: "b", 2: "c"})
    wine["strong"] = wine["alcohol"].round(1)
    wine["constant"] = 1
    data = tmp_path / "wine.csv"
    wine.iloc[::2].to_csv(data, index=False)
    config = make_config(
        data=str(data), target=["target", "strong"], log=str(tmp_path / "log"), trials=4, steps=20, ensemble_every=4
    )
    with TrainingHost(tmp_path / "host.log") as host:
        session = join(config)
        work(session, host, tmp_path)
        log = session.log
        rows = log.trials().set_index("uid", drop=False)
        assert rows.loc["0001-000004", "kind"] == "ensemble"
        log.add_production(ProductionRecord(uid="0001-000004", run="0001", reason="by hand", validation={}))

        wine.to_csv(data, index=False)
        session = join(config)
        assert session.run.run == "0002"
        rescorer = Rescorer(session, host, tmp_path)
        again = rescorer.rescore(keep=2)
        parents = [row.parents[0] for row in again if row.parents]
        best = rows[rows["kind"] != "ensemble"].sort_values("objective", ascending=False).index[:2]
        assert parents == [*best, rows.index[-1]]
        assert [row.error for row in again] == [None] * 3
        assert all(row.metrics and row.metrics["mean_score"] == row.objective for row in again)
        assert rescorer.rescore(keep=2) == [], "it is on record"
        assert set(rescorer.test("0001-000004")) >= {"mean_score", "target/accuracy", "strong/rmse"}

        winner = work(session, host, tmp_path)
        made = log.trials()
        made = made[(made["run"] == "0002") & (made["kind"] != "rescore")].set_index("uid")
        assert [parents[0] for parents in made["parents"].iloc[:2]] == [
            row.uid for row in sorted(again, key=lambda row: -(row.objective or 0)) if row.architecture
        ]
        assert winner.uid in made.index
        assert winner.dropped.keys() == {"constant"}
        decided, reason = production.decide(log, session.run, winner)
        assert isinstance(decided, bool)
        assert "against 0001-000004" in reason
    assert pd.notna(made["objective"]).all()


@pytest.mark.slow
def test_a_model_whose_weights_are_gone_or_damaged_is_classified_and_the_others_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wine, data = load_wine(as_frame=True).frame, tmp_path / "wine.csv"
    wine.iloc[::2].to_csv(data, index=False)
    config = make_config(data=str(data), target=["target"], log=str(tmp_path / "log"), trials=3, steps=20)
    with TrainingHost(tmp_path / "host.log") as host:
        work(join(config), host, tmp_path)
        wine.to_csv(data, index=False)
        session = join(config)
        log = session.log
        rows = log.trials().sort_values("objective", ascending=False)
        gone, damaged, sound = rows["uid"]
        files = dict(zip(rows["uid"], rows["weights"], strict=True))
        (tmp_path / "log" / files[gone]).unlink()
        (tmp_path / "log" / files[damaged]).write_bytes(b"torn")
        log.add_production(ProductionRecord(uid=gone, run="0001", reason="by hand", validation={}))

        again = {row.parents[0]: row for row in Rescorer(session, host, tmp_path).rescore(keep=3) if row.parents}
        assert {uid: row.status for uid, row in again.items()} == {
            gone: "failed", damaged: "failed", sound: "completed",
        }  # fmt: skip
        assert files[gone] in (again[gone].error or "")
        assert again[damaged].error
        assert again[damaged].error != again[gone].error

        winner = work(session, host, tmp_path)
        made = log.trials()
        made = made[(made["run"] == "0002") & (made["kind"] != "rescore")]
        assert made["parents"].iloc[0][0] == again[sound].uid, "what could be scored is trained on"
        decided, reason = production.decide(log, session.run, winner)
        assert decided
        assert reason.startswith(f"the model in use, {gone}, has no score on the new data: its weights are gone")
