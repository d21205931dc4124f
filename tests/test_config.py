"""Options: budgets, files, and what is said of wrong ones."""

from pathlib import Path

import pytest

from msearch_core.config import UNLIMITED_TRIALS, make_config, read_config, read_suggestions
from msearch_core.errors import UserError


@pytest.mark.parametrize(
    ("options", "budget"),
    [
        ({}, (20, 10.0)),
        ({"trials": 7}, (7, None)),
        ({"minutes": 3}, (UNLIMITED_TRIALS, 3.0)),
        ({"trials": 7, "minutes": 3}, (7, 3.0)),
    ],
)
def test_budget(options: dict[str, object], budget: tuple[int, float | None]) -> None:
    assert make_config(data="digits", **options).budget == budget


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, r"--trials: .*greater than or equal to 1 \(got 0\)"),
        ({"minutes": float("inf")}, r"--minutes: .*finite"),
        ({"minutes": 0}, r"--minutes: .*greater than 0 \(got 0\)"),
        ({"trainers": -1}, r"--trainers"),
        ({"batch_size": 0}, r"--batch-size"),
        ({"seed": "x"}, r"--seed: .*integer"),
        (
            {"algorithm": "psychic"},
            r"--algorithm: there is no algorithm .* expected one of coordinate_descent, random \(got 'psychic'\)",
        ),
        ({"name": "../up"}, r"--name"),
        ({"trails": 3}, r"unknown option --trails"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        make_config(data="digits", **options)
    assert "\n" not in str(error.value)


def test_config_files(tmp_path: Path) -> None:
    toml, json = tmp_path / "c.toml", tmp_path / "c.json"
    toml.write_text('trials = 5\nbatch-size = 16\nspace = "tabular"\n')
    json.write_text('{"trials": 5, "batch_size": 16, "space": "tabular"}')
    assert read_config(toml) == read_config(json) == {"trials": 5, "batch_size": 16, "space": "tabular"}


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_config_files_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(UserError, match="--config"):
        read_config(tmp_path / "c.json")
    with pytest.raises(UserError, match="cannot read"):
        read_config(tmp_path / "missing.toml")


def test_suggestions(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('[["a", "b"], ["c"]]')
    (tmp_path / "s.toml").write_text('architectures = [["a", "b"], ["c"]]')
    assert read_suggestions(tmp_path / "s.json") == read_suggestions(tmp_path / "s.toml") == [["a", "b"], ["c"]]
    (tmp_path / "bad.json").write_text('{"x": 1}')
    with pytest.raises(UserError, match="must hold a list of architectures"):
        read_suggestions(tmp_path / "bad.json")
