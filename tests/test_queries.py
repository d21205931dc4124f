"""The queries that the README shows, run as they stand there, on a local log and on a bucket."""

import re
from pathlib import Path

import pytest

from msearch_core.trial_log import TrialLog
from tests.test_log_contract import search_record, trial

README = Path(__file__).parents[1] / "README.md"
LOCAL = "msearch-logs/digits-image-seed0"


def snippets(word: str) -> list[str]:
    """The README's Python blocks that mention a word."""
    return [block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if word in block]


@pytest.fixture(params=["local", "local, less is better", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    place = f"{request.getfixturevalue('gcs_bucket')}/{LOCAL}" if request.param == "gcs" else LOCAL
    direction, scores = ("min", (0.3, 0.2, 0.1)) if "less" in request.param else ("max", (0.7, 0.8, 0.9))
    log = TrialLog(place)
    log.open(search_record(direction=direction))
    rows = {
        1: {"objective": scores[0], "architecture": ("dense(units=64)",)},
        2: {
            "objective": scores[1],
            "architecture": ("dense(units=64)", "dense(units=32)"),
            "parents": ("0001-000001",),
        },
        3: {"objective": scores[2], "architecture": ("dense(units=32)",), "parents": ("0001-000002",)},
        4: {"objective": None, "status": "failed", "architecture": ("dense(units=64)",)},
    }
    same = {"run": "0001", "mutation": {"change": "replace"}, "direction": direction}
    for slot, fields in rows.items():
        log.append(trial(slot, wall_seconds=float(slot), **same, **fields))
    log.seal()
    return place


@pytest.mark.parametrize("library", ["pandas", "duckdb", "polars"])
def test_the_readmes_queries_answer(place: str, library: str) -> None:
    (code,) = snippets(f"import {library}\n" if library != "pandas" else "import pandas as pd\n\nlog =")
    if place.startswith("gs:"):
        code = on_the_test_server(code.replace(f'"{LOCAL}"', f'"{place}"'))
    names: dict[str, object] = {}
    exec(code, names)  # the README's own words
    best = [str(uid) for uid in as_list(names["best"], "uid")]
    assert best[:3] == ["0001-000003", "0001-000002", "0001-000001"]
    lineage = [str(uid) for uid in as_list(names["lineage"], "uid")]
    assert sorted(lineage) == ["0001-000001", "0001-000002", "0001-000003"]
    cost = dict(zip(as_list(names["cost"], "block"), as_list(names["cost"], "seconds"), strict=True))
    assert cost == {"dense(units=64)": 7.0, "dense(units=32)": 5.0}


def as_list(found: object, column: str) -> list[object]:
    """A column of a pandas or polars frame, or the list itself."""
    return list(found if isinstance(found, list) else found[column])  # type: ignore[index]


def on_the_test_server(code: str) -> str:
    """The server takes no credentials and stands elsewhere, which only a test has to say."""
    return code.replace('/trials")', '/trials", storage_options={"token": "anon"})')
