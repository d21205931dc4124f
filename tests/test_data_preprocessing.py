"""What is learned of each column, on train only, and how it is applied."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from msearch_core.data.notices import notices
from msearch_core.data.preprocessing import MAX_CATEGORIES, encode, image_moments, learn, to_model_inputs, width
from msearch_core.data.problem import Problem, Target
from msearch_core.errors import UserError


def spec_of(table: pd.DataFrame, rows: Any = None) -> dict[str, Any]:
    chosen = np.arange(len(table)) if rows is None else np.asarray(rows)
    learned = learn(table, chosen)
    assert json.loads(json.dumps(learned, allow_nan=False)) == learned
    return learned


def kinds(table: pd.DataFrame) -> dict[str, str]:
    learned = spec_of(table)
    return {column["name"]: column["kind"] for column in learned["columns"]} | learned["dropped"]


def test_kinds_of_columns() -> None:
    table = pd.DataFrame(
        {
            "whole": range(20),
            "real": np.linspace(0, 1, 20),
            "nullable": pd.array([None, *range(19)], "Int64"),
            "truth": [True, False] * 10,
            "truth with gaps": [True, None] * 10,
            "text": list("ab") * 10,
            "category": pd.Categorical([3, 4] * 10),
            "mixed": [1, "x"] * 10,
            "day": pd.date_range("2026-01-01", periods=20),
            "zoned": pd.date_range("2026-01-01", periods=20, tz="Europe/Berlin"),
            "day as text": [f"2026-01-{day:02}" for day in range(1, 21)],
            "duration": pd.to_timedelta(range(20), "s"),
            "number as text": [f"0{number % 5}" for number in range(20)],
            "constant": 1,
            "constant text": "x",
            "empty": None,
            "name": [f"name {row}" for row in range(20)],
        }
    )
    assert kinds(table) == {
        "whole": "number",
        "real": "number",
        "nullable": "number",
        "truth": "boolean",
        "truth with gaps": "boolean",
        "text": "category",
        "category": "category",
        "mixed": "category",
        "day": "date",
        "zoned": "date",
        "day as text": "date",
        "duration": "number",
        "number as text": "category",
        "constant": "is constant",
        "constant text": "is constant",
        "empty": "is empty",
        "name": "is a text that differs in almost every row",
    }


def test_numbers_are_standardised_and_missing_ones_indicated() -> None:
    table = pd.DataFrame({"a": [1.0, 3.0, None], "b": [10, 20, 30]})
    learned = spec_of(table)
    np.testing.assert_allclose(
        encode(learned, table),
        [[-1, -np.sqrt(1.5), 0], [1, 0, 0], [0, np.sqrt(1.5), 1]],
        rtol=1e-6,
    )
    assert encode(learned, table).dtype == np.float32
    np.testing.assert_allclose(encode(learned, pd.DataFrame({"a": [5.0], "b": [None]})), [[3, 0, 0]])


def test_categories_by_frequency_with_unknown_and_missing_ones() -> None:
    table = pd.DataFrame({"c": ["y", "x", "x", "x", None, None, "y", "rare"]})
    learned = spec_of(table)
    assert learned["columns"][0]["vocabulary"] == ["x", "", "y"]
    np.testing.assert_array_equal(
        encode(learned, pd.DataFrame({"c": ["x", None, "y", "rare", "never seen"]})),
        [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]],
    )


def test_a_category_is_the_same_whatever_type_it_is_read_as() -> None:
    learned = spec_of(pd.DataFrame({"c": ["1", "2", "x"] * 2}))
    as_text = encode(learned, pd.DataFrame({"c": ["1", "2"]}))
    np.testing.assert_array_equal(encode(learned, pd.DataFrame({"c": [1, 2]})), as_text)
    np.testing.assert_array_equal(encode(learned, pd.DataFrame({"c": [1.0, 2.0, None]}))[:2], as_text)


def test_only_the_most_frequent_categories_are_kept() -> None:
    table = pd.DataFrame({"c": [f"c{number}" for number in range(200) for _ in range(2 + (number < 150))]})
    vocabulary = spec_of(table)["columns"][0]["vocabulary"]
    assert len(vocabulary) == MAX_CATEGORIES
    assert {int(name[1:]) for name in vocabulary} < set(range(150))


def test_nothing_is_learned_from_other_rows() -> None:
    table = pd.DataFrame({"n": [1.0, 2.0, 3.0, None, 1e9], "c": ["a", "b", "a", "b", "secret"], "k": [1, 1, 1, 1, 2]})
    other = pd.DataFrame({"n": [1.0, 2.0, 3.0, None, -5.0], "c": ["a", "b", "a", "b", "z"], "k": [1, 1, 1, 1, 9]})
    assert spec_of(table, range(4)) == spec_of(other, range(4))


def test_dates_are_days() -> None:
    table = pd.DataFrame({"d": pd.to_datetime(["1970-01-02", "1970-01-04", None])})
    learned = spec_of(table)
    assert (learned["columns"][0]["mean"], learned["columns"][0]["deviation"]) == (2.0, 1.0)
    late = pd.DataFrame({"d": ["1970-01-05T12:00", "1970-01-03T02:00+02:00"]})
    np.testing.assert_allclose(encode(learned, late)[:, 0], [2.5, 0.0])
    with pytest.raises(UserError, match=r"column 'd' holds 'soon' where dates"):
        encode(learned, pd.DataFrame({"d": ["soon"]}))


@pytest.mark.parametrize(
    "written", ["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y %H:%M", "%d %B %Y", "%B %d, %Y", "%Y/%m/%d", "%Y-%m-%d 9:30"]
)
def test_dates_that_are_not_read_are_told(written: str) -> None:
    days = pd.Series(pd.date_range("2022-01-10", periods=20))
    texts = days.dt.strftime(written)
    spec = spec_of(pd.DataFrame({"each": texts, "often": [*texts[:5]] * 4, "n": range(20)}))
    assert [column["name"] for column in spec["columns"]] == ["n", "often"]
    lines = list(notices(Problem("vector", (width(spec),), spec, ())))
    assert lines == [
        "left out of the data: 'each' holds dates, which are taken for texts: write them as 2026-05-31 (ISO 8601)",
        "in the data: 'often' holds dates, which are taken for texts: write them as 2026-05-31 (ISO 8601)",
    ]


@pytest.mark.parametrize("text", ["10.0.0.1", "1.2.3", "area 51, 2022", "Mr 2 2022", "12-34-5678", "soon"])
def test_other_texts_are_not_taken_for_dates(text: str) -> None:
    spec = spec_of(pd.DataFrame({"often": [text, "31.05.2026"] * 4, "n": range(8)}))
    assert not list(notices(Problem("vector", (width(spec),), spec, ())))


def test_values_that_no_model_can_take_are_refused() -> None:
    learned = spec_of(pd.DataFrame({"n": [1.0, 2.0]}))
    for wrong, expected in (("many", "holds 'many' where numbers"), (np.inf, "infinite"), (1e300, "32 bits")):
        with pytest.raises(UserError, match=expected):
            encode(learned, pd.DataFrame({"n": [wrong]}))


def test_input_names_are_plain_and_different() -> None:
    names = ["a b", "a/b", "A_B", "größe", "名前", "", "a_b_2"]
    learned = spec_of(pd.DataFrame({name: [1, 2, index] for index, name in enumerate(names)}))
    inputs = [column["input"] for column in learned["columns"]]
    assert {column["name"] for column in learned["columns"]} == set(names)
    assert len(set(inputs)) == len(names)
    assert all(name.isascii() and name.isidentifier() for name in inputs)


def test_model_inputs_are_one_column_each() -> None:
    table = pd.DataFrame({"n": [1, None, 3.0], "c": ["x", None, "x"]})
    problem = Problem("vector", (4,), spec_of(table), (Target("y", "regression"),))
    inputs = to_model_inputs(problem, table)
    assert isinstance(inputs, dict)
    assert inputs["input_c"].tolist() == [["x"], [""], ["x"]]
    np.testing.assert_array_equal(inputs["input_n"], np.array([[1], [np.nan], [3]], np.float32))
    assert width(problem.preprocessing) == encode(problem.preprocessing, table).shape[1] == 4


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_stay_as_they_are_and_their_channels_are_measured(dtype: Any) -> None:
    images = np.random.default_rng(0).integers(0, 255, (3000, 3, 2, 2)).astype(dtype)
    images[..., 1] = 7
    learned = learn(images, np.arange(2500))
    assert encode(learned, images) is images
    assert learned == {"kind": "image", "dtype": np.dtype(dtype).name}
    moments = image_moments(lambda start, stop: images[start:stop], 2500)
    np.testing.assert_allclose(moments["mean"], images[:2500].mean(axis=(0, 1, 2), dtype=np.float64))
    assert moments["variance"] == [pytest.approx(images[:2500, ..., 0].var(dtype=np.float64)), 1.0]
