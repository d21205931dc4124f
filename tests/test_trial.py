"""The row and its Parquet form."""

import dataclasses
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.trial import JSON_COLUMNS, SCHEMA, Trial, dumps, from_parquet, from_table, to_parquet, to_table

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=4)
trials = st.builds(
    Trial,
    uid=st.integers(1, 999_999).map(lambda slot: f"0001-{slot:06d}"),
    search=st.text(),
    kind=st.sampled_from(["seed", "search", "promote"]),
    status=st.sampled_from(["completed", "failed"]),
    error=st.none() | st.text(),
    objective=st.none() | st.floats(allow_nan=False),
    curve=st.none() | st.lists(st.floats(allow_nan=False)).map(tuple),
    architecture=st.none() | st.lists(st.text()).map(tuple),
    metrics=st.none() | json_objects,
    hyperparameters=st.none() | json_objects,
    parameters=st.none() | st.integers(0, 2**62),
    finished_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(st.lists(trials, max_size=4))
def test_rows_survive_parquet(rows: list[Trial]) -> None:
    assert from_table(from_parquet(to_parquet(to_table(rows)))) == rows


def test_schema_has_every_field_in_order() -> None:
    assert SCHEMA.names == [field.name for field in dataclasses.fields(Trial)]
    assert SCHEMA.field("architecture").type == pa.list_(pa.string())
    assert SCHEMA.field("curve").type == pa.list_(pa.float64())
    assert SCHEMA.field("started_at").type == pa.timestamp("us", tz="UTC")
    assert SCHEMA.field("slot").type == pa.int64()
    assert {"metrics", "mutation", "inheritance", "history", "timings", "versions", "extra"} <= JSON_COLUMNS


def test_empty_table_carries_the_whole_schema() -> None:
    assert from_parquet(to_parquet(to_table([]))).schema.names == SCHEMA.names


def test_unknown_kind_and_status_are_refused() -> None:
    with pytest.raises(ValueError, match="kind is 'guess'"):
        Trial(uid="0001-000001", search="s", kind="guess", status="completed")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="status is 'fine'"):
        Trial(uid="0001-000001", search="s", kind="search", status="fine")  # type: ignore[arg-type]


def test_numbers_that_are_not_finite_become_null_in_json() -> None:
    assert json.loads(dumps({"loss": float("nan"), "curve": [1.0, float("inf")]})) == {
        "loss": None,
        "curve": [1.0, None],
    }


def test_columns_of_another_version_are_tolerated() -> None:
    table = to_table([Trial(uid="0001-000001", search="s", kind="search", status="completed")])
    table = table.drop_columns(["flops"]).append_column("colour", pa.array(["red"]))
    (trial,) = from_table(table)
    assert trial.flops is None
    assert trial.uid == "0001-000001"


def test_timestamps_stay_in_utc() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    (trial,) = from_table(
        to_table([Trial(uid="0001-000001", search="s", kind="search", status="stopped", started_at=moment)])
    )
    assert trial.started_at == moment
