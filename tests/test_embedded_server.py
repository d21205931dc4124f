"""The server that is brought up for a search, whatever the user's environment says of servers."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flows.prefect_api import EmbeddedServer
from flows.server import keep
from tests.searching import Workplace, finish, workplace

ASK = """
from prefect import flow, get_client, task
from flows.prefect_api import wait_for_api

@flow
def asked():
    return 1

wait_for_api()
asked()
with get_client(sync_client=True) as client:
    (run,) = client.read_flow_runs()
    print(run.state_name)
"""


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path, tmp_path_factory) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_environment_s_own_database_password_and_proxy_are_left_alone(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = place.folder / "own.db"
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        nowhere = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        theirs = {
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{own}",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{own}",
            "PREFECT_SERVER_API_AUTH_STRING": "admin:theirs",
            "PREFECT_API_AUTH_STRING": "admin:another",
            "NO_PROXY": "example.org",
            **dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), nowhere),
        }
        for name, value in {**place.environment, **theirs}.items():
            monkeypatch.setenv(name, value)
        server = EmbeddedServer(place.folder / "server.log")
        try:
            place.environment.update({**os.environ, **server.environment})
            (place.folder / "ask.py").write_text(ASK)
            place.environment["PYTHONPATH"] += os.pathsep + str(place.folder)
            assert finish(place.start("ask")).split()[-1] == "Completed"
        finally:
            server.stop()
    assert not own.exists()
    assert server.environment["no_proxy"] == server.environment["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    (template,) = place.cache.glob("msearch/prefect-*.db")
    with closing(sqlite3.connect(template)) as database:
        assert database.execute("select count(*) from sqlite_master where name = 'flow_run'").fetchone() == (1,)


def test_a_database_without_tables_is_not_kept(tmp_path: Path) -> None:
    keep(tmp_path / "empty.db", tmp_path / "cache" / "kept.db")
    assert not list((tmp_path / "cache").iterdir())


def test_where_nothing_can_be_kept_nothing_is_left(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "made.db")) as database:
        database.execute("create table flow_run (id)")
    (tmp_path / "kept.db").mkdir()
    with pytest.raises(OSError, match="kept"):
        keep(tmp_path / "made.db", tmp_path / "kept.db")
    assert {path.name for path in tmp_path.iterdir()} == {"made.db", "kept.db"}
