"""Whatever a user gets wrong is one line that says what, and how to mend it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from msearch_core.data.options import DataOptions, data_options
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


def npz(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "t.npz", **arrays)
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
    images(folder, "a/1.png", "a/22.png", "b/333.png", "b/4444.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(folder / "b/3.png")
    (folder / "b/3.png").write_bytes((folder / "b/3.png").read_bytes()[:1000])
    return str(folder)


def of_scale(folder: Path, kind: type, white: float) -> str:
    images(folder, "a/1.png", "a/22.png", "b/333.png", "b/4444.png")
    Image.fromarray(np.array([[0, white]], kind)).save(folder / "b/3.tif")
    return str(folder)


def missing_image(folder: Path) -> str:
    images(folder, "a.png", "ab.png", "abc.png")
    blobs = [path.read_bytes() for path in sorted(folder.glob("*.png"))]
    return parquet(folder, pd.DataFrame({"image": [*blobs, None], "kind": list("uvuv")}))


def empty_class(folder: Path) -> str:
    (folder / "c").mkdir()
    return images(folder, "a/1.png", "a/2.png", "b/1.png", "b/2.png")


def sounds(folder: Path, *names: str) -> str:
    for number, name in enumerate(names):
        text(folder, wav(np.full(400, number + 1, np.int16)), name)
    return str(folder)


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    kind = 3 if samples.dtype.kind == "f" else 1
    size = samples.dtype.itemsize
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, kind, 1, rate, rate * size, size, 8 * size)
    body = chunk + struct.pack("<4sI", b"data", samples.nbytes) + samples.tobytes()
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


def bad_sound(folder: Path, content: bytes) -> str:
    sounds(folder, "a/1.wav", "a/2.wav", "b/1.wav")
    text(folder, content, "b/2.wav")
    return str(folder)


def source(folder: Path, code: str, attribute: str = "source") -> str:
    return f"{text(folder, code.encode(), 'my_source.py')}:{attribute}"


def two_columns_of_a_name(folder: Path) -> str:
    table = pa.table([[1, 2], [3, 4], ["u", "v"]], names=["age", "age", "kind"])
    pq.write_table(table, folder / "t.parquet")
    return str(folder / "t.parquet")


STEPPED = "import numpy as np\nsource = {'x': [np.ones(2), np.zeros(2)]"
FRAME = "import pandas as pd\nsource = pd.DataFrame([[1, 2, 'u'], [3, 4, 'v']]"
Make = Callable[[Path], str]
LISTS = GOOD.assign(age=[[1.0, 2.0]] * 12)
STEPS = {"x": np.zeros((4, 3, 2)), "kind": [0, 1, 0, 1]}

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
    "CSV with a column twice": (lambda f: text(f, b"age,age,kind\n" + b"1,2,u\n3,4,v\n" * 6), "'age' more than once"),
    "an image that is missing": (missing_image, "the image in row 3 of .*not an image"),
    "duplicate columns": (two_columns_of_a_name, "column 'age' more than once"),
    "structures": (lambda f: parquet(f, GOOD.assign(age=[{"a": 1}] * 12)), "column 'age'.*dict values"),
    "lists of structures": (lambda f: parquet(f, GOOD.assign(age=[[{"a": 1}]] * 12)), "'age'.*dict values"),
    "lists of two lengths": (
        lambda f: parquet(f, LISTS.assign(town=[[1.0, 2.0]] * 11 + [[1.0]])),
        "row 11.*2 steps in the column 'age' but 1 in 'town'",
    ),
    "steps of unequal width": (
        lambda f: parquet(f, GOOD.assign(age=[[[1.0, 2.0], [1.0]]] * 12)),
        "steps of the column 'age'.*1 or 2 features",
    ),
    "lists three deep": (lambda f: parquet(f, GOOD.assign(age=[[[[1.0]]]] * 12)), "three deep"),
    "features of a list that are called as a column": (
        lambda f: parquet(f, GOOD.assign(age=[[[1.0, 2.0]]] * 12).assign(age0=1.0)),
        "has a column 'age0', and a column of lists of lists has a feature that is called so; rename",
    ),
    "a list without steps": (
        lambda f: parquet(f, GOOD.assign(age=[[1.0]] * 11 + [[]])),
        "row 11 of .* has no steps",
    ),
    "a missing list": (lambda f: parquet(f, GOOD.assign(age=[[1.0]] * 11 + [None])), "row 11 .*no list.*'age'"),
    "infinite steps": (lambda f: parquet(f, GOOD.assign(age=[[np.inf]] * 12)), "'age' of .* infinite"),
    "fewer labels than steps": (
        lambda f: parquet(f, LISTS.assign(kind=[[0.5, 1.5]] * 11 + [[0.5]])),
        "row 11 has 2 steps but 1 values of the target 'kind'",
    ),
    "a label missing at a step": (
        lambda f: parquet(f, LISTS.assign(kind=[["u", "v"]] * 11 + [["u", None]])),
        "missing in 1 of 24 steps",
    ),
    "lists of numbers to predict": (
        lambda f: parquet(f, GOOD.assign(kind=[[1, 2]] * 12)),
        "holds lists of numbers, but the inputs have no steps",
    ),
    "lists of lists to predict": (
        lambda f: parquet(f, LISTS.assign(kind=[[[1, 2], [3, 4]]] * 12)),
        "'kind' holds lists of lists",
    ),
    "no label anywhere": (
        lambda f: parquet(f, GOOD.assign(kind=pd.Series([[]] * 12, dtype=pd.ArrowDtype(pa.list_(pa.string()))))),
        "no label in any example",
    ),
    "the same labels everywhere": (lambda f: parquet(f, GOOD.assign(kind=[["u", "v"]] * 12)), "same labels"),
    "bytes": (lambda f: parquet(f, GOOD.assign(age=[b"\0\1"] * 12)), "column 'age'.*bytes"),
    "no features": (lambda f: csv(f, GOOD[["kind"]]), "no column to learn from"),
    "unreadable image": (broken_image, r"b/2\.png"),
    "cut image": (cut_image, r"b/3\.png"),
    "an image of fractions": (lambda f: of_scale(f, np.float32, 1), r"b/3\.tif: .* end at 1,.*0 to 255 in 8 bits"),
    "an image of 8 bits in 32": (lambda f: of_scale(f, np.int32, 255), "end at 255.*0 to 65535 in 16"),
    "an image of 32 bits": (lambda f: of_scale(f, np.int32, 1 << 20), r"end at 1\.04858e\+06"),
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
    "npz with targets of rank 3": (lambda f: npz(f, x=np.zeros((3, 2)), kind=np.zeros((3, 2, 2))), "one value an"),
    "npz with text in columns": (lambda f: npz(f, x=np.zeros((3, 2)), kind=np.full((3, 2), "u")), "one value an"),
    "npz with too few label names": (
        lambda f: npz(f, x=np.zeros((3, 2)), kind=np.array([[0, 0], [1, 1], [1, 0]]), labels=["a"]),
        "2 columns but 1 labels",
    ),
    "lengths longer than time": (lambda f: npz(f, **STEPS, lengths=[3, 4, 1, 1]), "length of 4; expected 1 to 3"),
    "lengths of 0": (lambda f: npz(f, **STEPS, lengths=[3, 0, 1, 1]), "example 1 .* length of 0"),
    "lengths too few": (lambda f: npz(f, **STEPS, lengths=[3, 1]), "give 4 whole numbers"),
    "lengths that are no numbers": (lambda f: npz(f, **STEPS, lengths=list("abcd")), "give 4 whole numbers"),
    "lengths of images": (lambda f: npz(f, x=np.zeros((3, 2, 2, 1)), kind=[0, 1, 0], lengths=[1, 1, 1]), "with 'len"),
    "not a WAV file": (lambda f: bad_sound(f, b"this is no sound"), r"b/2\.wav: not a WAV file"),
    "an empty WAV file": (lambda f: bad_sound(f, b""), r"b/2\.wav: not a WAV file"),
    "a cut WAV file": (lambda f: bad_sound(f, wav(np.zeros(9, np.int16))[:30]), r"b/2\.wav: not a WAV file"),
    "a WAV file without samples": (lambda f: bad_sound(f, wav(np.zeros(0, np.int16))), r"b/2\.wav holds no sound"),
    "a WAV file with NaN": (lambda f: bad_sound(f, wav(np.full(9, np.nan, np.float32))), r"b/2\.wav.*NaN"),
    "images among sounds": (
        lambda f: images(f, "a/1.png") and sounds(f, "a/1.wav", "b/1.wav"),
        "1 images and 2 WAV files",
    ),
    "a class folder without sounds": (lambda f: (f / "c").mkdir() or sounds(f, "a/1.wav", "b/1.wav"), "holds no WAV"),
    "sounds without class folders": (lambda f: sounds(f, "1.wav", "2.wav"), "2 WAV files but no class folders"),
    "a source that is not allowed": (lambda f: source(f, "source = 1"), "may not be loaded.*MSEARCH_CODE_PATH"),
    "a module that does not exist": (lambda f: "nowhere_at_all:source", "no data source 'nowhere_at_all'"),
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
    with pytest.raises(UserError, match=expected) as caught:
        prepare(load(DataOptions(data, () if Path(data).is_dir() else ("kind",))), 0)  # decodes the images as well
    assert_one_line(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "--target; its columns are age, town, kind"),
        ({"target": "knd"}, "no column 'knd'.*did you mean 'kind'.*its columns are age, town, kind"),
        ({"target": ["kind", "who"]}, "no column 'who' for --target"),
        ({"target": ["kind", "kind"]}, "names 'kind' twice"),
        ({"target": ["kind", "town", "age"]}, "no column to learn from"),
        ({"target": "kind", "group": "who"}, "no column 'who' for --group"),
        ({"target": "kind", "weight": "who"}, "no column 'who' for --weight"),
        ({"target": "kind", "weight": "town"}, "weights 'town'.*hold text"),
        ({"target": "kind", "weight": "debt"}, "weight 'debt'.* is -5 in row 0"),
        ({"target": "kind", "weight": "nothing"}, "weights 'nothing' .* are all 0"),
        ({"target": "kind", "weight": "gaps"}, "weight 'gaps'.* is nan in row 1"),
        ({"target": "kind", "task": "clustering"}, "no task 'clustering'; expected one of classification, multilabel"),
        ({"target": "kind", "task": ["who=regression"]}, "--task names 'who'.*the targets are kind"),
        ({"target": "kind", "task": "regression"}, "text where numbers are expected"),
        ({"target": "kind", "task_weight": {"who": 2}}, "--task-weight names 'who'"),
        ({"target": "kind", "task_weight": {"kind": 0}}, "one of them above 0"),
        ({"target": "age", "task": "regression", "balance": True}, "--balance needs a classification"),
        ({"target": "kind", "test": "no.csv"}, "no such file"),
        ({"target": "kind", "test": "digits"}, "leave out --target"),
    ],
)
def test_bad_options(options: dict[str, Any], expected: str, tmp_path: Path) -> None:
    columns = {"age": GOOD["age"], "town": GOOD["town"], "kind": GOOD["kind"]}
    if options.get("weight") in ("debt", "nothing", "gaps"):
        columns |= {"debt": range(-5, 7), "nothing": 0, "gaps": [1, None] * 6}
    with pytest.raises(UserError, match=expected) as caught:
        load(data_options({"data": csv(tmp_path, pd.DataFrame(columns)), **options}))
    assert_one_line(caught.value)


@pytest.mark.parametrize("options", [{"target": "town"}, {"group": "town"}, {"weight": "town"}])
def test_named_sets_take_no_columns(options: dict[str, str]) -> None:
    with pytest.raises(UserError, match="leave out --"):
        load(data_options({"data": "digits", **options}))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def other(): pass", "is not a data source; expected one named 'source'"),
        ("def source(): return 1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("def source(): return [1, 2]", "gave list; expected a table or a mapping"),
        ("def source(): return {'y': [1]}", "gave dict; expected a table or a mapping with 'x'"),
        ("def source(): return {'x': [[1, 2]] * 4}", "no array 'kind'"),
        ("import numpy as np\nsource = {'x': [np.ones(2), np.ones((2, 2))], 'kind': [0, 1]}", "give the same features"),
        ("source = {'x': [[1, 2], [3]], 'kind': [0, 1]}", "'x' of .* several lengths.* list of NumPy arrays"),
        ("source = {'x': [[1, 2], [3, 4]], 'kind': [[0], [0, 1]]}", "'kind' of .* several lengths"),
        (f"{STEPPED}, 'kind': [np.ones(2)] * 3}}", "'x' in .* has 2 examples, but 'kind' has 3"),
        (f"{STEPPED}, 'kind': [np.ones(2), np.ones((2, 2))]}}", r"'kind' in .* shape \(2, 2\); give one value a step"),
        (f"{FRAME}, columns=['a', 'a', 'kind'])", "column 'a' more than once; rename"),
        (f"{FRAME}, columns=['a', 'kind', 'kind'])", "column 'kind' more than once; rename"),
        (f"{FRAME}, columns=[1, '1', 'kind'])", "column '1' more than once; rename"),
        (f"{FRAME}, columns=['a', 'a', 'b'])\nsource = {{'x': source, 'kind': [0, 1]}}", "'a' more than once; rename"),
        (f"{FRAME}, columns=pd.MultiIndex.from_product([['a'], [1, 2, 3]]))", "no column 'kind'"),
        ("1 +", "cannot be loaded: SyntaxError"),
    ],
)
def test_sources_of_the_users_own_that_do_not_work(
    code: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSEARCH_CODE_PATH", str(tmp_path))
    with pytest.raises(UserError, match=expected) as caught:
        load(DataOptions(source(tmp_path, code), ("kind",)))
    assert_one_line(caught.value)


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
        load(DataOptions(csv(tmp_path, GOOD), ("kind",), test=csv(tmp_path, test, "test.csv")))
    assert_one_line(caught.value)


def test_test_data_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'digits' holds images, but the training data holds a table"):
        load(DataOptions("iris", test="digits"))


def test_text_where_the_training_data_has_numbers(tmp_path: Path) -> None:
    test = csv(tmp_path, GOOD.assign(age="old"), "test.csv")
    with pytest.raises(UserError, match="column 'age' holds 'old' where numbers were learned") as caught:
        prepare(load(DataOptions(csv(tmp_path, GOOD), ("kind",), test=test)), 0)
    assert_one_line(caught.value)


def test_columns_that_teach_nothing(tmp_path: Path) -> None:
    table = GOOD.assign(age=1, town=[f"person {row}" for row in range(12)], empty=None)
    with pytest.raises(UserError, match="no column is left to learn from") as caught:
        prepare(load(DataOptions(csv(tmp_path, table), ("kind",))), 0)
    assert_one_line(caught.value)


def test_too_few_rows_to_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too few different examples") as caught:
        prepare(load(DataOptions(csv(tmp_path, GOOD.head(4)), ("kind",))), 0)
    assert_one_line(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = csv(tmp_path, GOOD)
    Path(path).chmod(0)
    with pytest.raises(UserError, match="permission denied"):
        load(DataOptions(path, ("kind",)))


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot write prepared data"):
        prepare_cached("iris", seed=0, cache=tmp_path / "cache")
