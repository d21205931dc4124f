"""Each kind of source, read as a user would have it read."""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from msearch_core.data.examples import RawData
from msearch_core.data.images import Pictures, decode
from msearch_core.data.named import NAMES
from msearch_core.data.notices import notices
from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import prepare
from msearch_core.data.source import load
from msearch_core.data.split import fingerprint, unit_hashes
from msearch_core.data.targets import class_names, task_of

TABLE = pd.DataFrame(
    {
        "age": [31, 45, None, 28, 52, 39],
        "town": ["Bonn", "Köln", None, "Bonn", "Köln", "Bonn"],
        "member": [True, False, True, True, False, False],
        "kind": ["a", "b", "a", "b", "a", "b"],
    }
)


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def labels(raw: RawData) -> list[str]:
    (target,) = raw.targets
    return [target.labels[number] for number in target.values]


def pixels(raw: RawData) -> np.ndarray:
    assert isinstance(raw.inputs, Pictures)
    return np.concatenate(list(raw.inputs.batches()))


def write(url: str, content: bytes) -> str:
    filesystem, path = fsspec.core.url_to_fs(url)
    filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
    filesystem.pipe_file(path, content)
    return url


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, kind, **options)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_named_sets() -> None:
    loaded = {name: load(name) for name in NAMES}
    assert {
        name: (raw.targets[0].task, len(set(raw.targets[0].values)), raw.inputs.shape) for name, raw in loaded.items()
    } == {
        "breast_cancer": ("classification", 2, (569, 30)),
        "diabetes": ("regression", 214, (442, 10)),
        "digits": ("classification", 10, (1797, 8, 8, 1)),
        "iris": ("classification", 3, (150, 4)),
        "wine": ("classification", 3, (178, 13)),
    }
    digits, cancer = loaded["digits"], loaded["breast_cancer"]
    assert isinstance(digits.inputs, np.ndarray)
    assert (digits.inputs.dtype, digits.inputs.max()) == (np.uint8, 16)
    assert isinstance(cancer.inputs, pd.DataFrame)
    assert cancer.inputs.columns[0] == "mean radius"
    assert cancer.targets[0].labels == ("benign", "malignant")
    assert digits.targets[0].labels == tuple("0123456789")


def test_csv_and_parquet_hold_the_same_data(folder: str) -> None:
    buffer = io.BytesIO()
    TABLE.to_parquet(buffer)
    one = load(DataOptions(write(f"{folder}/t.csv", TABLE.to_csv(index=False).encode()), ("kind",)))
    other = load(DataOptions(write(f"{folder}/t.parquet", buffer.getvalue()), ("kind",)))
    assert list(one.inputs) == list(other.inputs) == ["age", "town", "member"]
    assert labels(one) == list("ababab")
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_separators_a_byte_order_mark_and_a_written_index(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + TABLE.to_csv(sep=separator).encode())
    assert list(load(DataOptions(str(path), ("kind",))).inputs) == ["age", "town", "member"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a;y\n1,5;u\n-2;v\n;v\n1,25E-2;u", [1.5, -2, np.nan, 0.0125]),
        ("a;y\n1,125;u\n2,250;v", [1.125, 2.25]),
        ("a\ty\n1,125\tu\n2,2\tv", [1.125, 2.2]),
        ("a\ty\n1,125\tu\n999\tv", ["1,125", "999"]),  # a thousand?
        ("a\ty\n0,125\tu\n999\tv", [0.125, 999]),
        ("a;y\n1,5;u\n٣;v", ["1,5", "٣"]),
        ("a;y\n1,5;u\n2.5;v", ["1,5", "2.5"]),
        ("a;y\n1,5;u\n1,2,3;v", ["1,5", "1,2,3"]),
        ('a,y\n"1,5",u\n"2,5",v', ["1,5", "2,5"]),
        ("a;y\n1.234,56;u\n-12.345;v\n7;u", [1234.56, -12345, 7]),
        ("a;y\n1.234;u\n2,5;v", ["1.234", "2,5"]),  # a thousand, or a point for a comma?
        ("a;y\n1.23,5;u\n2,5;v", ["1.23,5", "2,5"]),
        ("a;y\n1,234.56;u\n7;v", [1234.56, 7]),
        ("a\ty\n1,234,567\tu\n;999\tv", ["1,234,567", ";999"]),
        ("a\ty\n1,234,567\tu\n999\tv", [1234567, 999]),
        ('a,y\n"1,234.5",u\n,v\n"12,345",v', [1234.5, np.nan, 12345]),
        ('a,y\n"1,234",u\n999,v', [1234, 999]),
        ('a,y\n"1,234",u\n99.5,v', ["1,234", "99.5"]),
        ('a,y\n"1,2345",u\n"0,123",v', ["1,2345", "0,123"]),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, content: str, expected: list[Any]) -> None:
    (tmp_path / "t.csv").write_text(content)
    read = load(DataOptions(str(tmp_path / "t.csv"), ("y",), task={"": "multilabel"})).inputs
    assert isinstance(read, pd.DataFrame)
    pd.testing.assert_series_equal(read["a"], pd.Series(expected, name="a"))


