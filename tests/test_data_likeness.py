"""Data prepared as a model that was trained on other data knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import PreparedData, open_prepared, prepare, prepare_cached
from msearch_core.data.source import load
from msearch_core.errors import UserError

NUMBERS = np.arange(80.0)
TABLE: Mapping[str, Any] = {"a": NUMBERS, "kind": ["u", "v", "v", "w"] * 20, "price": NUMBERS * 2}


def prepared(folder: Path, targets: tuple[str, ...] = ("kind", "price"), like: PreparedData | None = None, **new: Any):
    pd.DataFrame({**TABLE, **new}).to_csv(folder / "t.csv", index=False)
    options = DataOptions(str(folder / "t.csv"), targets, task_weight={targets[0]: 3.0} if like else {})
    return prepare(load(options), 0, like=like.problem if like else None)


def test_preprocessing_and_units_stay_and_the_weights_are_the_new_ones(tmp_path: Path) -> None:
    old = prepared(tmp_path)
    new = prepared(tmp_path, like=old, a=NUMBERS * 5 + 7, price=NUMBERS * 10)
    assert new.problem.preprocessing == old.problem.preprocessing
    assert [replace(target, weight=1.0) for target in new.problem.targets] == list(old.problem.targets)
    assert new.problem.targets[0].weight == 3.0
    (column,) = (each for each in old.problem.preprocessing["columns"] if each["name"] == "a")
    back = np.concatenate([split.x[:, 0] for split in new.splits.values()]) * column["deviation"] + column["mean"]
    np.testing.assert_allclose(np.sort(back), NUMBERS * 5 + 7, rtol=1e-4)


@pytest.mark.parametrize(
    ("new", "targets", "said"),
    [
        ({"kind": ["u", "v", "v", "x"] * 20}, ("kind", "price"), "'x' is new, 'w' is gone"),
        ({}, ("kind",), "the targets are kind, and the model knows kind, price"),
        ({"price": ["cheap", "dear"] * 40}, ("kind", "price"), "'price' is a classification now"),
    ],
)
def test_other_targets_are_refused(tmp_path: Path, new: dict[str, Any], targets: tuple[str, ...], said: str) -> None:
    old = prepared(tmp_path)
    with pytest.raises(UserError, match=said):
        prepared(tmp_path, targets, old, **new)


def test_a_column_that_is_gone_is_missed(tmp_path: Path) -> None:
    old = prepared(tmp_path)
    pd.DataFrame({**TABLE, "b": NUMBERS}).drop(columns="a").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=r"^the data lacks the column 'a'; its columns are .*; put it back, or"):
        prepare(load(DataOptions(str(tmp_path / "t.csv"), ("kind", "price"))), 0, like=old.problem)


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((40, 6, 6, 1), np.uint8, "the model takes"),
        ((40, 4, 4, 1), np.float32, "the model takes uint8"),
        ((40, 9), np.float32, "the model takes image"),
    ],
)
def test_other_inputs_are_refused(tmp_path: Path, shape: tuple[int, ...], dtype: Any, said: str) -> None:
    def data(shape: tuple[int, ...], dtype: Any) -> str:
        x = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
        np.savez(tmp_path / "t.npz", x=x, y=np.arange(40) % 2)
        return str(tmp_path / "t.npz")

    old = prepare(load(data((40, 4, 4, 1), np.uint8)), 0)
    with pytest.raises(UserError, match=said):
        prepare(load(data(shape, dtype)), 0, like=old.problem)


def sounds(folder: Path, samples: int, rate: int) -> str:
    for label, hertz in (("high", 880), ("low", 220)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(20):
            sound = np.sin(2 * np.pi * (hertz + number) * np.arange(samples + 10 * number) / rate)
            wavfile.write(folder / label / f"{number:02}.wav", rate, (sound * 32767).astype(np.int16))
    return str(folder)


def test_sounds_are_heard_as_before_and_at_another_rate_refused(tmp_path: Path) -> None:
    old = prepare(load(sounds(tmp_path / "old", 2000, 8000)), 0).problem
    new = prepare(load(sounds(tmp_path / "new", 3000, 8000)), 0, like=old)
    assert new.problem.preprocessing == old.preprocessing
    assert new.splits["train"].x.shape[1:] == old.input_shape
    with pytest.raises(UserError, match="16000 samples a second, and the model takes 8000"):
        prepare(load(sounds(tmp_path / "other", 4000, 16000)), 0, like=old)


def test_the_cache_keeps_both_apart(tmp_path: Path) -> None:
    first = prepare_cached("iris", seed=0, cache=tmp_path)
    known = open_prepared(first).problem
    again = prepare_cached("iris", seed=0, like=known, cache=tmp_path)
    assert again != first
    assert open_prepared(again).problem == known
