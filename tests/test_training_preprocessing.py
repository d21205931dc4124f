"""The Keras layers compute what the NumPy encoding computes, and survive saving without any custom class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msearch_core.data.audio import frames, front_end, log_mel
from msearch_core.data.examples import RawData, RawTarget
from msearch_core.data.prepare import prepare
from msearch_core.data.preprocessing import encode, learn, to_model_inputs, width
from msearch_core.data.problem import Problem
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import load
from msearch_core.errors import UserError

keras = pytest.importorskip("keras")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["unknown", "[UNK]", "", "a"])
MISSING = st.none()
KINDS: list[tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = [
    # The values of a column when it is learned, and those it may have later on.
    (st.floats(-1e6, 1e6) | MISSING, st.floats(-1e9, 1e9) | MISSING),
    (st.integers(-5, 5), st.integers(-50, 50) | MISSING),
    (st.booleans() | MISSING, st.booleans() | MISSING),
    (st.sampled_from(["x", "y", "z"]) | MISSING, TEXTS | MISSING),
    (TEXTS, TEXTS | MISSING),
    (st.datetimes() | MISSING, st.datetimes() | MISSING),
]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["a/b", "a b", "A_b", "größe"])
ROWS = 12


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table to learn from, and another one with values that were never seen."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    seen, unseen = {}, {}
    for name in names:
        learned, later = draw(st.sampled_from(KINDS))
        seen[name] = pd.Series(draw(st.lists(learned, min_size=ROWS, max_size=ROWS)), dtype=object).infer_objects()
        unseen[name] = pd.Series(draw(st.lists(later, min_size=5, max_size=5)), dtype=object)
    return pd.DataFrame(seen), pd.DataFrame(unseen)


def encoder(problem: Problem) -> Any:
    from msearch_core.training.preprocessing import raw_inputs

    return keras.Model(*raw_inputs(problem))


def reloaded(model: Any, folder: Path) -> Any:
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras", safe_mode=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_layers_and_encoding_agree(tmp_path: Path, drawn: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    seen, unseen = drawn
    try:
        spec = learn(seen, np.arange(ROWS))
    except UserError:
        return  # there is nothing to learn from
    problem = Problem("vector", (width(spec),), spec, ())
    model = encoder(problem)
    again = reloaded(model, tmp_path)
    for table in (seen, unseen):
        inputs, expected = to_model_inputs(problem, table), encode(spec, table)
        for each in (model, again):
            np.testing.assert_allclose(each(inputs), expected, rtol=1e-5, atol=1e-5)
            assert not np.isnan(expected).any()


@pytest.mark.parametrize("deviation", [1e-30, 1e-8, 1.0, 1e19, 1e30])
def test_numbers_of_any_size_are_standardised(deviation: float, tmp_path: Path) -> None:
    """Down to where Keras' own layer divides by something else, and up to where a variance is none of 32 bits."""
    numbers = np.random.default_rng(0).normal(size=ROWS) * deviation
    table = pd.DataFrame({"large or small": numbers, "usual": np.arange(ROWS)})
    spec = learn(table, np.arange(ROWS))
    problem = Problem("vector", (width(spec),), spec, ())
    encoded = reloaded(encoder(problem), tmp_path)(to_model_inputs(problem, table))
    np.testing.assert_allclose(encoded, encode(spec, table), rtol=1e-6)
    assert np.std(encoded, axis=0) == pytest.approx(1, rel=1e-5)


def steps() -> Sequences:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 8, 30)
    count = int(lengths.sum())
    table = pd.DataFrame(
        {
            "a b": rng.normal(size=count) * 100,
            "kind": rng.choice(["x", "y", "z"], count),
            "on": rng.random(count) > 0.5,
        }
    )
    table.loc[rng.random(count) < 0.2, "a b"] = np.nan
    table["kind"] = table["kind"].where(rng.random(count) < 0.8)
    return Sequences(lengths.astype(np.int64), table)


