"""What a search meets where it runs: terminals that close, other searches' logs, files beside the data."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.launch import _new_log_file
from tests.searching import (
    Workplace,
    check_budget,
    finish,
    trials,
    wait_for,
    workplace,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path, tmp_path_factory) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_while_a_search_begins_leaves_nothing(place: Workplace, number: int) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # under nohup it is ignored, and the command would do so, too
    process = place.msearch("search", "iris", "--trials", "2", "--log", "log")
    signal.signal(number, before)
    wait_for(lambda: list(place.temporary.glob("msearch-trainers-*")), "trainers are started")
    process.send_signal(number)
    assert "stopped" in finish(process, 130)
    place.wait_until_gone()
    assert not list(place.temporary.iterdir())


def test_the_logs_of_searches_that_go_on_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_log_path", lambda name: tmp_path)
    own = tmp_path / f"search-20250101-000000-{os.getpid()}.log"
    ended = [tmp_path / f"search-2025010{day}-000000-999999999.log" for day in range(1, 10)]
    for file in (own, *ended):
        file.touch()
    monkeypatch.setattr("flows.launch.KEPT_LOGS", 5)
    made = _new_log_file()
    assert set(tmp_path.iterdir()) == {own, *ended[-5:], made}


SHADOW = 'open("executed", "a").write(__name__ + " ")\nraise ImportError("a file beside the data was run")\n'
NAMED = """
from msearch_core.blocks.dense import dense
from msearch_core.space import SearchSpace

space = SearchSpace("named", dense.variants(units=(8, 16)), {})
"""


def test_files_beside_the_data_take_no_module_s_place_and_those_that_are_named_are_found(place: Workplace) -> None:
    (place.folder / "flows").mkdir()
    for name in ("flows/__init__", "queue", "keras", "csv"):
        (place.folder / f"{name}.py").write_text(SHADOW)
    (place.folder / "named.py").write_text(NAMED)
    place.run(
        "search", "iris", "--space", "named:space", "--trials", "2", "--trainers", "1", "--steps", "5", "--log", "log"
    )
    check_budget(place.folder / "log", 2)
    assert set(trials(place.folder / "log")["status"]) == {"completed"}
    assert not (place.folder / "executed").exists()
