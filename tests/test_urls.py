"""Addresses as users type them: opened, or refused in one line, wherever they are given."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from msearch_core.data.output import write_table
from msearch_core.data.source import load
from msearch_core.errors import UserError
from msearch_core.exporting.folder import new_folder
from msearch_core.report.writing import write_report
from msearch_core.session import code_reference
from msearch_core.training.bundle import read_bundle
from msearch_core.trial_log import TrialLog
from msearch_core.urls import open_url, write_file
from tests.test_log_contract import search_record


def make_folder(out: str) -> None:
    with new_folder(out):
        raise AssertionError("the work began")


OPENERS: dict[str, Callable[[str], object]] = {
    "log": TrialLog,
    "data": load,
    "model": read_bundle,
    "export": make_folder,
    "report": lambda out: write_report(TrialLog("memory://no-search-in-it"), out),
    "predictions": lambda out: write_table(pd.DataFrame(), out),
}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nope://x/y.csv", "cannot open 'nope://x/y.csv': Protocol not known: nope; give a local path or a URL"),
        ("dask://x/y.csv", "cannot open 'dask://x/y.csv': Install dask"),
        ("dir://x/y.csv", "cannot open 'dir://x/y.csv': an address of this kind does not say enough"),
        ("jlab://x/y.csv", "cannot open 'jlab://x/y.csv': an address of this kind does not say enough"),
        ("s3://key:hunter2@bucket/y.csv", "the URL holds credentials; give them by the environment"),
    ],
)
@pytest.mark.parametrize("place", OPENERS)
def test_an_address_that_cannot_be_opened_is_one_line(place: str, url: str, reason: str) -> None:
    with pytest.raises(UserError) as refused:
        OPENERS[place](url)
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["https://example.org/y.csv", "simplecache::http://example.org/y", "zip://y::s3://b/z"])
@pytest.mark.parametrize("place", ["export", "report", "predictions"])
def test_what_is_only_read_from_is_refused_as_an_output_before_the_work(place: str, url: str) -> None:
    with pytest.raises(UserError, match=r"nothing can be written to (https|http|zip)://"):
        OPENERS[place](url)


@pytest.fixture
def no_password(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine that was never told of one; fsspec keeps clients, with what they know."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3 = fsspec.get_filesystem_class("s3")
    s3.clear_instance_cache()
    yield
    s3.clear_instance_cache()


@pytest.mark.usefixtures("no_password")
def test_a_missing_password_is_one_line() -> None:
    for place in ("data", "export", "predictions"):
        with pytest.raises(UserError, match="NoCredentialsError"):
            OPENERS[place]("s3://bucket/y.csv")
    with pytest.raises(OSError, match="NoCredentialsError"):
        read_bundle("s3://bucket/model")


def test_a_home_a_file_url_and_a_tilde_in_a_name_are_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in (f"{tmp_path}/a", "~/a", f"file://{tmp_path}/a", "file://~/a", "a", "file://a"):
        assert open_url(name)[1] == f"{tmp_path}/a"
    assert open_url("~draft/a")[1] == f"{tmp_path}/~draft/a"
    assert code_reference("~draft/space.py:space") == f"{tmp_path}/~draft/space.py:space"
    for number, out in enumerate(("~/new/1.csv", f"file://{tmp_path}/new/2.csv", "~draft/3.csv", "new/4.csv"), start=1):
        write_table(pd.DataFrame({"a": [number]}), out)
        assert pd.read_csv(open_url(out)[1])["a"].item() == number
    TrialLog("~/log").open(search_record())
    for number, out in enumerate(("~/new/1.html", f"file://{tmp_path}/new/2.html", "~draft.html"), start=1):
        write_report(TrialLog(f"file://{tmp_path}/log"), out)
        assert Path(open_url(out)[1]).stat().st_size, number
    assert {each.name for each in (tmp_path / "new").iterdir()} == {"1.csv", "2.csv", "4.csv", "1.html", "2.html"}


def test_a_file_is_written_in_place_of_another_on_any_storage(tmp_path: Path, s3_bucket: str) -> None:
    for url in (str(tmp_path / "x"), f"memory://{uuid.uuid4().hex}/x", f"{s3_bucket}/{uuid.uuid4().hex}"):
        for content in (b"first", b"second"):
            write_file(url, content)
            filesystem, path = open_url(url)
            assert filesystem.cat_file(path) == content


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, s3_bucket: str) -> None:
    (tmp_path / "file").write_text("in the way")
    for url in (f"{tmp_path}/file/x.csv", f"{s3_bucket}-is-not-there/x.csv"):
        with pytest.raises(UserError, match=f"--out {url} cannot be written: "):
            write_file(url, b"x")
