"""Work goes on where Prefect does not."""

import logging
from collections.abc import Callable

import pytest

from flows import recording
from flows.recording import shown

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
