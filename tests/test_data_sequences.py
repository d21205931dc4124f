"""Sequences: whatever they are stored as, each keeps its own steps, and padding is told from a missing value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.data.inputs import read_inputs
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import PreparedData, prepare
from msearch_core.data.preprocessing import MISSING_TEXT, SEQUENCE_INPUT, encode, learn, to_model_inputs
from msearch_core.data.problem import SPLITS
from msearch_core.data.sequences import Sequences, padded
from msearch_core.data.source import load

LENGTHS = np.arange(40) % 7 + 2


def parquet(folder: Path, **columns: Any) -> str:
    pd.DataFrame(columns).to_parquet(folder / "s.parquet")
    return str(folder / "s.parquet")


def npz(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "s.npz", **arrays)
    return str(folder / "s.npz")


def rows(prepared: PreparedData) -> dict[str, np.ndarray]:
    """Each split's inputs in their own unit, where they are numbers."""
    columns = prepared.problem.preprocessing["columns"]
    mean, deviation = (np.array([column[key] for column in columns]) for key in ("mean", "deviation"))
    return {side: prepared.splits[side].x * deviation + mean for side in SPLITS}


def test_columns_of_lists_are_features_and_the_others_are_repeated(tmp_path: Path) -> None:
    first = [list(np.arange(n) + 100.0 * row) for row, n in enumerate(LENGTHS)]
    second = [[-value for value in each] for each in first]
    path = parquet(tmp_path, up=first, down=second, size=np.arange(40), kind=["u", "v"] * 20)
    prepared = prepare(load(DataOptions(path, ("kind",))), 0)
    problem = prepared.problem
    longest = max(len(each) for each in (first[row] for row in range(40)))
    assert (problem.input, problem.input_shape) == ("sequence", (longest, 3))
    assert [column["name"] for column in problem.preprocessing["columns"]] == ["down", "size", "up"]
    for side, values in rows(prepared).items():
        for example, label in zip(values, prepared.splits[side].y["kind"], strict=True):
            row = round(example[0, 1])
            steps = int(LENGTHS[row])
            np.testing.assert_allclose(example[:steps, 2], first[row], atol=0.01)
            np.testing.assert_allclose(example[:steps, 0], second[row], atol=0.01)
            np.testing.assert_allclose(example[:steps, 1], row, atol=0.01)
            assert np.isnan(example[steps:]).all()
            assert label == row % 2


def test_steps_of_several_features_in_one_column(tmp_path: Path) -> None:
    cells = [[[float(row), float(step)] for step in range(n)] for row, n in enumerate(LENGTHS)]
    prepared = prepare(load(DataOptions(parquet(tmp_path, track=cells, kind=["u", "v"] * 20), ("kind",))), 0)
    assert [column["name"] for column in prepared.problem.preprocessing["columns"]] == ["track0", "track1"]
    for values in rows(prepared).values():
        for example in values:
            steps = LENGTHS[round(example[0, 0])]
            np.testing.assert_allclose(example[:steps, 1], np.arange(steps), atol=1e-4)
            assert np.isnan(example[steps:]).all()


def test_arrays_with_lengths_and_arrays_padded_with_nan_are_the_same(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 8, 12)).astype(np.float32)
    after = np.arange(8) >= LENGTHS[:, None]
    y = np.arange(40) % 2
    given = prepare(load(npz(tmp_path, x=x, lengths=LENGTHS, y=y)), 0)
    found = prepare(load(npz(tmp_path, x=np.where(after[..., None], np.nan, x), y=y)), 0)
    assert (given.problem, given.fingerprint) == (found.problem, found.fingerprint)
    assert given.problem.input_shape == (8, 12)
    names = [column["name"] for column in given.problem.preprocessing["columns"]]
    assert names == [f"x{feature:02}" for feature in range(12)]  # in the order of the array
    for side in SPLITS:
        np.testing.assert_array_equal(given.splits[side].x, found.splits[side].x)
    # Without lengths and without padding, three axes are grey images.
    assert prepare(load(npz(tmp_path, x=x, y=y)), 0).problem.input == "image"


def test_a_value_missing_within_a_sequence_is_the_mean_and_no_padding() -> None:
    steps = pd.DataFrame({"a": [1.0, np.nan, 3.0, 1.0, 3.0]})
    sequences = Sequences(np.array([3, 2]), steps)
    spec = learn(sequences, np.arange(2))
    np.testing.assert_allclose(encode(spec, sequences)[..., 0], [[-1, 0, 1], [-1, 1, np.nan]])
    from msearch_core.data.problem import Problem, Target

    raw = to_model_inputs(Problem("sequence", (3, 1), spec, (Target("y", "regression"),)), sequences)
    assert isinstance(raw, dict)
    np.testing.assert_array_equal(raw[SEQUENCE_INPUT][..., 0], [[1, 2, 3], [1, 3, np.nan]])


