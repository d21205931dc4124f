"""The Prefect API that local processes record their runs with: the user's own, or one brought up for the search."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from flows import lifeline
from msearch_core.errors import UserError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

API_URL = "PREFECT_API_URL"
EMBEDDED = "MSEARCH_EMBEDDED_SERVER"
"""Is set where the server lives only as long as the search."""
DATABASE = "prefect.db"
"""The embedded server's database, in its home."""
LOOPBACK = "127.0.0.1,localhost"
START_SECONDS = 120.0
ANSWERS = (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
EXAMPLE = "http://127.0.0.1:4200/api"
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
}


def api_url() -> str | None:
    """The server that the user named; ``None`` if there is none, or an empty one.

    Raises:
        UserError: what is named is no address of a server.
    """
    url = os.environ.get(API_URL)
    if url and not url.startswith(("http://", "https://")):
        raise UserError(f"{API_URL} is {url!r}; set it to an address such as {EXAMPLE}, or unset it")
    return url or None


def need_api_url(what: str) -> str:
    """The server that the user named.

    Args:
        what: the command or option that cannot do without one.

    Raises:
        UserError: there is none.
    """
    url = api_url()
    if url is None:
        raise UserError(f"{what} needs a Prefect server: set {API_URL}, for example to {EXAMPLE}")
    return url


class EmbeddedServer:
    """A Prefect server for one search on this machine; its database lives as long as the search.

    Args:
        log: the file that its output goes to.
    """

    def __init__(self, log: Path) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="msearch-prefect-")
        port = _free_port()
        self.environment = {**QUIET, **_own(port, Path(self._home.name))}
        self._process: subprocess.Popen[str] = lifeline.start(
            "flows.server", str(port), log=log, environment=self.environment
        )

    def is_alive(self) -> bool:
        """Whether the server's process is there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the server and remove its database."""
        lifeline.stop(self._process, 5.0)
        self._home.cleanup()


def _own(port: int, home: Path) -> dict[str, str]:
    """What keeps the search with its own server, though the environment name another database, password or proxy."""
    password = f"msearch:{secrets.token_hex(16)}"
    database = f"sqlite+aiosqlite:///{home / DATABASE}"
    unproxied = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = unproxied if unproxied == "*" else ",".join(filter(None, [unproxied, LOOPBACK]))
    return {
        EMBEDDED: "1",
        API_URL: f"http://127.0.0.1:{port}/api",
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_API_DATABASE_CONNECTION_URL": database,  # its older name
        # An empty password is one too, that no client gives.
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_API_AUTH_STRING": password,
        "no_proxy": direct,
        "NO_PROXY": direct,
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_api() -> None:
    """Wait until the server at ``PREFECT_API_URL`` answers.

    Raises:
        UserError: it does not in time, or what answers is no Prefect API.
    """
    url = os.environ[API_URL]
    deadline = time.monotonic() + START_SECONDS
    while (status := _health(url)) not in ANSWERS:
        if status == HTTPStatus.NOT_FOUND:
            raise UserError(f"there is no Prefect API at {url}; {API_URL} should end with /api, as in {EXAMPLE}")
        if time.monotonic() > deadline:
            raise UserError(f"the Prefect server at {url} does not answer; start it, or unset {API_URL}")
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Whether a Prefect API answers at ``url``; one that asks for credentials does."""
    return _health(url) in ANSWERS


def _health(url: str) -> int | None:
    """The HTTP status with which the API says how it is, if anything answers."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5) as answer:  # noqa: S310 - the user's own
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@contextlib.contextmanager
def connected() -> Iterator[SyncPrefectClient]:
    """A client of the API, to do what the user has asked for.

    Raises:
        UserError: the server wants a password and was given none, or another one.
    """
    from prefect import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    with get_client(sync_client=True) as client:
        try:
            yield client
        except PrefectHTTPStatusError as error:
            if error.response.status_code not in (401, 403):
                raise
            raise UserError(
                f"the Prefect server at {client.api_url} wants a password; set PREFECT_API_AUTH_STRING to user:password"
            ) from None


def is_there() -> bool:
    """Whether the API that this process's runs are recorded with answers."""
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    return url is None or answers(url)


def wait_until_there(seconds: float) -> bool:
    """Wait for an API that does not answer, so that a run's end gets recorded; ``False`` if it does not come back."""
    deadline = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > deadline:
            return False
        time.sleep(1.0)
    return True


@contextlib.contextmanager
def without_heartbeats() -> Iterator[None]:
    """Flow runs of local processes send no heartbeat: their parent watches them, and it saves a second a run."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
