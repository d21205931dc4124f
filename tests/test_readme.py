"""The README's own files: what it has the user write is what runs here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.searching import Workplace, trials, winners, workplace

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path, tmp_path_factory) as made:
        yield made


def file_of(name: str) -> str:
    """The README's listing that begins with the file's name."""
    (found,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", README.read_text(), re.S)
    return str(found)


@pytest.mark.slow
def test_a_source_and_a_space_of_ones_own(place: Workplace) -> None:
    for name in ("my_source.py", "my_space.py"):
        (place.folder / name).write_text(file_of(name))
    search = ("search", "my_source.py:Waves", "--space", "my_space.py", "--trials", "3", "--steps", "200")
    place.run(*search, "--log", "log")
    rows = trials(place.folder / "log")
    assert sorted(rows["status"]) == ["completed"] * 3
    (winner,) = winners(place.folder / "log")
    assert winner["test"]["accuracy"] > 0.9
