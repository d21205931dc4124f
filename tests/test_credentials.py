"""Secrets are refused where they would be recorded, and strangers among the options too."""

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from flows.parameters import RefreshParameters, TrainerParameters
from msearch_core.config import SearchConfig, make_config
from msearch_core.errors import UserError

SECRET = "hunter2"
WITH_SECRET = f"s3://key:{SECRET}@bucket/data.csv"


@pytest.mark.parametrize("chain", ["simplecache::", "zip://x.csv::", "simplecache::zip://x.csv::"])
def test_a_chained_url_with_credentials_is_refused(chain: str) -> None:
    with pytest.raises(UserError, match="--data: the URL holds credentials"):
        make_config(data=chain + WITH_SECRET)


def test_a_password_may_hold_a_slash() -> None:
    with pytest.raises(UserError, match="the URL holds credentials"):
        make_config(data="s3://key:hun/ter2@bucket/data.csv")
    for data in ("http://localhost:9000/a@b.csv", "zip://x.csv::s3://bucket/a@b.zip", "s3://bucket/a:b/c@d.csv"):
        assert make_config(data=data).data == data


@pytest.mark.parametrize("option", ["data", "log", "test"])
def test_a_url_with_credentials_is_refused_without_repeating_them(option: str) -> None:
    with pytest.raises(UserError, match=f"--{option}: the URL holds credentials") as refused:
        make_config(**{"data": "digits", option: WITH_SECRET})
    assert SECRET not in str(refused.value)
    with pytest.raises(ValidationError) as failed:
        SearchConfig(**{"data": "digits", option: WITH_SECRET})
    assert SECRET not in str(failed.value), "Prefect logs what is wrong with parameters"


def test_the_server_refuses_it_too() -> None:
    schema = TrainerParameters.model_json_schema()
    jsonschema.validate({"log": "s3://bucket/a@b", "run": "0001"}, schema)
    jsonschema.validate({"log": "/home/me@work/log", "run": "0001"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"log": WITH_SECRET, "run": "0001"}, schema)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (SearchConfig, {"data": "digits"}),
        (TrainerParameters, {"log": "/log", "run": "0001"}),
        (RefreshParameters, {"config": {"data": "digits"}}),
    ],
)
def test_unknown_parameters_are_refused(kind: type[BaseModel], parameters: dict[str, object]) -> None:
    assert kind(**parameters)
    with pytest.raises(ValidationError, match="trails"):
        kind(**parameters, trails=3)
    assert kind.model_json_schema()["additionalProperties"] is False
