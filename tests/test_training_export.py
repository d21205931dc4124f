"""Models taken away: each format is what the search had, from raw input, where there is no msearch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image
from safetensors.numpy import load_file, save_file

from msearch_core.blocks.convolution1d import residual_conv1d
from msearch_core.config import make_config
from msearch_core.data.images import decode
from msearch_core.data.problem import Problem, Target, fitted_space
from msearch_core.errors import UserError
from msearch_core.export import FORMATS, export
from msearch_core.exporting.about import about
from msearch_core.exporting.card import model_card
from msearch_core.exporting.facts import facts
from msearch_core.session import Session, join
from msearch_core.space import SEQUENCE, SearchSpace
from msearch_core.training.client import TrainingHost
from msearch_core.training.export_formats import write_tflite
from msearch_core.training.finishing import name_winner
from msearch_core.training.loop import make_predict
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import TrialLog, WinnerRecord
from tests import training_data
from tests.test_cli import msearch
from tests.test_log_contract import run_record, search_record, trial
from tests.training_runs import build

ENSEMBLE = "0001-000004"
ALONE = f"""
import importlib.util, sys
sys.path[:0] = [{sysconfig.get_path("purelib")!r}, "."]
assert importlib.util.find_spec("msearch_core") is None
for snippet in sys.argv[1:]:
    exec(snippet)
"""
"""Runs code with the packages of this environment, but without what an editable installation adds to them."""


def table(rows: int = 240) -> pd.DataFrame:
    """Numbers, texts, dates and truth values, some of them missing, in columns of any name."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame(
        {
            "age | y": rng.normal(40, 10, rows).round(1),
            "città `q`": rng.choice(["Paris", "Oslo, N", 'b"x', "1"], rows).astype(object),
            "since": pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, rows), unit="D"),
            "member": rng.random(rows) > 0.5,
            "planet": "Earth",
        }
    )
    score = (found["age | y"] - 40) / 10 + (found["città `q`"] == "Paris") + found["member"]
    found["kind/of it"] = np.where(score > 0.5, "yes, a lot", "no")
    for name in found.columns[:3]:
        found[name] = found[name].where(rng.random(rows) > 0.1)
    return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingHost]:
    with TrainingHost(tmp_path_factory.mktemp("host") / "host.log") as started:
        yield started


def searched(folder: Path, host: TrainingHost, **options: Any) -> Session:
    """A search that has ended, without Prefect."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        session = join(make_config(log=str(folder / "log"), **options))
        trainer = Trainer(session, host, folder)
        for claim in trainer.claims():
            trainer.run(claim)
    return session


@pytest.fixture(scope="module")
def of_table(host: TrainingHost, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Some trials and their ensemble."""
    folder = tmp_path_factory.mktemp("table")
    table().to_csv(folder / "table.csv", index=False)
    data = {"data": str(folder / "table.csv"), "target": "kind/of it"}
    return searched(folder, host, **data, trials=4, steps=20, ensemble_every=4)


@pytest.fixture
def cached(of_table: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(of_table.data.parents[2]))


@pytest.mark.usefixtures("cached")
def test_an_ensemble_on_a_table_in_every_format(of_table: Session, host: TrainingHost, tmp_path: Path) -> None:
    rows = of_table.log.trials().set_index("uid")
    assert rows.loc[ENSEMBLE, "kind"] == "ensemble"
    made = export(of_table.log, ENSEMBLE, FORMATS, str(tmp_path / "out"), host)
    assert set(made.scores) == set(FORMATS)
    assert all(score == pytest.approx(rows.loc[ENSEMBLE, "objective"], abs=1e-3) for score in made.scores.values())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

    card = (tmp_path / "out/README.md").read_text()
    for wanted in (
        ENSEMBLE,
        str(rows.loc[ENSEMBLE, "data_fingerprint"]),
        "`yes, a lot`",
        "`age ¦ y`",
        "tensorflow",
        "`planet` is constant",
    ):
        assert wanted in card
    snippets = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(snippets) == len(FORMATS) + 1
    assert all(snippet.count("\n") <= 3 for snippet in snippets)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, *snippets], cwd=tmp_path / "out", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    likely = [json.loads(each) for each in re.findall(r"(?<=\[\[)[0-9.e-]+(?=[ ,])", done.stdout)]
    assert len(likely) == len(FORMATS)
    assert likely == pytest.approx(likely[:1] * len(FORMATS), abs=1e-4)
    assert "'label': " in done.stdout.splitlines()[-1]


@pytest.mark.usefixtures("cached")
def test_a_model_that_is_another_one_is_not_handed_out(of_table: Session, host: TrainingHost, tmp_path: Path) -> None:
    weights = Path(of_table.log.url.removeprefix("file://")) / str(of_table.log.trials().iloc[0]["weights"])
    kept = weights.read_bytes()
    save_file({name: -each for name, each in load_file(weights).items()}, weights)
    try:
        with pytest.raises(
            UserError, match=r"the onnx model of 0001-000001, loaded again, is another one: its accuracy"
        ):
            export(of_table.log, "0001-000001", ["onnx"], str(tmp_path / "a/out"), host)
    finally:
        weights.write_bytes(kept)
    assert not list((tmp_path / "a").iterdir())


