"""`msearch predict` on all that it takes. The models are untrained: what they answer is not the point."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from msearch_core import cli
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import prepare
from msearch_core.data.problem import fitted_space
from msearch_core.data.source import load
from msearch_core.loading import load_space
from msearch_core.proposal import Architecture
from msearch_core.training.spec import BUNDLE, MODEL
from msearch_core.training.winner import complete_model
from msearch_core.trial_log import TrialLog
from tests.test_cli import msearch
from tests.test_data_audio import folder_of_tones
from tests.test_log_contract import search_record
from tests.test_production import winner
from tests.training_runs import build

TABLE = pd.DataFrame(
    {
        "age": [float(age % 17) for age in range(40)],
        "city": ["Oslo", "Bergen", "Bodø", "Oslo"] * 10,
        "code": ["01", "2", "x", "x"] * 10,
        "constant": 1,
        "kind": ["u", "v"] * 20,
    }
)
DENSE = ("dense(units=32,activation=relu,batch_norm=False)",)

Run = Callable[..., tuple[int, str, str]]


def write_bundle(
    data: str, folder: Path, target: tuple[str, ...] = (), space: str = "tabular", architecture: Architecture = DENSE
) -> str:
    """An untrained model of the data, as a search leaves a trained one."""
    prepared = prepare(load(DataOptions(data, target)), 0)
    tower = build(prepared, fitted_space(load_space(space), prepared.problem), architecture)
    folder.mkdir(parents=True)
    complete_model(prepared.problem, tower).save(folder / MODEL)
    (folder / BUNDLE).write_text(json.dumps({"problem": dataclasses.asdict(prepared.problem)}))
    return str(folder)


@pytest.fixture(scope="module")
def table_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("table")
    TABLE.to_csv(folder / "train.csv", index=False)
    return write_bundle(str(folder / "train.csv"), folder / "model", ("kind",))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `msearch predict` in this process, and returns exit code, standard output and standard error."""

    def predict(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["msearch", "predict", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return predict


def test_tables_from_files_and_from_standard_input(run: Run, table_model: str, tmp_path: Path) -> None:
    new = TABLE.drop(columns=["kind", "constant"])
    new.to_csv(tmp_path / "new.csv", index=False)
    new.to_parquet(tmp_path / "new.parquet")
    code, printed, told = run(table_model, "new.csv")
    assert (code, told) == (0, "")
    answers = pd.read_csv(io.StringIO(printed))
    assert list(answers) == ["prediction", "probability_u", "probability_v"]
    assert len(answers) == len(new)
    assert run(table_model, "new.csv", "--out", "out.parquet") == (0, "", "")
    assert run(table_model, "new.parquet", "--out", "out.csv") == (0, "", "")
    lines = new.to_json(orient="records", lines=True, force_ascii=False).encode()
    printed_too = [run(table_model, "-", stdin=each)[1] for each in (new.to_csv(index=False).encode(), lines)]
    others = [pd.read_parquet(tmp_path / "out.parquet"), pd.read_csv(tmp_path / "out.csv")]
    for other in (*others, *(pd.read_csv(io.StringIO(each)) for each in printed_too)):
        pd.testing.assert_frame_equal(other, answers, check_dtype=False)


@pytest.mark.parametrize("other", ['{"a": 1}', "{}", "[1, 2]", "[]", "Infinity", "null"])
def test_json_lines_may_say_more_than_the_model_needs(other: str, run: Run, table_model: str) -> None:
    line = '{"age": 1, "city": "Oslo", "code": "x"'
    expected = run(table_model, "-", stdin=f"{line}}}\n".encode())
    assert expected[::2] == (0, "")
    assert run(table_model, "-", stdin=f'{line}, "other": {other}}}\n'.encode()) == expected


def test_what_a_model_does_not_know_is_told(run: Run, table_model: str, tmp_path: Path) -> None:
    new = TABLE.drop(columns="kind")
    new.loc[:2, "city"] = ["Paris", "Rome", "Paris"]
    new.loc[:1, "age"] = None
    new.loc[5, "code"] = None
    new.to_csv(tmp_path / "new.csv", index=False)
    code, printed, told = run(table_model, "new.csv")
    assert (code, printed.count("\n")) == (0, 41)
    assert told.splitlines() == [
        "msearch: column 'age': 2 of 40 rows have no value; the mean in training stands in for it",
        "msearch: column 'city': 3 of 40 rows hold what is unknown or was rare in training ('Paris', 'Rome'); "
        "treated as a rare category",
        "msearch: column 'code': 1 of 40 rows have no value; treated as a rare category",
    ]


LAYERS = """
import keras
from msearch_core.space import SearchSpace, block

@keras.saving.register_keras_serializable("mine")
class Square(keras.layers.Layer):
    def call(self, inputs):
        return inputs * inputs

@block()
def square(inputs, name):
    return Square(name=name)(inputs)

space = SearchSpace("layers", (square(),), {})
"""


def test_layers_of_ones_own_are_found_in_the_current_folder(
    table_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layers.py").write_text(LAYERS)
    monkeypatch.chdir(tmp_path)
    data = str(Path(table_model).parent / "train.csv")
    log = TrialLog(str(tmp_path / "log"))
    log.open(search_record(space=str(tmp_path / "layers.py")))
    log.add_winner(winner("0001", 0.9))
    write_bundle(data, tmp_path / "log/models/0001-000001", ("kind",), "layers.py", ("square()",))
    assert msearch("predict", "log", data, cwd=tmp_path).stdout.count("\n") == 41
    lost = msearch("predict", str(tmp_path / "log"), data, cwd=tmp_path.parent)
    assert (lost.returncode, lost.stderr.count("\n")) == (2, 1)
    assert "layers of the class Square" in lost.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (["-"], b"age,code\n1,01\n", "'standard input' lacks the column 'city'; its columns are age, code"),
        (["-"], b'{"age": 1, "city": "Oslo"}\n', "'standard input' lacks the column 'code'"),
        (
            ["-"],
            b'{"age": {}, "city": "Oslo", "code": "x"}\n',
            "the column 'age' of 'standard input' holds dict values",
        ),
        (["-"], b'{"age": 1\n', "standard input is no JSON lines"),
        (["-"], b"", "'standard input' is empty"),
        (["-"], b"age,city,code\nold,Oslo,01\n", "the column 'age' holds 'old' where numbers were learned"),
        (["digits"], b"", "holds images, but the model was trained on a table"),
        (["-", "--out", "out.xlsx"], b"", "give a name that ends in .csv or .parquet"),
        (["-", "--out", "https://example.com/out.csv"], b"", "nothing can be written to https://"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    arguments: list[str], stdin: bytes, expected: str, run: Run, table_model: str
) -> None:
    code, printed, told = run(table_model, *arguments, stdin=stdin)
    assert (code, printed, told.count("\n")) == (2, "", 1)
    assert expected in told


def pictures(folder: Path) -> str:
    rng = np.random.default_rng(0)
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(folder / label / f"{number}.png")
    return str(folder)


@pytest.mark.parametrize(("make", "one"), [(pictures, "b/3.png"), (folder_of_tones, "low/03.wav")])
def test_folders_and_single_files(make: Callable[[Path], str], one: str, run: Run, tmp_path: Path) -> None:
    model = write_bundle(make(tmp_path / "data"), tmp_path / "model")
    code, printed, _ = run(model, "data")
    answers: Any = pd.read_csv(io.StringIO(printed)).set_index("file")
    assert code == 0
    assert list(answers.index) == sorted(
        str(path.relative_to(tmp_path / "data")) for path in (tmp_path / "data").rglob("*.*")
    )
    _, printed, _ = run(model, f"data/{one}")
    (alone,) = pd.read_csv(io.StringIO(printed)).to_dict("records")
    assert alone.pop("file") == Path(one).name
    assert alone.pop("prediction") == answers.loc[one, "prediction"]
    assert alone == pytest.approx(dict(answers.loc[one].drop("prediction")), abs=1e-5)
