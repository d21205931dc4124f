"""Whatever a user gets wrong is one line that says what, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from msearch_core.data.prepare import prepare, prepare_cached
from msearch_core.data.source import load
from msearch_core.errors import UserError

GOOD = pd.DataFrame({"age": range(12), "town": list("abcabcabcabc"), "kind": list("uvuvuvuvuvuv")})


def csv(folder: Path, table: pd.DataFrame, name: str = "t.csv") -> str:
    table.to_csv(folder / name, index=False)
    return str(folder / name)


def parquet(folder: Path, table: pd.DataFrame) -> str:
    table.to_parquet(folder / "t.parquet")
    return str(folder / "t.parquet")


def text(folder: Path, content: bytes, name: str = "t.csv") -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder / name)


def npz(folder: Path, **arrays: object) -> str:
    np.savez(folder / "t.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "t.npz")


def images(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 2), len(name), np.uint8)).save(folder / name)
    return str(folder)


def broken_image(folder: Path) -> str:
    images(folder, "a/1.png", "a/2.png", "b/1.png")
    text(folder, b"this is no image", "b/2.png")
    return str(folder)


def cut_image(folder: Path) -> str:
    images(folder, "a/1.png", "a/2.png", "b/1.png", "b/2.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(folder / "b/3.png")
    (folder / "b/3.png").write_bytes((folder / "b/3.png").read_bytes()[:1000])
    return str(folder)


def empty_class(folder: Path) -> str:
    (folder / "c").mkdir()
    return images(folder, "a/1.png", "a/2.png", "b/1.png", "b/2.png")


Make = Callable[[Path], str]

CASES: dict[str, tuple[Make, str]] = {
    "unknown name": (lambda f: "digit", "did you mean digits"),
    "no such file": (lambda f: str(f / "no.csv"), "no such file"),
    "no such folder": (lambda f: str(f / "no"), "no such file or folder"),
    "unknown storage": (lambda f: "nowhere://bucket/t.csv", "nowhere"),
    "unsupported ending": (lambda f: text(f, b"x", "t.xlsx"), r"ending '.xlsx'.*\.csv"),
    "a single image": (lambda f: images(f, "a.png") + "/a.png", "folder of class folders"),
    "empty CSV": (lambda f: text(f, b""), "is empty"),
    "CSV without rows": (lambda f: text(f, b"age,kind\n"), "no rows"),
    "CSV that is not text": (lambda f: text(f, b"age,kind\n\xff\xfe\x00,1\n"), "UTF-8"),
    "CSV with ragged rows": (lambda f: text(f, b"age,kind\n1,u\n1,2,3,4\n"), "not a CSV table.*line 3"),
    "empty Parquet": (lambda f: text(f, b"", "t.parquet"), "is empty"),
    "not Parquet": (lambda f: text(f, b"age,kind\n1,u\n" * 9, "t.parquet"), "not a Parquet file"),
    "one class": (lambda f: csv(f, GOOD.assign(kind="u")), "only one class, 'u'"),
    "one value": (lambda f: csv(f, GOOD.assign(kind=0.5)), "only one value, 0.5"),
    "missing labels": (lambda f: csv(f, GOOD.replace({"kind": {"v": None}})), "missing in 6 of 12 rows; drop"),
    "missing numbers": (lambda f: csv(f, GOOD.assign(kind=[None, *np.linspace(0, 1, 11)])), "missing in 1 of 12"),
    "infinite labels": (lambda f: csv(f, GOOD.assign(kind=[np.inf, *np.linspace(0, 1, 11)])), "'kind' holds infinite"),
    "a class of one": (lambda f: csv(f, GOOD.assign(kind=[*"uvuvuvuvuvu", "rare"])), r"one example only \('rare'\)"),
    "classes of one": (lambda f: csv(f, GOOD.assign(kind=list("abcdefghijkl"))), r"12 classes.*'e', \.\.\."),
    "infinite values": (lambda f: csv(f, GOOD.assign(age=[np.inf, *range(11)])), "column 'age'.*infinite"),
    "lists": (lambda f: parquet(f, GOOD.assign(age=[[1, 2]] * 12)), "column 'age'.*values"),
    "bytes": (lambda f: parquet(f, GOOD.assign(age=[b"\0\1"] * 12)), "column 'age'.*bytes"),
    "no features": (lambda f: csv(f, GOOD[["kind"]]), "no column to learn from"),
    "unreadable image": (broken_image, r"b/2\.png"),
    "cut image": (cut_image, r"b/3\.png"),
    "empty class folder": (empty_class, "class folder 'c'.*holds no image"),
    "no class folders": (lambda f: images(f, "1.png", "2.png"), "2 images but no class folders"),
    "an empty folder": (lambda f: str(f), "no class folders"),
    "nested folders": (lambda f: images(f, "train/a/1.png", "test/a/1.png"), "class folder 'test'"),
    "npz without x": (lambda f: npz(f, z=np.zeros(3)), "no array 'x'; it holds z"),
    "npz without y": (lambda f: npz(f, x=np.zeros((3, 2))), "no array 'kind'|no array 'y'"),
    "npz of unequal lengths": (lambda f: npz(f, x=np.zeros((3, 2)), kind=np.zeros(4)), "3 examples, but 'kind' has 4"),
    "npz of objects": (lambda f: npz(f, x=np.array([[{}]] * 3), kind=np.zeros(3)), "array of objects"),
    "npz of vectors": (lambda f: npz(f, x=np.zeros(3), kind=np.zeros(3)), r"shape \(3,\)"),
    "npz without rows": (lambda f: npz(f, x=np.zeros((0, 2)), kind=np.zeros(0)), "no rows"),
    "npz with one-hot targets": (lambda f: npz(f, x=np.zeros((3, 2)), kind=np.eye(3)), "one value an example"),
    "npz with NaN pixels": (lambda f: npz(f, x=np.full((3, 2, 2), np.nan), kind=[0, 1, 0]), "NaN or infinite"),
    "npz with channels first": (lambda f: npz(f, x=np.zeros((4, 3, 8, 8)), kind=[0, 1, 0, 1]), "channels come last"),
    "not an npz": (lambda f: text(f, b"x", "t.npz"), "not an .npz file"),
    "a pickle": (lambda f: text(f, b"\x80\x04K\x01.", "t.npz"), "not an .npz file"),
}


def assert_one_line(error: UserError) -> None:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("case", CASES)
def test_bad_data(case: str, tmp_path: Path) -> None:
    make, expected = CASES[case]
    data = make(tmp_path)
    has_own_target = Path(data).is_dir()
    with pytest.raises(UserError, match=expected) as caught:
        load(data, target=None if has_own_target else "kind")
    assert_one_line(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "--target; its columns are age, town, kind"),
        ({"target": "knd"}, "no column 'knd'.*did you mean 'kind'.*its columns are age, town, kind"),
        ({"target": "kind", "group": "who"}, "no column 'who' for --group"),
        ({"target": "kind", "test": "no.csv"}, "no such file"),
    ],
)
def test_bad_options(options: dict[str, str], expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        load(csv(tmp_path, GOOD), **options)
    assert_one_line(caught.value)


@pytest.mark.parametrize("options", [{"target": "town"}, {"group": "town"}])
def test_named_sets_take_no_columns(options: dict[str, str]) -> None:
    with pytest.raises(UserError, match="leave out --"):
        load("digits", **options)


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (GOOD.drop(columns="town"), "lacks the column 'town'"),
        (GOOD.assign(kind="w"), "class 'w'.*training data lacks"),
        (GOOD.assign(kind=None), "missing in 12"),
        (GOOD.drop(columns="kind"), "no column 'kind'"),
    ],
    ids=["columns", "labels", "no labels", "no target"],
)
def test_test_data_that_does_not_fit(test: pd.DataFrame, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        load(csv(tmp_path, GOOD), target="kind", test=csv(tmp_path, test, "test.csv"))
    assert_one_line(caught.value)


def test_test_data_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'digits' holds images, but the training data holds a table"):
        load("iris", test="digits")


def test_text_where_the_training_data_has_numbers(tmp_path: Path) -> None:
    test = csv(tmp_path, GOOD.assign(age="old"), "test.csv")
    with pytest.raises(UserError, match="column 'age' holds 'old' where numbers were learned") as caught:
        prepare(load(csv(tmp_path, GOOD), target="kind", test=test), 0)
    assert_one_line(caught.value)


def test_columns_that_teach_nothing(tmp_path: Path) -> None:
    table = GOOD.assign(age=1, town=[f"person {row}" for row in range(12)], empty=None)
    with pytest.raises(UserError, match="no column is left to learn from") as caught:
        prepare(load(csv(tmp_path, table), target="kind"), 0)
    assert_one_line(caught.value)


def test_too_few_rows_to_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too few different examples") as caught:
        prepare(load(csv(tmp_path, GOOD.head(4)), target="kind"), 0)
    assert_one_line(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = csv(tmp_path, GOOD)
    Path(path).chmod(0)
    with pytest.raises(UserError, match="permission denied"):
        load(path, target="kind")


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot write prepared data"):
        prepare_cached("iris", seed=0, cache=tmp_path / "cache")
