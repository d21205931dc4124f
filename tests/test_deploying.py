"""What `msearch deploy` leaves on a real Prefect server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.pool import Server, prefect_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with prefect_server(tmp_path_factory.mktemp("deploying"), tmp_path_factory) as made:
        yield made


def deploy(server: Server, **options: object) -> subprocess.CompletedProcess[str]:
    (server.place.folder / "refresh.json").write_text(json.dumps(options))
    return subprocess.run(
        [sys.executable, "-m", "msearch_core.cli", "deploy", "--refresh", "refresh.json"],
        cwd=server.place.folder, env=server.place.environment, capture_output=True, text=True,
    )  # fmt: skip


def logs_of(server: Server, name: str) -> list[str]:
    found = [each for each in server.ask("deployments") if each["name"] == name]
    return [each["parameters"].get("parameters", {}).get("config", {}).get("log") for each in found]


def test_another_search_does_not_take_the_place_of_one_that_is_deployed(server: Server) -> None:
    options = {"data": "gs://here/voices", "log": "gs://here/log"}
    assert deploy(server, **options).returncode == 0
    assert deploy(server, **options, trials=30).returncode == 0, "the same search may change"
    refused = deploy(server, data="gs://there/voices", log="gs://there/log")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused
    assert "refresh/voices is of the search with the log gs://here/log, not gs://there/log" in refused.stderr
    assert "give this search another name" in refused.stderr
    assert logs_of(server, "voices") == ["gs://here/log"]
    assert deploy(server, data="gs://there/voices", log="gs://there/log", name="others").returncode == 0
    assert logs_of(server, "others") == ["gs://there/log"]
