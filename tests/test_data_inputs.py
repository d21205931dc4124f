"""Raw inputs for a trained model, from whatever the user has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from msearch_core.data.images import Pictures
from msearch_core.data.inputs import read_inputs, strangenesses
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import prepare
from msearch_core.data.preprocessing import encode, to_model_inputs
from msearch_core.data.problem import Problem
from msearch_core.data.source import load
from msearch_core.errors import UserError

TABLE = pd.DataFrame(
    {
        "age": [*range(39), None],
        "code": ["01", "02", "x", "1"] * 10,
        "constant": 1,
        "kind": ["u", "v"] * 20,
    }
)


@pytest.fixture
def table_problem(tmp_path: Path) -> Problem:
    TABLE.to_csv(tmp_path / "train.csv", index=False)
    return prepare(load(DataOptions(str(tmp_path / "train.csv"), ("kind",))), 0).problem


@pytest.fixture
def image_problem(tmp_path: Path) -> Problem:
    images(tmp_path / "train", 8, "a/1", "a/2", "a/3", "b/1", "b/2", "b/3")
    return prepare(load(str(tmp_path / "train")), 0).problem


def images(folder: Path, side: int, *names: str, mode: str = "L") -> str:
    for shade, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((side, side), shade, np.uint8)).convert(mode).save(folder / f"{name}.png")
    return str(folder)


def test_tables_with_and_without_the_target(table_problem: Problem, tmp_path: Path) -> None:
    TABLE.drop(columns=["kind", "constant"])[["code", "age"]].to_csv(tmp_path / "new.csv", index=False)
    TABLE.to_parquet(tmp_path / "new.parquet")
    expected = encode(table_problem.preprocessing, TABLE)
    for name in ("train.csv", "new.csv", "new.parquet"):
        found = read_inputs(str(tmp_path / name), table_problem)
        assert isinstance(found, pd.DataFrame)
        assert list(found) == ["age", "code"]
        np.testing.assert_array_equal(encode(table_problem.preprocessing, found), expected)


def test_codes_that_look_like_numbers_stay_texts(table_problem: Problem, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("age,code\n1,01\n2,1\n,\n")
    found = encode(table_problem.preprocessing, read_inputs(str(tmp_path / "new.csv"), table_problem))
    wanted = encode(table_problem.preprocessing, pd.DataFrame({"age": [1, 2, None], "code": ["01", "1", None]}))
    np.testing.assert_array_equal(found, wanted)


def test_a_category_that_spells_a_missing_value(tmp_path: Path) -> None:
    """Where text is text it is learned as one, and read as one from CSV too; all other such words are gaps."""
    parquet, table = str(tmp_path / "train.parquet"), tmp_path / "new.csv"
    pd.DataFrame({"size": ["None", "large"] * 20, "count": range(40), "y": ["NA", "no"] * 20}).to_parquet(parquet)
    problem = prepare(load(DataOptions(parquet, ("y",))), 0).problem
    assert problem.targets[0].labels == ("NA", "no")
    table.write_text("size,count\nNone,NA\nNA,null\nlarge,1\n,\n")
    inputs = read_inputs(str(table), problem)
    assert isinstance(inputs, pd.DataFrame)
    wanted = pd.DataFrame({"size": ["None", None, "large", None], "count": [None, None, 1, None]})
    for found in (inputs, pd.DataFrame({"size": ["None", "NA", "large", ""], "count": ["NA", "null", "1", ""]})):
        np.testing.assert_array_equal(encode(problem.preprocessing, found), encode(problem.preprocessing, wanted))
        assert [line.partition(";")[0] for line in strangenesses(found, problem)] == [
            "column 'count': 3 of 4 rows have no value",
            "column 'size': 2 of 4 rows have no value",
        ]
    table.write_text("x,y\n" + "1,None\n2,Some\n" * 20)
    with pytest.raises(UserError, match=r"is missing in 20 of 40 rows; .* None and NA say so"):
        load(DataOptions(str(table), ("y",)))


def test_the_value_that_is_no_number_is_named_among_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;y\n" + "".join(f"{row},5;{row}\n" for row in range(40)))
    problem = prepare(load(DataOptions(str(path), ("y",))), 0).problem
    path.write_text("a;y\n1,5;1\n2,5;1\nten;1\n")
    with pytest.raises(
        UserError, match=r"'a' holds 'ten' where numbers were learned \(row 2, counted from 0\); correct"
    ):
        encode(problem.preprocessing, read_inputs(str(path), problem))


UNNEEDED = [{"a": 1}, [1, 2], [[1], [2, 3]], b"\x00", float("inf"), pd.Timedelta(days=1)]


@pytest.mark.parametrize("value", UNNEEDED, ids=str)
def test_a_column_that_the_model_does_not_need_may_hold_anything(
    value: Any, table_problem: Problem, tmp_path: Path
) -> None:
    path, columns = str(tmp_path / "new.parquet"), ["age", "code"]
    TABLE[columns].assign(other=[value] * 40).to_parquet(path)
    found = read_inputs(path, table_problem)
    assert isinstance(found, pd.DataFrame)
    pd.testing.assert_frame_equal(found, TABLE[columns], check_dtype=False)
    TABLE[["code"]].assign(other=[value] * 40).to_parquet(path)
    with pytest.raises(UserError, match="lacks the column 'age'; its columns are code, other"):
        read_inputs(path, table_problem)


def test_sequences_beside_columns_that_the_model_does_not_need(tmp_path: Path) -> None:
    path = str(tmp_path / "steps.parquet")
    steps = [[[float(row), float(row * step % 7)] for step in range(1, 3 + row % 3)] for row in range(40)]
    table = pd.DataFrame({"x": steps, "flat": [[float(len(each))] * len(each) for each in steps], "y": ["u", "v"] * 20})
    table.to_parquet(path)
    problem = prepare(load(DataOptions(path, ("y",))), 0).problem
    assert [column["name"] for column in problem.preprocessing["columns"]] == ["flat", "x0", "x1"]
    expected = encode(problem.preprocessing, read_inputs(path, problem))
    table.assign(short=[[1.0]] * 40, x1y=[[[1.0], [2.0, 3.0]]] * 40).to_parquet(path)
    np.testing.assert_array_equal(encode(problem.preprocessing, read_inputs(path, problem)), expected)
    table.drop(columns="x").to_parquet(path)
    with pytest.raises(UserError, match="lacks the columns 'x0', 'x1'"):
        read_inputs(path, problem)


def test_images_of_any_size_and_colour(image_problem: Problem, tmp_path: Path) -> None:
    flat = images(tmp_path / "flat", 16, "b", "a", mode="RGB")
    read = read_inputs(flat, image_problem)
    assert isinstance(read, Pictures)
    found = to_model_inputs(image_problem, read)
    assert isinstance(found, np.ndarray)
    assert (found.shape, found.dtype) == ((2, 8, 8, 1), np.uint8)
    assert found[:, 0, 0, 0].tolist() == [1, 0]  # by name
    assert to_model_inputs(image_problem, read_inputs(f"{flat}/a.png", image_problem))[0, 0, 0, 0] == 1
    assert read_inputs(str(tmp_path / "train"), image_problem).shape == (6, 8, 8, 1)


def test_arrays_and_named_sets(image_problem: Problem, tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=np.full((3, 16, 16, 3), 9, np.uint8))
    found = read_inputs(str(tmp_path / "new.npz"), image_problem)
    assert isinstance(found, np.ndarray)
    assert (found.shape, set(found.ravel())) == ((3, 8, 8, 1), {9})
    iris = prepare(load("iris"), 0).problem
    assert read_inputs("iris", iris).shape == (150, 4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("age,kind\n1,u\n", "lacks the column 'code'; its columns are age"),
        ("age,code\n", "no rows"),
        (None, "no such file"),
    ],
)
def test_tables_that_do_not_fit(content: str | None, expected: str, table_problem: Problem, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "new.csv").write_text(content)
    with pytest.raises(UserError, match=expected):
        read_inputs(str(tmp_path / "new.csv"), table_problem)


def test_the_wrong_kind_of_data(table_problem: Problem, image_problem: Problem, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds images, but the model was trained on a table"):
        read_inputs("digits", table_problem)
    with pytest.raises(UserError, match="holds a table, but the model was trained on images"):
        read_inputs("iris", image_problem)
    sequences = Problem("sequence", (3, 1), {"kind": "sequence", "columns": []}, image_problem.targets)
    with pytest.raises(UserError, match=r"holds images, but the model was trained on sequences.*'lengths'"):
        read_inputs("digits", sequences)
    floats = replace(image_problem, preprocessing={**image_problem.preprocessing, "dtype": "float32"})
    with pytest.raises(UserError, match="holds uint8 images, but the model was trained on float32"):
        read_inputs(images(tmp_path / "new", 8, "c"), floats)


@pytest.mark.parametrize("x", [np.zeros((2, 8, 8, 1), np.float32), np.zeros((2, 8, 8, 5), np.uint8)])
def test_arrays_that_do_not_fit(x: Any, image_problem: Problem, tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", x=x)
    with pytest.raises(UserError, match=r"but the model (takes|was trained on)"):
        read_inputs(str(tmp_path / "new.npz"), image_problem)


def test_a_folder_without_images(image_problem: Problem, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        read_inputs(str(tmp_path / "none"), image_problem)
