"""Models taken away: each format is what the search had, from raw input, where there is no msearch."""

from __future__ import annotations

import csv
import datetime
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
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES
from PIL import Image
from safetensors.numpy import load_file, save_file

from msearch_core.blocks.convolution1d import residual_conv1d
from msearch_core.config import make_config
from msearch_core.data.columns import ISO_DATE, MISSING, is_date, to_days
from msearch_core.data.images import decode
from msearch_core.data.options import DataOptions
from msearch_core.data.preprocessing import encode as encode_for_training
from msearch_core.data.preprocessing import learn, to_model_inputs, width
from msearch_core.data.problem import Problem, Target, fitted_space
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import load
from msearch_core.errors import UserError
from msearch_core.export import FORMATS, export
from msearch_core.exporting.about import about
from msearch_core.exporting.bundle import encode
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


MOMENTS = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30))
SAME_SIZE = 24
"""So many texts at a time, so that the layer is traced once."""
ZONES = st.none() | st.integers(-839, 839).map(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(MOMENTS, ZONES, st.sampled_from("T "), st.booleans()), min_size=1, max_size=20))
@example([(datetime.datetime(2024, 2, 29, 23, 59), datetime.UTC, "T", False)])
def test_dates_are_read_alike_by_layers_and_by_the_encoder(drawn: list[tuple[Any, Any, str, bool]]) -> None:
    texts = [
        str(moment.date()) if short else moment.replace(tzinfo=zone).isoformat(sep)
        for moment, zone, sep, short in drawn
    ]
    texts += [texts[-1].replace("+00:00", "Z"), *["", "soon", "2024-13-01"] * 8][: SAME_SIZE - len(texts)]
    known = [text if text[:1].isdigit() and "-13-" not in text else None for text in texts]
    found = date_layer().predict_on_batch(np.array(texts)[:, np.newaxis])[:, 0]
    wanted = to_days(pd.Series(known, dtype=object))
    np.testing.assert_allclose(found, wanted, rtol=2e-7, atol=2e-3)
    np.testing.assert_allclose([encode._days(each) for each in texts], wanted, rtol=2e-7, atol=2e-3)


def test_what_is_nearly_a_date_is_none_anywhere() -> None:
    """Pandas would read most of these, and the layers would read some as another time."""
    assert encode.ISO_DATE == ISO_DATE
    near = ["2026-05-31 9:30", "2026-05-31T09:30+5", "2026-05-31T0930", "2026-05-31T", "31.05.2026", "2026-02-30"]
    assert not any(is_date(pd.Series([each])) for each in near)
    for each in near:
        with pytest.raises(UserError, match="where dates such as"):
            to_days(pd.Series([each], name="d"))
        with pytest.raises(ValueError, match="is no date; give one such as"):
            encode._date(each)
    texts = np.array((near[:-1] * SAME_SIZE)[:SAME_SIZE])[:, np.newaxis]  # layers do not know how long a month is
    assert np.isnan(date_layer().predict_on_batch(texts)).all()


def test_times_with_fractions_and_offsets_apart_or_short_are_one_time_everywhere() -> None:
    texts = ["2026-05-31T09:30:00.5 -03:00", "2026-05-31 09-0330", "2026-05-31T12:30Z ", "2026-05-31 14:30:00+02"]
    same = 20604 + np.array([12.5, 12.5, 12.5, 12.5]) / 24
    ready = [encode._date(each) for each in texts]
    np.testing.assert_allclose(to_days(pd.Series(texts)), same, atol=2e-3)
    np.testing.assert_allclose([encode._days(each) for each in ready], same, atol=2e-3)
    batch = np.array((ready * SAME_SIZE)[:SAME_SIZE])[:, np.newaxis]
    np.testing.assert_allclose(date_layer().predict_on_batch(batch)[: len(same), 0], same, atol=2e-3)


LAYERS: list[Any] = []


def date_layer() -> Any:
    """One model for all examples."""
    import keras

    from msearch_core.training.dates import days

    if not LAYERS:
        texts = keras.Input((1,), dtype="string")
        LAYERS.append(keras.Model(texts, days(texts, "dates")))
    return LAYERS[0]