@pytest.mark.parametrize("number", ["{},5", "1.{}00,25"])
def test_a_first_typing_error_among_decimal_commas_moves_no_row(tmp_path: Path, number: str) -> None:
    rows = [f"{number.format(each)};{'uv'[each % 2]}" for each in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(["a;y", *rows]))
    (tmp_path / "grown.csv").write_text("\n".join(["a;y", *rows, "1 5;v"]))
    whole, grown = (unit_hashes(load(DataOptions(str(tmp_path / name), ("y",)))) for name in ("t.csv", "grown.csv"))
    np.testing.assert_array_equal(grown[:10], whole)


@pytest.mark.parametrize(
    ("header", "rows"),
    [('"height, cm";kind', "1;u\n2;v\n3;u\n4;v"), ('id,"a;b;c;d",kind', "1,5,u\n2,6,v\n3,7,u\n4,8,v")],
)
def test_a_separator_in_a_quoted_name_is_none(tmp_path: Path, header: str, rows: str) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n{rows}\n")
    assert labels(load(DataOptions(str(tmp_path / "t.csv"), ("kind",)))) == list("uvuv")


@pytest.mark.parametrize("ends", [",", ",,"])
def test_csv_whose_rows_end_in_separators_keeps_its_columns(tmp_path: Path, ends: str) -> None:
    whole = TABLE.to_csv(index=False)
    header, *rows = whole.splitlines()
    (tmp_path / "t.csv").write_text("\n".join([header, *(row + ends for row in rows)]))
    raw = load(DataOptions(str(tmp_path / "t.csv"), ("kind",)))
    pd.testing.assert_frame_equal(pd.DataFrame(raw.inputs), pd.read_csv(io.StringIO(whole)).drop(columns="kind"))
    assert labels(raw) == list("ababab")


@pytest.mark.parametrize(
    "rows", ["1,u,\n2,v,\n3,u,\n4,v,", "\n1,u,\n2,v,\n3,u,\n4,v,", "1,u,\n2,v\n3,u,\n4,v", "0,u,,\n1,v,,\n2,u,,\n3,v,,"]
)
def test_csv_whose_rows_are_numbered_and_end_in_separators(tmp_path: Path, rows: str) -> None:
    (tmp_path / "t.csv").write_text(f"id,kind\n{rows}\n")
    assert labels(load(DataOptions(str(tmp_path / "t.csv"), ("kind",)))) == list("uvuv")


@pytest.mark.parametrize("last", ["1,2,3,4", "1,NA,3,", "NA,NA,NA,NA"])
def test_csv_of_r_with_names_of_rows(tmp_path: Path, last: str) -> None:
    rows = [f'"{number}","{"uvuv"[number]}",{number},{each}' for number, each in enumerate(last.split(","))]
    (tmp_path / "t.csv").write_text("\n".join(['"kind","age","debt"', *rows]))
    raw = load(DataOptions(str(tmp_path / "t.csv"), ("kind",)))
    assert isinstance(raw.inputs, pd.DataFrame)
    assert list(raw.inputs["age"]) == [0, 1, 2, 3]
    assert labels(raw) == list("uvuv")


