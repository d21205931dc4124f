"""Options: budgets, files, and what is said of wrong ones."""

from pathlib import Path

import pandas as pd
import pytest

from msearch_core.config import UNLIMITED_TRIALS, make_config, parse_options, read_config, read_suggestions
from msearch_core.data.options import DataOptions
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
    ("data", "name"),
    [
        ("digits", "digits"),
        ("gs://bucket/voices/", "voices"),
        ("a folder/some customers.csv", "some-customers.csv"),
        ("https://host/data.csv?signature=planted", "data.csv"),
        ("sources/my_source.py:Waves", "my_source.py:Waves"),
    ],
)
def test_data_has_a_short_name_that_tells_no_secret(data: str, name: str) -> None:
    assert make_config(data=data).data_name == name


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
            r"--algorithm: there is no algorithm .* expected one of .*random.* \(got 'psychic'\)",
        ),
        ({"name": "../up"}, r"--name"),
        ({"trails": 3}, r"unknown option --trails; did you mean --trials\? Expected one of data, "),
        ({"test": pd.DataFrame({"a": [1, 2, 3]})}, r"--test: .*valid string \(got a 0 1 1 2 2 3\)"),
        ({"task_weight": {"a": -1}}, r"--task-weight: .*greater than or equal to 0 \(got -1\)"),
        ({"minimize": "price"}, r"--minimize: .*'parameters', 'flops', 'latency_ms' or 'model_bytes'"),
        ({"max_latency_ms": 0}, r"--max-latency-ms: .*greater than 0"),
        ({"algorithm_options": {"population": [1]}}, r"--algorithm-options"),
        (
            {"algorithm_options": {"population": 9}},
            r"--algorithm-options: coordinate_descent has no option .population.",
        ),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        make_config(data="digits", **options)
    assert "\n" not in str(error.value)


def test_options_of_several_values_are_taken_apart() -> None:
    texts = {"target": ["a", "b"], "task_weight": ["a=2", "x=y=0.5"], "algorithm_options": '{"beam_size": 5}'}
    options = parse_options(texts)
    assert options == {
        "target": ["a", "b"],
        "task_weight": {"a": "2", "x=y": "0.5"},
        "algorithm_options": {"beam_size": 5},
    }
    config = make_config(data="t.csv", task=["multilabel", "a=regression"], balance=True, **options)
    assert config.source == DataOptions(
        "t.csv",
        ("a", "b"),
        task={"": "multilabel", "a": "regression"},
        task_weight={"a": 2.0, "x=y": 0.5},
        balance=True,
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"task_weight": ["2"]}, r"--task-weight: expected TARGET=NUMBER \(got '2'\)"),
        ({"algorithm_options": "{"}, r"--algorithm-options: expected a JSON object"),
    ],
)
def test_options_that_cannot_be_taken_apart(texts: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_options(texts)


def test_settings_name_what_is_asked_and_no_more() -> None:
    settings = make_config(
        data="digits", max_flops=10**6, minimize="flops", algorithm_options={"beam_size": 3}
    ).settings
    assert {key: value for key, value in settings.items() if value is not None} == {
        "steps": 500,
        "batch_size": 64,
        "max_flops": 10**6,
        "minimize": "flops",
        "algorithm_options": {"beam_size": 3},
    }


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


def test_a_missing_option_shows_none_of_the_others() -> None:
    with pytest.raises(UserError, match=r"--data: field required$"):
        make_config(log="s3://KEY:SECRET@bucket/log")
