"""The encoder that goes with an export reads raw examples as training does."""

from __future__ import annotations

import csv
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from msearch_core.data.columns import ISO_DATE, MISSING, is_date, to_days
from msearch_core.data.options import DataOptions
from msearch_core.data.preprocessing import encode as encode_for_training
from msearch_core.data.preprocessing import learn, to_model_inputs, width
from msearch_core.data.problem import Problem, Target
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import load
from msearch_core.errors import UserError
from msearch_core.exporting.about import about
from msearch_core.exporting.bundle import encode
from tests.test_training_export import ALONE, table

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