def test_a_group_is_no_feature(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    raw = load(DataOptions(str(tmp_path / "t.csv"), ("kind",), group="town"))
    assert list(raw.inputs) == ["age", "member"]
    assert raw.groups is not None
    assert raw.groups[1] == "Köln"


def test_held_out_test_rows(tmp_path: Path) -> None:
    TABLE.assign(town=["1", "2", "x", "1", "2", "x"]).to_csv(tmp_path / "t.csv", index=False)
    TABLE.assign(town=["1", "2", "1", "1", "2", "1"]).head(3)[["kind", "town", "member", "age"]].to_csv(
        tmp_path / "test.csv", index=False
    )
    raw = load(DataOptions(str(tmp_path / "t.csv"), ("kind",), test=str(tmp_path / "test.csv")))
    assert raw.test is not None
    assert list(raw.test.inputs) == list(raw.inputs)
    assert list(raw.test.inputs["town"]) == ["1", "2", "1"]  # text, as in the training data
    assert labels(raw.test) == list("aba")


def test_class_folders(folder: str) -> None:
    write(f"{folder}/cat/1.png", encoded(np.full((4, 6), 10, np.uint8)))
    write(f"{folder}/cat/[2].PNG", encoded(np.full((4, 6), 20, np.uint8)))
    write(f"{folder}/dog/1.jpg", encoded(np.full((8, 12), 30, np.uint8), "JPEG"))
    write(f"{folder}/dog/2.bmp", encoded(np.full((4, 6), 40, np.uint8), "BMP"))
    write(f"{folder}/dog/notes.txt", b"not an image")
    write(f"{folder}/.hidden/1.png", b"")
    raw = load(folder)
    assert pixels(raw).shape == (4, 4, 6, 1)
    assert [sorted(set(image.ravel()))[0] for image in pixels(raw)] == [10, 20, 30, 40]
    assert labels(raw) == ["cat", "cat", "dog", "dog"]


def test_one_colour_image_makes_all_of_them_colour(tmp_path: Path) -> None:
    write(f"{tmp_path}/a/1.png", encoded(np.full((2, 2), 7, np.uint8)))
    write(f"{tmp_path}/a/2.png", encoded(np.full((2, 2, 3), [1, 2, 3], np.uint8)))
    write(f"{tmp_path}/b/1.png", encoded(np.full((2, 2, 4), [9, 9, 9, 0], np.uint8)))
    write(f"{tmp_path}/b/2.png", encoded(np.full((2, 2), 300, np.uint16)))
    raw = load(str(tmp_path))
    assert pixels(raw).shape == (4, 2, 2, 3)
    # Grey stays grey, transparent becomes white, and 16 bits become 8.
    assert pixels(raw)[:, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3], [255, 255, 255], [1, 1, 1]]


@pytest.mark.parametrize(("kind", "brightest"), [(np.float32, 255), (np.uint16, 0)])
def test_255_is_white_in_fractions_and_black_in_16_bits(kind: type, brightest: int) -> None:
    blobs = [encoded(np.array([[0, 255]], kind), "TIFF")]
    assert decode(["1"], blobs, (1, 2, 1))[..., 0].tolist() == [[[0, brightest]]]


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_pictures_of_16_bits_are_scaled_and_black_ones_stay_black(kind: type) -> None:
    blobs = [encoded(np.array([values], kind), "TIFF") for values in ([0, 256, 65535], [0, 0, 0])]
    assert decode(["1", "2"], blobs, (1, 3, 1))[..., 0].tolist() == [[[0, 1, 255]], [[0, 0, 0]]]


def test_photographs_are_turned_upright_and_scaled_down(tmp_path: Path) -> None:
    turned = np.zeros((300, 600), np.uint8)
    turned[:, :300] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    for name in ("a/1", "a/2", "b/1", "b/2"):
        write(f"{tmp_path}/{name}.jpg", encoded(turned, "JPEG", exif=exif))
    raw = load(str(tmp_path))
    assert pixels(raw).shape == (4, 256, 128, 1)
    assert pixels(raw)[0, :100].min() > 200
    assert pixels(raw)[0, -100:].max() < 50


@pytest.mark.parametrize(
    ("sides", "told"),
    [
        ([4] * 6, []),
        ([4] * 4 + [5, 6], ["2 of the images are resized to 4x4 pixels, the commonest of 3 sizes"]),
        ([300] * 6, ["6 of the images are resized to 256x256 pixels, scaled down to 256 a side"]),
    ],
)
def test_what_is_made_of_pictures_of_several_sizes_is_told(sides: list[int], told: list[str], tmp_path: Path) -> None:
    for number, side in enumerate(sides):
        write(f"{tmp_path}/{'ab'[number % 2]}/{number}.png", encoded(np.full((side, side), number, np.uint8)))
    lines = list(notices(prepare(load(str(tmp_path)), 0).problem))
    assert [line.partition("; ")[0] for line in lines] == [f"in the data: {each}" for each in told]


def test_what_no_option_names_is_told(tmp_path: Path) -> None:
    y = np.array([0, 1] * 20)
    path = write(f"{tmp_path}/t.npz", npz(x=np.arange(80.0).reshape(40, 2), y=y, age=y, who=range(40)))
    lines = list(notices(prepare(load(DataOptions(path, group="who")), 0).problem))
    assert lines == ["left out of the data: 'age' is an array that no option names"]
    images = [encoded(np.full((4, 4), number, np.uint8)) for number in range(40)]
    pd.DataFrame({"i": images, "age": y, "label": y}).to_parquet(tmp_path / "i.parquet")
    lines = list(notices(prepare(load(str(tmp_path / "i.parquet")), 0).problem))
    assert lines == ["left out of the data: 'age' is beside images, which alone are learned from"]


