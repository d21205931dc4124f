"""Prepared data: what is in it, how it is kept, and that processes may share it."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msearch_core.data.examples import RawData
from msearch_core.data.prepare import PreparedData, open_prepared, prepare, prepare_cached, save
from msearch_core.data.problem import SPLITS
from msearch_core.data.source import load


def assert_equal(one: PreparedData, other: PreparedData) -> None:
    assert (one.problem, one.moved, one.fingerprint) == (other.problem, other.moved, other.fingerprint)
    for name in SPLITS:
        np.testing.assert_array_equal(one.splits[name].x, other.splits[name].x)
        np.testing.assert_array_equal(one.splits[name].y, other.splits[name].y)


def test_a_classification() -> None:
    prepared = prepare(load("breast_cancer"), 0)
    problem, train = prepared.problem, prepared.splits["train"]
    assert (problem.task, problem.input, problem.labels) == ("classification", "vector", ("benign", "malignant"))
    assert problem.input_shape == train.x.shape[1:] == (30,)
    assert (problem.target_mean, problem.target_scale) == (0.0, 1.0)
    assert (train.x.dtype, train.y.dtype) == (np.float32, np.int32)
    np.testing.assert_allclose(train.x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.x.std(axis=0), 1, atol=1e-4)
    assert sum(len(prepared.splits[name].y) for name in SPLITS) == 569
    assert sum(int(prepared.splits[name].y.sum()) for name in SPLITS) == 212


def test_a_regression_keeps_its_unit() -> None:
    prepared = prepare(load("diabetes"), 0)
    train = prepared.splits["train"].y
    assert (prepared.problem.task, prepared.problem.labels, prepared.problem.outputs) == ("regression", (), 1)
    assert train.dtype == np.float32
    assert train.max() > 200
    assert prepared.problem.target_mean == pytest.approx(train.mean(), rel=1e-5)
    assert prepared.problem.target_scale == pytest.approx(train.std(), rel=1e-5)


def test_images_stay_bytes() -> None:
    prepared = prepare(load("digits"), 0)
    assert (prepared.problem.input, prepared.problem.input_shape) == ("image", (8, 8, 1))
    assert prepared.splits["test"].x.dtype == np.uint8


def test_the_held_out_test_rows_are_the_test_split() -> None:
    raw = load("iris", test="iris")
    prepared = prepare(raw, 0)
    assert len(prepared.splits["test"].y) == 150
    assert len(prepared.splits["train"].y) + len(prepared.splits["validation"].y) == 150


def test_examples_keep_their_labels() -> None:
    values = np.arange(300)
    raw = RawData(pd.DataFrame({"a": values}), np.array([f"{v % 3}" for v in values], object), "classification")
    prepared = prepare(raw, 5)
    column = prepared.problem.preprocessing["columns"][0]
    for name in SPLITS:
        split = prepared.splits[name]
        back = np.round(split.x[:, 0] * column["deviation"] + column["mean"]).astype(int)
        np.testing.assert_array_equal(split.y, back % 3)


def test_the_order_of_rows_and_columns_does_not_matter() -> None:
    raw = load("wine")
    assert isinstance(raw.inputs, pd.DataFrame)
    order = np.random.default_rng(0).permutation(len(raw.targets))
    shuffled = RawData(
        raw.inputs[raw.inputs.columns[::-1]].iloc[order].reset_index(drop=True), raw.targets[order], raw.task
    )
    assert_equal(prepare(raw, 3), prepare(shuffled, 3))


def test_rows_stay_where_they_are_when_data_grows() -> None:
    values = np.arange(60)
    labels = np.array(["common"] * 57 + ["rare"] * 2 + ["common"], object)
    before = prepare(RawData(pd.DataFrame({"a": values}), labels, "classification"), 1)
    assert len(before.moved) == 2
    more = RawData(
        pd.DataFrame({"a": np.arange(90.0)}), np.append(labels, ["rare"] * 15 + ["common"] * 15), "classification"
    )
    after = prepare(more, 1, before.moved)

    def rows(prepared: PreparedData, name: str) -> set[int]:
        column = prepared.problem.preprocessing["columns"][0]
        back = prepared.splits[name].x[:, 0] * column["deviation"] + column["mean"]
        return {round(float(value)) for value in back}

    for name in SPLITS:
        assert rows(before, name) == {row for row in rows(after, name) if row < 60}
        assert 1 in after.splits[name].y


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
            *(f"{split}_{part}.npy" for split in SPLITS for part in "xy"),
        }


def test_the_cache_is_used_and_its_key_is_all_that_matters(tmp_path: Path) -> None:
    first = prepare_cached("iris", seed=0, cache=tmp_path)
    stamp = (first / "problem.json").stat().st_mtime_ns
    load("iris").inputs.to_csv(tmp_path / "x.csv")
    assert prepare_cached("iris", seed=0, cache=tmp_path) == first
    assert (first / "problem.json").stat().st_mtime_ns == stamp
    others = [
        prepare_cached("iris", seed=1, cache=tmp_path),
        prepare_cached("iris", seed=0, cache=tmp_path, moved={"0" * 16: "test"}),
        prepare_cached("wine", seed=0, cache=tmp_path),
        prepare_cached("iris", seed=0, cache=tmp_path, test="iris"),
    ]
    assert len({first, *others}) == 5
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def open_what_is_cached(cache: Path, start: threading.Barrier) -> None:
    start.wait()
    prepared = open_prepared(prepare_cached("digits", seed=0, cache=cache))
    assert sum(len(split.y) for split in prepared.splits.values()) == 1797


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
