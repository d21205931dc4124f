"""Whether files have changed, and how little is read to find out."""

import os
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from msearch_core.data.manifest import take
from msearch_core.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    for name in ("a/1.wav", "a/2.wav", "b/1.wav"):
        write(made / name, name)
    return made


def write(path: Path, text: str, age: float = 60.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)


def test_only_what_changed_is_read_again(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = take([str(folder)], cache)
    assert (first.read, len(first.digests)) == (3, 3)
    again = take([str(folder)], cache)
    assert (again.read, again.fingerprint) == (0, first.fingerprint)

    write(folder / "b/2.wav", "new", age=30)
    more = take([str(folder)], cache)
    assert more.read == 1
    assert more.fingerprint != first.fingerprint

    (folder / "b/2.wav").unlink()
    assert take([str(folder)], cache).fingerprint == first.fingerprint


def test_the_same_size_at_the_same_moment_is_noticed(folder: Path, tmp_path: Path) -> None:
    write(folder / "a/1.wav", "one", age=0.0)
    moment = (folder / "a/1.wav").stat().st_mtime_ns
    first = take([str(folder)], tmp_path / "cache")
    (folder / "a/1.wav").write_text("two")
    os.utime(folder / "a/1.wav", ns=(moment, moment))
    assert take([str(folder)], tmp_path / "cache").fingerprint != first.fingerprint


def test_a_touched_file_is_no_news(folder: Path, tmp_path: Path) -> None:
    first = take([str(folder)], tmp_path / "cache")
    os.utime(folder / "a/1.wav")
    again = take([str(folder)], tmp_path / "cache")
    assert (again.read, again.fingerprint) == (1, first.fingerprint)


def test_a_renamed_file_is_news_and_a_hidden_one_is_not(folder: Path, tmp_path: Path) -> None:
    first = take([str(folder)], tmp_path / "cache").fingerprint
    write(folder / ".cache", "hidden")
    assert take([str(folder)], tmp_path / "cache").fingerprint == first
    (folder / "a/1.wav").rename(folder / "b/3.wav")
    assert take([str(folder)], tmp_path / "cache").fingerprint != first


def test_a_damaged_cache_costs_time_only(folder: Path, tmp_path: Path) -> None:
    first = take([str(folder)], tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_text("{")
    assert take([str(folder)], tmp_path / "cache") == first


def test_named_data_and_single_files(folder: Path, tmp_path: Path) -> None:
    both = take(["digits", str(folder / "a/1.wav")], tmp_path / "cache")
    assert set(both.digests) == {"digits", f"{folder / 'a/1.wav'}/1.wav"}


def test_a_bucket_is_never_read(gcs_bucket: str, tmp_path: Path) -> None:
    url = f"{gcs_bucket}/{uuid.uuid4().hex}"
    filesystem, path = fsspec.url_to_fs(url, token="anon")
    filesystem.pipe_file(f"{path}/one.csv", b"1")
    first = take([url], tmp_path / "cache")
    assert first.read == 0
    filesystem.pipe_file(f"{path}/one.csv", b"2")
    assert take([url], tmp_path / "cache").fingerprint != first.fingerprint


def test_data_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot find"):
        take([str(tmp_path / "nowhere")], tmp_path / "cache")
