"""Work goes on where Prefect does not."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import recording
from flows.dispatch_local import LocalTrainers
from flows.parameters import TrainerParameters
from flows.recording import shown
from flows.search import Finisher, watch
from msearch_core.config import make_config
from msearch_core.session import join

LOGGER = logging.getLogger("test")


@pytest.fixture
def calls() -> list[str]:
    return []


def working(calls: list[str]) -> Callable[[], str]:
    def work() -> str:
        calls.append("work")
        return "done"

    return work


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(recording, "is_there", lambda: request.param)


@pytest.mark.parametrize("server", [False], indirect=True)
def test_without_a_server_the_work_is_done(server: None, calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    assert shown(working(calls), lambda work: pytest.fail("shown"), LOGGER) == "done"
    assert calls == ["work"]
    assert "going on without it" in caplog.text


@pytest.mark.parametrize("server", [True], indirect=True)
class TestWithAServer:
    def test_it_is_shown(self, server: None, calls: list[str]) -> None:
        assert shown(working(calls), lambda work: work(), LOGGER) == "done"
        assert calls == ["work"]

    @pytest.mark.parametrize("before", [True, False])
    def test_a_server_that_fails_stops_nothing(self, server: None, calls: list[str], before: bool) -> None:
        def show(work: Callable[[], str]) -> None:
            if not before:
                work()
            raise ConnectionError("the server is gone")

        assert shown(working(calls), show, LOGGER) == "done"
        assert calls == ["work"], "once"

    def test_the_work_s_own_failure_is_not_hidden(self, server: None) -> None:
        calls = []

        def fail() -> None:
            calls.append("work")
            raise RuntimeError("the training host died")

        with pytest.raises(RuntimeError, match="the training host died"):
            shown(fail, lambda work: work(), LOGGER)
        assert len(calls) == 1


@pytest.fixture
def silent() -> Iterator[None]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            yield


@pytest.mark.timeout(120)
def test_the_clock_of_a_search_does_not_wait_for_a_server_that_hangs(silent: None, tmp_path: Path) -> None:
    config = make_config(data="iris", minutes=0.001, log=str(tmp_path / "log"))
    session = join(config, tmp_path / "cache")
    nobody = LocalTrainers(TrainerParameters(log=session.log.url, run=session.run.run), 0)
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.callback(nobody.stop)
        board = watch(session, nobody, Finisher(session, stack, stopping), stopping, LOGGER)
    assert board.is_over
    assert board.stopped is not None
