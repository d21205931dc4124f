"""Targets of every kind: labels, several at once, weights and balance; and sources of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from msearch_core.data.examples import RawData
from msearch_core.data.options import DataOptions, data_options
from msearch_core.data.prepare import open_prepared, prepare, prepare_cached
from msearch_core.data.prepared import problem_from_json
from msearch_core.data.problem import SPLITS
from msearch_core.data.source import load

TABLE = pd.DataFrame(
    {
        "a": np.arange(60.0),
        "kind": ["u", "v", "v"] * 20,
        "price": np.arange(60.0) * 2,
        "tags": ["red|round", "red", "", "round | red"] * 15,
    }
)


def csv(folder: Path, table: pd.DataFrame = TABLE, name: str = "t.csv") -> str:
    table.to_csv(folder / name, index=False)
    return str(folder / name)


def npz(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "t.npz", **arrays)
    return str(folder / "t.npz")


def kinds(raw: RawData) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {target.name: (target.task, target.labels) for target in raw.targets}


def test_labels_apart_at_a_bar(tmp_path: Path) -> None:
    raw = load(data_options({"data": csv(tmp_path, TABLE[["a", "tags"]]), "target": "tags", "task": "multilabel"}))
    assert kinds(raw) == {"tags": ("multilabel", ("red", "round"))}
    np.testing.assert_array_equal(raw.targets[0].values[:4], [[1, 1], [1, 0], [0, 0], [1, 1]])
    prepared = prepare(raw, 0)
    assert prepared.splits["train"].y["tags"].dtype == np.float32
    assert sum(split.y["tags"][:, 0].sum() for split in prepared.splits.values()) == 45


def test_lists_of_labels(tmp_path: Path) -> None:
    lists = [["red", "round"], ["red"], [], ["round", "red"]] * 15
    TABLE[["a"]].assign(tags=lists).to_parquet(tmp_path / "t.parquet")
    raw = load(DataOptions(str(tmp_path / "t.parquet"), ("tags",)))
    assert kinds(raw) == {"tags": ("multilabel", ("red", "round"))}
    np.testing.assert_array_equal(raw.targets[0].values[:4], [[1, 1], [1, 0], [0, 0], [1, 1]])


def test_labels_of_held_out_rows_have_the_places_of_those_learned(tmp_path: Path) -> None:
    test = csv(tmp_path, TABLE[["a", "tags"]].iloc[1:2], "test.csv")
    options = {"data": csv(tmp_path, TABLE[["a", "tags"]]), "target": "tags", "task": ["multilabel"], "test": test}
    raw = load(data_options(options))
    assert raw.test is not None
    np.testing.assert_array_equal(raw.test.targets[0].values, [[1, 0]])
    one_class = csv(tmp_path, TABLE[["a", "kind"]].iloc[1:3], "test.csv")
    raw = load(DataOptions(csv(tmp_path, TABLE[["a", "kind"]]), ("kind",), test=one_class))
    assert raw.test is not None
    assert raw.test.targets[0].values.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"y": np.array([[0, 1], [1, 1], [0, 0]] * 10)}, {"y": ("multilabel", ("0", "1"))}),
        ({"y": np.array([[0, 1], [1, 1], [0, 0]] * 10, bool), "labels": ["p", "q"]}, {"y": ("multilabel", ("p", "q"))}),
        ({"y": np.eye(3)[np.arange(30) % 3]}, {"y": ("classification", ("0", "1", "2"))}),
        ({"y": np.eye(3)[np.arange(30) % 3], "labels": list("pqr")}, {"y": ("classification", ("p", "q", "r"))}),
        ({"y": np.linspace(0, 1, 60).reshape(30, 2)}, {"y0": ("regression", ()), "y1": ("regression", ())}),
        (
            {"y_size": np.linspace(0, 1, 30), "y_kind": np.arange(30) % 2},
            {"y_kind": ("classification", ("0", "1")), "y_size": ("regression", ())},
        ),
    ],
    ids=["labels", "named labels", "one-hot", "named one-hot", "numbers", "several arrays"],
)
def test_targets_of_arrays(arrays: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    raw = load(npz(tmp_path, x=np.random.default_rng(0).normal(size=(30, 2)), **arrays))
    assert kinds(raw) == expected
    assert set(prepare(raw, 0).splits["test"].y) == set(expected)


def test_several_targets_with_weights_and_a_task_that_is_said(tmp_path: Path) -> None:
    options = {"data": csv(tmp_path), "target": ["kind", "price", "tags"], "task": ["tags=multilabel"]}
    raw = load(data_options({**options, "task_weight": {"price": 2}}))
    assert kinds(raw) == {
        "kind": ("classification", ("u", "v")),
        "price": ("regression", ()),
        "tags": ("multilabel", ("red", "round")),
    }
    assert [target.weight for target in raw.targets] == [1.0, 2.0, 1.0]
    assert list(raw.inputs) == ["a"]
    folder = prepare_cached(data_options(options), seed=0, cache=tmp_path / "cache")
    prepared = open_prepared(folder)
    column = prepared.problem.preprocessing["columns"][0]
    assert [target.name for target in prepared.problem.targets] == ["kind", "price", "tags"]
    for side in SPLITS:
        split = prepared.splits[side]
        rows = np.round(split.x[:, 0] * column["deviation"] + column["mean"]).astype(int)
        np.testing.assert_allclose(split.y["price"], rows * 2)
        np.testing.assert_array_equal(split.y["kind"], np.minimum(rows % 3, 1))
        np.testing.assert_array_equal(split.y["tags"][:, 0], rows % 4 != 2)


def test_numbers_may_be_said_to_be_classes_and_the_other_way_round(tmp_path: Path) -> None:
    raw = load(data_options({"data": csv(tmp_path), "target": "kind", "task": "kind=classification"}))
    assert kinds(raw)["kind"][0] == "classification"
    numbers = csv(tmp_path, TABLE[["a"]].assign(y=np.arange(60) % 3))
    assert kinds(load(DataOptions(numbers, ("y",)))) == {"y": ("classification", ("0", "1", "2"))}
    assert kinds(load(DataOptions(numbers, ("y",), task={"": "regression"}))) == {"y": ("regression", ())}


def test_durations_are_predicted_in_seconds(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": range(50), "y": pd.to_timedelta(range(50), unit="min")})
    table.to_parquet(tmp_path / "t.parquet")
    (target,) = load(DataOptions(str(tmp_path / "t.parquet"), ("y",))).targets
    assert list(target.values[:3]) == [0, 60, 120]


@pytest.mark.parametrize("name", ["a b", "größe", "a/b", "名前", 'a"b', "probability_x", "-x", "../up", "y=1"])
def test_targets_are_called_whatever_a_user_likes(name: str, tmp_path: Path) -> None:
    path = csv(tmp_path, TABLE[["a"]].assign(**{name: TABLE["kind"]}))
    folder = prepare_cached(DataOptions(path, (name,)), seed=0, cache=tmp_path / "cache")
    prepared = open_prepared(folder)
    assert prepared.problem.targets[0].name == name
    assert set(prepared.splits["train"].y) == {name}
    task = load(data_options({"data": path, "target": name, "task": [f"{name}=multilabel"]})).targets[0].task
    assert task == "multilabel"


def test_weights_are_one_on_average_and_no_input(tmp_path: Path) -> None:
    path = csv(tmp_path, TABLE[["a", "kind"]].assign(w=np.arange(60) % 4))
    prepared = open_prepared(prepare_cached(DataOptions(path, ("kind",), weight="w"), seed=0, cache=tmp_path / "c"))
    (column,) = prepared.problem.preprocessing["columns"]
    assert column["name"] == "a"
    train = prepared.splits["train"]
    assert train.weight is not None
    assert train.weight.mean() == pytest.approx(1, rel=1e-5)
    rows = np.round(train.x[:, 0] * column["deviation"] + column["mean"]).astype(int)
    np.testing.assert_allclose(train.weight / train.weight.max(), (rows % 4) / 3, rtol=1e-5)


def test_balance_gives_every_class_the_same_weight(tmp_path: Path) -> None:
    prepared = prepare(load(DataOptions(csv(tmp_path, TABLE[["a", "kind"]]), ("kind",), balance=True)), 0)
    (target,) = prepared.problem.targets
    y = prepared.splits["train"].y["kind"]
    weights = np.array(target.class_weights)
    counts = np.bincount(y)
    assert counts[0] * weights[0] == pytest.approx(counts[1] * weights[1])
    assert weights[y].mean() == pytest.approx(1)
    assert (
        prepare(load(DataOptions(csv(tmp_path, TABLE[["a", "kind"]]), ("kind",))), 0).problem.targets[0].class_weights
        == ()
    )


def test_problems_survive_json(tmp_path: Path) -> None:
    import json
    from dataclasses import asdict

    problem = prepare(
        load(data_options({"data": csv(tmp_path), "target": ["kind", "price"], "balance": True})), 0
    ).problem
    assert problem_from_json(json.loads(json.dumps(asdict(problem)))) == problem


def test_options_are_the_same_after_a_run_record_has_held_them() -> None:
    options = DataOptions(
        "t.csv", ("a", "b"), weight="w", task={"a": "regression"}, task_weight={"b": 2.0}, balance=True
    )
    assert data_options(options.to_json()) == options
    # As they were stored before there were several targets.
    old = {"data": "t.csv", "target": "a", "group": None, "test": None}
    assert data_options(old) == DataOptions("t.csv", ("a",))


SOURCES = """
import numpy as np
import pandas as pd