def test_tokens(tmp_path: Path) -> None:
    words = [[*["the", "cat", None][: 1 + row % 3], f"rare {row}"] for row in range(40)]
    path = parquet(tmp_path, text=words, kind=["u", "v"] * 20)
    prepared = prepare(load(DataOptions(path, ("kind",))), 0)
    (column,) = prepared.problem.preprocessing["columns"]
    assert column["vocabulary"] == ["the", "cat", MISSING_TEXT]
    assert prepared.problem.input_shape == (4, 4)
    sequences = read_inputs(path, prepared.problem)
    encoded = encode(prepared.problem.preprocessing, sequences)
    np.testing.assert_array_equal(encoded[2], [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    np.testing.assert_array_equal(encoded[0], [[0, 1, 0, 0], [1, 0, 0, 0], [np.nan] * 4, [np.nan] * 4])
    raw = to_model_inputs(prepared.problem, sequences)
    assert isinstance(raw, dict)
    assert raw[column["input"]][2].tolist() == ["the", "cat", MISSING_TEXT, "rare 2"]
    assert raw[column["input"]][0].tolist() == ["the", "rare 0", "", ""]


@pytest.mark.parametrize("numbers", [False, True], ids=["tags", "numbers"])
def test_a_target_at_each_step(numbers: bool, tmp_path: Path) -> None:
    x = [list(np.arange(n) + 100.0 * row) for row, n in enumerate(LENGTHS)]
    y: list[Any] = [[value / 2 if numbers else f"t{value % 3:.0f}" for value in each] for each in x]
    prepared = prepare(load(DataOptions(parquet(tmp_path, x=x, y=y), ("y",))), 0)
    (target,) = prepared.problem.targets
    assert (target.per_step, target.task) == (True, "regression" if numbers else "classification")
    for side, values in rows(prepared).items():
        own = prepared.splits[side].y["y"]
        assert own.shape == values.shape[:2]
        true = ~np.isnan(values[..., 0])
        if numbers:
            np.testing.assert_allclose(own, values[..., 0] / 2, atol=0.01)
        else:
            np.testing.assert_array_equal(own[true], np.round(values[..., 0][true]).astype(int) % 3)
            assert (own[~true] == -1).all()
    if numbers:
        assert target.mean == pytest.approx(np.nanmean(prepared.splits["train"].y["y"]), rel=1e-5)
        assert target.scale == pytest.approx(np.nanstd(prepared.splits["train"].y["y"]), rel=1e-5)


def test_tags_of_an_array(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 8, 2))
    path = npz(tmp_path, x=x, lengths=LENGTHS, y=(x[..., 0] > 0).astype(int))
    prepared = prepare(load(path), 0)
    assert prepared.problem.per_step
    assert {tuple(np.unique(split.y["y"])) for split in prepared.splits.values()} == {(-1, 0, 1)}


def test_labels_of_an_array_as_wide_as_its_sequences(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 8, 2)), np.random.default_rng(0).integers(0, 2, (40, 9))
    (target,) = load(npz(tmp_path, x=x, lengths=LENGTHS, y=y)).targets
    assert (target.task, target.per_step) == ("multilabel", False)
    said = DataOptions(npz(tmp_path, x=x, lengths=LENGTHS, y=y[:, :8]), task={"": "multilabel"})
    (target,) = load(said).targets
    assert (target.task, target.per_step, len(target.labels)) == ("multilabel", False, 8)


def test_lists_of_labels_beside_sequences_are_labels(tmp_path: Path) -> None:
    x = [[0.5] * n for n in LENGTHS]
    (target,) = load(DataOptions(parquet(tmp_path, x=x, y=[["a"], ["b", "a"]] * 20), ("y",))).targets
    assert (target.task, target.per_step, target.labels) == ("multilabel", False, ("a", "b"))


def test_new_sequences_may_be_longer_than_those_learned(tmp_path: Path) -> None:
    path = parquet(tmp_path, x=[[float(row % 3)] * n for row, n in enumerate(LENGTHS)], y=["u", "v"] * 20)
    problem = prepare(load(DataOptions(path, ("y",))), 0).problem
    new = read_inputs(parquet(tmp_path, x=[[1.0] * 100, [1.0]]), problem)
    raw = to_model_inputs(problem, new)
    assert isinstance(raw, dict)
    assert raw[SEQUENCE_INPUT].shape == (2, *problem.input_shape)
    assert np.isnan(encode(problem.preprocessing, new)).sum(axis=(1, 2)).tolist() == [0, problem.input_shape[0] - 1]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(1, 7))
def test_padding_puts_each_step_in_its_place(lengths: list[int], time: int) -> None:
    values = np.arange(sum(lengths), dtype=np.float32)
    result = padded(values, np.array(lengths), time, np.nan)
    start = 0
    for example, length in zip(result, lengths, strict=True):
        kept = min(length, time)
        np.testing.assert_array_equal(example[:kept], values[start : start + kept])
        assert np.isnan(example[kept:]).all()
        start += length