def test_the_encoder_and_the_numeric_layers_do_what_was_trained_on(tmp_path: Path) -> None:
    """From rows as a CSV reader gives them, and from the table's own values; unknown categories among them."""
    import keras

    from msearch_core.training.numeric_inputs import numeric_inputs

    seen = table().drop(columns="kind/of it")
    spec = learn(seen, np.arange(200))
    problem = Problem("vector", (width(spec),), spec, (Target("y", "classification", ("a", "b")),))
    known, model = about(problem), keras.Model(*numeric_inputs(problem))
    other = seen.iloc[200:].replace({"città `q`": {"Paris": "Roma"}})
    expected = encode_for_training(spec, other)
    other.to_csv(tmp_path / "rows.csv", index=False)
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for examples in (rows, {str(name): list(values) for name, values in other.items()}):
        tensors = encode.tensors(encode.inputs(examples, known), known)
        np.testing.assert_allclose(model.predict_on_batch(tensors), expected, rtol=1e-5, atol=1e-5)

    steps = Sequences(np.array([2, 1, 3]), other.iloc[:6].reset_index(drop=True))
    spec = learn(Sequences(np.full(60, 4), seen), np.arange(50))
    problem = Problem("sequence", (spec["time"], width(spec)), spec, problem.targets)
    known, model = about(problem), keras.Model(*numeric_inputs(problem))
    parts = [steps.part(row, row + 1).steps for row in range(3)]
    arrays = encode.inputs([{str(name): list(part[name]) for name in part} for part in parts], known)
    found = model.predict_on_batch(encode.tensors(arrays, known))
    np.testing.assert_allclose(found, encode_for_training(spec, steps), rtol=1e-5, atol=1e-5)


def test_the_encoder_reads_a_missing_value_as_training_does(tmp_path: Path) -> None:
    assert encode.MISSING == MISSING == STR_NA_VALUES
    words = [*sorted(MISSING), "a", "b"] * 4
    rows = [(word, word if word in MISSING else row, row) for row, word in enumerate(words)]
    (tmp_path / "rows.csv").write_text("text,number,y\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    raw = load(DataOptions(str(tmp_path / "rows.csv"), ("y",))).inputs
    assert isinstance(raw, pd.DataFrame)
    spec = learn(raw, np.arange(len(words)))
    problem = Problem("vector", (width(spec),), spec, (Target("y", "regression"),))
    with (tmp_path / "rows.csv").open(newline="") as file:
        found = encode.inputs(list(csv.DictReader(file)), about(problem))
    for name, values in to_model_inputs(problem, raw).items():
        np.testing.assert_array_equal(found[name], values)

    spec = learn(pd.DataFrame({"text": words}), np.arange(len(words)))  # where text is text
    known = about(Problem("vector", (width(spec),), spec, problem.targets))
    assert encode.inputs({"text": words}, known)["input_text"][:, 0].tolist() == words


@pytest.mark.parametrize(
    ("rows", "error", "said"),
    [
        ([{"n": "1", "d": ""}, {"n": "1,5", "d": ""}], ValueError, "row 1 has '1,5' in the column 'n'; give a number"),
        ([{"n": 1, "d": "31.05.2026"}], ValueError, "row 0 has '31.05.2026' in the column 'd'; give a date such as"),
        ([{"n": 1, "d": ""}, {"n": 1}], KeyError, "row 1 lacks the column 'd'; give it, empty where missing"),
        ({"n": [1]}, KeyError, "the table lacks the column 'd'; give it"),
    ],
)
def test_the_encoder_names_row_and_column(rows: Any, error: type[Exception], said: str) -> None:
    seen = pd.DataFrame({"n": range(20), "d": pd.date_range("2026-05-31", periods=20)})
    spec = learn(seen, np.arange(20))
    with pytest.raises(error, match=re.escape(said)):
        encode.inputs(rows, about(Problem("vector", (width(spec),), spec, (Target("y", "regression"),))))


def test_the_encoder_takes_every_mark_of_what_is_missing() -> None:
    for each in (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.ma.masked):
        assert encode._text(each) == encode._date(each) == ""
        assert np.isnan(encode._number(each))


def test_the_encoder_needs_numpy_alone(tmp_path: Path) -> None:
    problem = Problem("image", (2, 2, 1), {"kind": "image", "dtype": "uint8"}, (Target("y", "multilabel", ("a", "b")),))
    (tmp_path / "model.json").write_text(json.dumps(about(problem)))
    (tmp_path / "encode.py").write_bytes(Path(str(encode.__file__)).read_bytes())
    code = """
import encode, sys, numpy as np
arrays = encode.tensors(encode.inputs([[[0, 255], [1, 2]]]))
assert arrays["input_image"].dtype == np.uint8 and arrays["input_image"].shape == (1, 2, 2, 1)
print(encode.answers({"probabilities": [[0.7, 0.2]]}))
assert not {"tensorflow", "keras", "pandas", "msearch_core"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", ALONE, code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "[{'y': {'labels': ['a'], 'probabilities': {'a': 0.7, 'b': 0.2}}}]\n", done.stderr