@pytest.mark.parametrize("wrapped", [False, True], ids=["bytes", "structure"])
def test_parquet_with_image_bytes(tmp_path: Path, wrapped: bool) -> None:
    blobs: list[Any] = [encoded(np.full((5, 5, 3), value, np.uint8)) for value in (1, 2, 3, 4)]
    cells = [{"bytes": blob, "path": "x.png"} for blob in blobs] if wrapped else blobs
    pd.DataFrame({"image": cells, "label": ["u", "v", "u", "v"]}).to_parquet(tmp_path / "i.parquet")
    raw = load(str(tmp_path / "i.parquet"))
    assert pixels(raw)[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert (labels(raw), raw.targets[0].name) == (["u", "v", "u", "v"], "label")


def test_an_image_hashes_the_same_whatever_size_the_others_have(tmp_path: Path) -> None:
    for number in range(3):
        write(f"{tmp_path}/a/{number}.png", encoded(np.full((4, 4), number, np.uint8)))
        write(f"{tmp_path}/b/{number}.png", encoded(np.full((4, 4), 9 + number, np.uint8)))
    before = load(str(tmp_path))
    for number in range(9):
        write(f"{tmp_path}/c/{number}.png", encoded(np.full((8, 8), number, np.uint8)))
    after = load(str(tmp_path))
    assert isinstance(before.inputs, Pictures)
    assert isinstance(after.inputs, Pictures)
    assert before.inputs.shape[1:] != after.inputs.shape[1:]
    np.testing.assert_array_equal(before.inputs.content, after.inputs.content[:6])


def test_npz_tables_and_images(folder: str) -> None:
    y = np.array([0, 1] * 5)
    table = load(write(f"{folder}/t.npz", npz(x=np.arange(20.0).reshape(10, 2), y=y)))
    assert isinstance(table.inputs, pd.DataFrame)
    assert list(table.inputs) == ["x0", "x1"]
    assert table.targets[0].labels == ("0", "1")
    grey = load(write(f"{folder}/g.npz", npz(x=np.zeros((10, 4, 4), np.int64), y=y[:, None])))
    assert isinstance(grey.inputs, np.ndarray)
    assert (grey.inputs.shape, grey.inputs.dtype) == ((10, 4, 4, 1), np.uint8)
    colour = load(write(f"{folder}/c.npz", npz(x=np.zeros((10, 4, 4, 3)), y=y / 3)))
    assert isinstance(colour.inputs, np.ndarray)
    assert (colour.inputs.dtype, colour.targets[0].task) == (np.float32, "regression")


@pytest.mark.parametrize(
    ("values", "numbered", "task"),
    [
        (["a", "b"] * 3, False, "classification"),
        ([True, False] * 3, False, "classification"),
        ([0, 1] * 3, False, "classification"),
        ([0.0, 1.0] * 3, False, "classification"),
        ([0.5, 1.5] * 3, False, "regression"),
        (list(range(20)) * 5, False, "classification"),
        (list(range(20)) * 4, False, "regression"),
        (list(range(21)) * 5, False, "regression"),
        (list(range(21)) * 5, True, "classification"),
        (list(range(1, 22)) * 5, True, "classification"),
        ([*range(20), 25] * 5, True, "regression"),
        (np.linspace(0, 1, 50), False, "regression"),
        (pd.Categorical([1, 2, 3]), False, "classification"),
        ([Decimal(number) / 4 for number in range(50)], False, "regression"),
        ([Decimal(1), Decimal(2)] * 3, False, "classification"),
        (np.linspace(0, 1, 50).astype(object), False, "regression"),
        (np.array([True, False] * 3, object), False, "classification"),
        (pd.to_timedelta(range(50), unit="min"), False, "regression"),
    ],
)
def test_what_targets_mean(values: Any, numbered: bool, task: str) -> None:
    assert task_of(pd.Series(values), numbered) == task


def test_labels_are_in_the_order_of_their_numbers() -> None:
    assert class_names(np.array(["10", "9", "-1", "2.5", "9"], object)) == ("-1", "2.5", "9", "10")
    assert class_names(np.array(["10", "9", "x"], object)) == ("10", "9", "x")


def test_data_modules_import_neither_tensorflow_nor_prefect_nor_scikit_learn() -> None:
    code = (
        "import sys, msearch_core.data.prepare, msearch_core.data.inputs; "
        "print([m for m in ('tensorflow', 'keras', 'prefect', 'sklearn') if m in sys.modules]); "
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_opening_prepared_data_needs_no_pandas() -> None:
    code = "import sys, msearch_core.data.prepared; print('pandas' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"