class Waves:
    def read(self):
        lengths = np.arange(40) % 5 + 3
        return {"x": [np.arange(n) * 0.5 for n in lengths], "y": list(lengths % 2), "who": np.arange(40) // 2}

class WithSteps:
    def read(self):
        x = [np.arange(n) * 0.5 + n for n in np.arange(40) % 5 + 3]
        return {"x": x, "y": [each > 4 for each in x]}

def table():
    return pd.DataFrame({"a": np.arange(40.0), "b": ["u", "v"] * 20})

answers_in_a_table = {"x": np.arange(80.0).reshape(40, 2), "y": pd.DataFrame({"b": ["u", "v"] * 20})}

pictures = {"x": np.arange(40 * 16).reshape(40, 4, 4) % 200, "y": np.arange(40) % 2}
"""


def test_sources_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(SOURCES)
    monkeypatch.setenv("MSEARCH_CODE_PATH", str(tmp_path))
    waves = prepare(load(DataOptions(f"{tmp_path}/mine.py:Waves", group="who")), 0)
    assert (waves.problem.input, waves.problem.input_shape) == ("sequence", (7, 1))
    steps = prepare(load(f"{tmp_path}/mine.py:WithSteps"), 0)
    assert steps.problem.per_step
    table = load(DataOptions(f"{tmp_path}/mine.py:table", ("b",)))
    assert (list(table.inputs), table.targets[0].labels) == (["a"], ("u", "v"))
    assert load(f"{tmp_path}/mine.py:answers_in_a_table").targets[0].labels == ("u", "v")
    pictures = prepare(load(f"{tmp_path}/mine.py:pictures"), 0)
    assert pictures.problem.input_shape == (4, 4, 1)
    folders = [
        prepare_cached(f"{tmp_path}/mine.py:{each}", seed=0, cache=tmp_path / "c") for each in ("Waves", "pictures")
    ]
    assert len(set(folders)) == 2