def test_after_the_data_has_changed_it_is_compared_on_the_new_and_may_go_to_a_bucket(
    host: TrainingHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "table.csv", f"memory://{uuid.uuid4().hex}/out"
    table().to_csv(data, index=False)
    session = searched(tmp_path, host, data=str(data), target="kind/of it", trials=1, steps=20)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name_winner(session, host, tmp_path)
    table(320).to_csv(data, index=False)
    made = export(session.log, None, ["tflite"], out, host)
    assert made.recorded is None, "the recorded score is one of other data"
    assert 0.3 < made.scores["tflite"] <= 1
    filesystem, path = fsspec.url_to_fs(out)
    files = {Path(each).name for each in filesystem.ls(path, detail=False)}
    assert files == {
        "README.md",
        "encode.py",
        "example.json",
        "example.npz",
        "model.json",
        "model.tflite",
        "predict.py",
    }
    assert "the data has changed since" in filesystem.cat(f"{path}/README.md").decode()


@pytest.mark.usefixtures("cached")
def test_sequences_that_end_early_with_a_label_for_each_step(host: TrainingHost, tmp_path: Path) -> None:
    """Numbers and texts, some missing; what is exported is a recurrent model."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, 90)
    rows = []
    for length in lengths:
        signal, word = rng.normal(size=length), rng.choice(["a", "b"], length)
        signs = np.where((signal > 0) ^ (word == "a"), "plus", "minus")
        signal[rng.random(length) < 0.1] = np.nan
        rows.append({"signal": signal, "word": word.tolist(), "sign": signs.tolist()})
    pd.DataFrame(rows).to_parquet(tmp_path / "steps.parquet")
    suggest = [["gru(units=32)"]]
    session = searched(
        tmp_path, host, data=str(tmp_path / "steps.parquet"), target="sign", trials=1, steps=30, suggest=suggest
    )
    row = session.log.trials().iloc[0]
    assert row["status"] == "completed", row["error"]
    winner = WinnerRecord(
        run="0001", trials=1, uid=row["uid"], model="", validation={}, test={"accuracy": 0.5}, test_openings=1
    )
    session.log.add_winner(winner)
    made = export(session.log, None, ["tflite", "onnx"], str(tmp_path / "out"), host)
    assert made.scores == {each: pytest.approx(row["objective"], abs=1e-3) for each in ("tflite", "onnx")}
    assert "accuracy, test | 0.5000" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (0.1, ("0.5000 (0.3175 to 0.6825)", "the search, 95 % interval")),
        (0.0, ("0.5000", "the search")),
        (None, ("0.5000", "the search")),
    ],
)
def test_the_card_gives_the_interval_that_is_known(error: float | None, shown: tuple[str, str], tmp_path: Path) -> None:
    log, search, run = TrialLog(str(tmp_path / "log")), search_record(), run_record()
    log.open(search)
    row = trial(1, objective=0.5, objective_se=error, objective_name="accuracy", architecture=("dense(units=32)",))
    log.append(row)
    told = facts(log, search, run, log.trials(), row.uid, {}, same=True, own_layers=[])
    assert told["scores"][0] == ("accuracy, validation", *shown)


def test_the_card_says_how_pictures_are_resized(tmp_path: Path) -> None:
    problem = Problem("image", (4, 6, 3), {"kind": "image", "dtype": "uint8"}, (Target("y", "regression"),))
    told = {"uid": "1", "search": "s", "scores": [], "notes": [], "model": [], "origin": []}
    card = model_card(told, about(problem), ["keras"], with_row=False)
    assert "Pictures are 6 pixels wide and 4 high" in card
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8))
    picture.save(tmp_path / "picture.png")
    (snippet,) = (each for each in re.findall(r"```python\n(.*?)```", card, re.S) if "PIL" in each)
    ending = "import numpy, sys\nnumpy.save(sys.argv[1], numpy.asarray(image))"
    subprocess.run([sys.executable, "-c", snippet + ending, str(tmp_path / "a.npy")], check=True, cwd=tmp_path)
    (expected,) = decode(["it"], [(tmp_path / "picture.png").read_bytes()], (4, 6, 3))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)


def test_one_number_a_step_and_a_residual_block_become_tflite(tmp_path: Path) -> None:
    """Keras takes a batch of one such sequence for a bias when it is added to something."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 12, 1)).astype(np.float32)
    y = {"sum": np.cumsum(x[:, :, 0], axis=1)}
    data = training_data.prepared(x, y, Target("sum", "regression", per_step=True))
    block = residual_conv1d(filters=8, kernel=3, dilation=1)
    space = SearchSpace("residual", (block,), {}, input=SEQUENCE, output=SEQUENCE)
    tower = build(data, fitted_space(space, data.problem), (block.name,))
    write_tflite(data.problem, tower, tmp_path / "model.tflite")
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    serve = interpreter.get_signature_runner()
    expected = make_predict(tower, data.problem, np.float32)(x)["sum"]
    for sequence, each in zip(x, expected, strict=True):
        np.testing.assert_allclose(serve(numbers=sequence[np.newaxis])["value"][0], each, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("cached")
def test_what_cannot_be_exported_is_one_line(of_table: Session, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    for uid, formats, out, says in (
        (None, ["keras"], "out", "has no winner yet"),
        ("0001-000009", ["keras"], "out", "no trial '0001-000009' is on record"),
        ("0001-000001", ["pickle"], "out", "there is no format 'pickle'; expected some of keras, savedmodel"),
        ("0001-000001", ["keras"], "taken", "is there already"),
    ):
        with pytest.raises(UserError, match=re.escape(says)):
            export(of_table.log, uid, formats, str(tmp_path / out))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    done = msearch("export", of_table.log.url, "nonsense", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
