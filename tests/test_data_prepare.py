"""Prepared data: what is in it, how it is kept, and that processes may share it."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msearch_core.data.examples import RawData
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import PreparedData, open_prepared, prepare, prepare_cached, rows_of, save
from msearch_core.data.problem import SPLITS
from msearch_core.data.source import load
from msearch_core.data.targets import interpret
from msearch_core.errors import UserError


def assert_equal(one: PreparedData, other: PreparedData) -> None:
    assert (one.problem, one.moved, one.fingerprint) == (other.problem, other.moved, other.fingerprint)
    for name in SPLITS:
        np.testing.assert_array_equal(one.splits[name].x, other.splits[name].x)
        assert set(one.splits[name].y) == set(other.splits[name].y)
        for target, values in one.splits[name].y.items():
            np.testing.assert_array_equal(values, other.splits[name].y[target])


def test_a_classification() -> None:
    prepared = prepare(load("breast_cancer"), 0)
    problem, train = prepared.problem, prepared.splits["train"]
    (target,) = problem.targets
    assert (problem.input, target.name, target.task) == ("vector", "target", "classification")
    assert (target.labels, target.mean, target.scale) == (("benign", "malignant"), 0.0, 1.0)
    assert problem.input_shape == train.x.shape[1:] == (30,)
    assert (train.x.dtype, train.y["target"].dtype) == (np.float32, np.int32)
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.x.std(axis=0), 1, atol=1e-4)
    assert sum(len(prepared.splits[name]) for name in SPLITS) == 569
    assert sum(int(prepared.splits[name].y["target"].sum()) for name in SPLITS) == 212


def test_a_regression_keeps_its_unit() -> None:
    prepared = prepare(load("diabetes"), 0)
    train = prepared.splits["train"].y["target"]
    (target,) = prepared.problem.targets
    assert (target.task, target.labels, target.outputs) == ("regression", (), 1)
    assert train.dtype == np.float32
    assert train.max() > 200
    assert target.mean == pytest.approx(train.mean(), rel=1e-5)
    assert target.scale == pytest.approx(train.std(), rel=1e-5)


def test_examples_know_which_of_them_belong_together(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"x": np.arange(200.0), "y": np.arange(200) % 2, "who": [None, *(f"p{n % 20}" for n in range(199))]}
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    source = DataOptions(str(tmp_path / "table.csv"), target=("y",), group="who")
    prepared = prepare(load(source), 0)
    save(prepared, tmp_path / "prepared")
    groups = [split.group for split in open_prepared(tmp_path / "prepared").splits.values()]
    assert all(group is not None for group in groups)
    assert sum(len(np.unique(group)) for group in groups) == 21
    assert sum(len(group) for group in groups) == 200
    assert all(split.group is None for split in prepare(load(replace(source, group=None)), 0).splits.values())


def test_images_stay_bytes() -> None:
    prepared = prepare(load("digits"), 0)
    assert (prepared.problem.input, prepared.problem.input_shape) == ("image", (8, 8, 1))
    assert prepared.splits["test"].x.dtype == np.uint8


def test_the_held_out_test_rows_are_the_test_split() -> None:
    raw = load(DataOptions("iris", test="iris"))
    prepared = prepare(raw, 0)
    assert len(prepared.splits["test"]) == 150
    assert len(prepared.splits["train"]) + len(prepared.splits["validation"]) == 150


@pytest.mark.parametrize("side", SPLITS)
def test_a_side_whose_examples_all_weigh_nothing_is_refused(side: str) -> None:
    raw = RawData(pd.DataFrame({"a": np.arange(60)}), (interpret("y", pd.Series(["u", "v"] * 30)),))
    weight = np.ones(60, np.float32)
    weight[rows_of(raw, side, 0)[1]] = 0
    with pytest.raises(UserError, match=rf"all \d+ examples that the split puts into {side} have a weight of 0; give"):
        prepare(replace(raw, weight=weight), 0)


def test_examples_keep_their_labels() -> None:
    values = np.arange(300)
    raw = RawData(pd.DataFrame({"a": values}), (interpret("y", pd.Series([f"{v % 3}" for v in values])),))
    prepared = prepare(raw, 5)
    column = prepared.problem.preprocessing["columns"][0]
    for name in SPLITS:
        split = prepared.splits[name]
        back = np.round(split.x[:, 0] * column["deviation"] + column["mean"]).astype(int)
        np.testing.assert_array_equal(split.y["y"], back % 3)


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    raw = load("wine")
    assert isinstance(raw.inputs, pd.DataFrame)
    order = np.random.default_rng(0).permutation(len(raw.inputs))
    (target,) = raw.targets
    shuffled = RawData(
        raw.inputs[raw.inputs.columns[::-1]].iloc[order].reset_index(drop=True),
        (replace(target, values=target.values[order]),),
    )
    assert_equal(prepare(raw, 3), prepare(shuffled, 3))


def test_rows_stay_where_they_are_when_data_grows() -> None:
    labels = ["common"] * 57 + ["rare"] * 2 + ["common"]

    def data(labels: Sequence[str]) -> RawData:
        return RawData(pd.DataFrame({"a": np.arange(len(labels))}), (interpret("y", pd.Series(labels)),))

    before = prepare(data(labels), 1)
    assert len(before.moved) == 2
    after = prepare(data(labels + ["rare"] * 15 + ["common"] * 15), 1, before.moved)

    def rows(prepared: PreparedData, name: str) -> set[int]:
        column = prepared.problem.preprocessing["columns"][0]
        back = prepared.splits[name].x[:, 0] * column["deviation"] + column["mean"]
        return {round(float(value)) for value in back}

    for name in SPLITS:
        assert rows(before, name) == {row for row in rows(after, name) if row < 60}
        assert 1 in after.splits[name].y["y"]


def test_what_is_saved_is_opened_again_without_reading_it(tmp_path: Path) -> None:
    for name in ("iris", "digits", "diabetes"):
        prepared = prepare(load(name), 0)
        save(prepared, tmp_path / name)
        opened = open_prepared(tmp_path / name)
        assert_equal(opened, prepared)
        assert isinstance(opened.splits["train"].x, np.memmap)
        assert not opened.splits["train"].x.flags.writeable
        assert {path.name for path in (tmp_path / name).iterdir()} == {
            "problem.json",
            *(f"{split}_{part}.npy" for split in SPLITS for part in ("x", "y0")),
        }


def test_the_cache_is_used_and_its_key_is_all_that_matters(tmp_path: Path) -> None:
    first = prepare_cached("iris", seed=0, cache=tmp_path)
    stamp = (first / "problem.json").stat().st_mtime_ns
    assert prepare_cached("iris", seed=0, cache=tmp_path) == first
    assert (first / "problem.json").stat().st_mtime_ns == stamp
    others = [
        prepare_cached("iris", seed=1, cache=tmp_path),
        prepare_cached("iris", seed=0, cache=tmp_path, moved={"0" * 16: "test"}),
        prepare_cached("wine", seed=0, cache=tmp_path),
        prepare_cached(DataOptions("iris", test="iris"), seed=0, cache=tmp_path),
        prepare_cached(DataOptions("iris", balance=True), seed=0, cache=tmp_path),
    ]
    assert len({first, *others}) == 6
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_cache_that_cannot_be_looked_into_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write prepared data .* XDG_CACHE_HOME"):
        prepare_cached("iris", seed=0, cache=tmp_path / ("x" * 300))


def test_a_cache_behind_a_link_holds_what_one_without_it_does(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "disk", target_is_directory=True)
    plain = prepare_cached("digits", seed=0, cache=tmp_path / "plain")
    assert_equal(open_prepared(prepare_cached("digits", seed=0, cache=tmp_path / "cache")), open_prepared(plain))


def open_what_is_cached(cache: Path, start: threading.Barrier) -> None:
    start.wait()
    prepared = open_prepared(prepare_cached("digits", seed=0, cache=cache))
    assert sum(len(split) for split in prepared.splits.values()) == 1797


def test_processes_that_prepare_at_once_share_one_whole_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    processes = [context.Process(target=open_what_is_cached, args=(tmp_path, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list(tmp_path.iterdir())) == 1