@pytest.mark.parametrize("columns", [["a b", "kind", "on"], ["kind"], ["a b"]], ids=lambda names: "+".join(names))
def test_sequences(columns: list[str], tmp_path: Path) -> None:
    """Missing values, unknown categories and ends are the same to the layers as to the encoding."""
    whole = steps()
    known = Sequences(whole.lengths, whole.steps[columns])
    spec = learn(known, np.arange(20))
    other = known.part(20, 30)
    if "kind" in columns:
        other = Sequences(other.lengths, other.steps.assign(kind=other.steps["kind"].replace("x", "new")))
    problem = Problem("sequence", (spec["time"], width(spec)), spec, ())
    model = encoder(problem)
    for each in (model, reloaded(model, tmp_path)):
        for part in (known, other):
            expected = encode(spec, part)
            assert np.isnan(expected).any()
            np.testing.assert_allclose(each(to_model_inputs(problem, part)), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def sounds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time = np.arange(8000) / 8000
    speech = np.convolve(rng.normal(size=8300), np.hanning(300), "valid")[:8000] * np.abs(np.sin(6 * time))
    return {
        "speech": (speech / np.abs(speech).max()).astype(np.float32),
        "tone": np.sin(2 * np.pi * 440 * time[:5000]).astype(np.float32),
        "faint": (1e-3 * np.sin(2 * np.pi * 3000 * time[:6000])).astype(np.float32),
        "noise": rng.uniform(-1, 1, 4321).astype(np.float32),
        "square": np.sign(np.sin(2 * np.pi * 100 * time[:7999])).astype(np.float32),
        "silence": np.zeros(3000, np.float32),
        "one frame": rng.uniform(-1, 1, 200).astype(np.float32),
    }


def test_sound(sounds: dict[str, np.ndarray], tmp_path: Path) -> None:
    """The layers' log-mel spectrogram is NumPy's, whatever comes after a sound's end, and loads without own classes."""
    rng = np.random.default_rng(1)
    spec = front_end(8000, np.array([len(sound) for sound in sounds.values()]))
    spec |= {"mean": rng.normal(size=40).tolist(), "deviation": rng.uniform(1, 2, 40).tolist()}
    problem = Problem("sequence", (frames(spec, spec["samples"]), 40), spec, ())
    model = encoder(problem)
    raw = np.full((len(sounds), spec["samples"]), np.nan, np.float32)
    for row, sound in enumerate(sounds.values()):
        raw[row, : len(sound)] = sound
    for each in (model, reloaded(model, tmp_path)):
        for name, encoded in zip(sounds, each(raw).numpy(), strict=True):
            expected = (log_mel(spec, sounds[name]) - np.array(spec["mean"])) / np.array(spec["deviation"])
            np.testing.assert_allclose(encoded[: len(expected)], expected, atol=1e-3, err_msg=name)
            assert np.isnan(encoded[len(expected) :]).all()
    assert model.count_params() > 0
    assert model.trainable_variables == []


def test_a_saved_model_of_many_columns_predicts_from_raw_rows(tmp_path: Path) -> None:
    raw = load("breast_cancer")
    assert isinstance(raw.inputs, pd.DataFrame)
    table = raw.inputs.assign(size=np.where(raw.inputs["mean area"] > 600, "large", "small"))
    problem = prepare(RawData(table, raw.targets), 0).problem
    model = reloaded(encoder(problem), tmp_path)
    names = [tensor.name for tensor in model.inputs]
    assert "input_mean_radius" in names
    expected = encode(problem.preprocessing, table)
    inputs = to_model_inputs(problem, table)
    np.testing.assert_allclose(model.predict_on_batch(inputs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_pass_as_they_are(dtype: Any, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 4, 3, 3)).astype(dtype)
    target = RawTarget("y", "regression", np.linspace(0, 1, 20))
    problem = prepare(RawData(images, (target,)), 0).problem
    model = reloaded(encoder(problem), tmp_path)
    inputs = to_model_inputs(problem, images)
    assert model(inputs).numpy().dtype == dtype
    np.testing.assert_array_equal(model(inputs), images)
