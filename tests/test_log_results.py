"""The file of a finished trial: a Parquet row that any reader understands, and the copy that is quicker to read."""

from __future__ import annotations

import io
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.trial import (
    SCHEMA,
    Row,
    Trial,
    UndecodableError,
    from_parquet,
    from_table,
    rows_to_table,
    to_parquet,
    to_row,
    to_table,
)
from msearch_core.trial_log import results
from tests.test_log_contract import trial
from tests.test_trial import trials

GOLDEN = Path(__file__).parent / "golden" / "result-1.parquet"
ROW = to_row(trial(1, metrics={"accuracy": 0.5}, architecture=("a", "b"), curve=(0.25, 0.5)))


def with_copy(copy: str, row: Row = ROW) -> bytes:
    """A result whose copy says something else."""
    return to_parquet(rows_to_table([row]), {results.COPY: f"{zlib.crc32(copy.encode()):08x} {copy}"})


@settings(deadline=None)
@given(trials)
def test_both_copies_say_what_was_written(row: Trial) -> None:
    data = results.encode(to_row(row))
    copy = results.read_copy(data)
    assert copy is not None
    assert from_table(rows_to_table([copy])) == from_table(from_parquet(data)) == [row]
    assert results.is_whole(data)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, -0.0, 5e-324, 0.1 + 0.2])
def test_every_float_survives(value: float) -> None:
    data = results.encode(to_row(trial(1, objective=value, curve=(value,))))
    copy = results.read_copy(data)
    assert copy is not None
    assert results.is_whole(data)
    for number in (copy["objective"], *copy["curve"]):
        assert math.copysign(1, number) == math.copysign(1, value)
        assert number == value or (math.isnan(number) and math.isnan(value))


def test_numpys_numbers_are_taken_as_arrow_takes_them() -> None:
    data = results.encode({**ROW, "parameters": np.int64(7), "objective": np.float32(0.1), "curve": [np.float64(0.5)]})
    row = results.decode(data)
    assert (row["parameters"], row["objective"], row["curve"]) == (7, float(np.float32(0.1)), [0.5])
    assert results.is_whole(data)


def test_plain_pandas_reads_a_result() -> None:
    frame = pd.read_parquet(io.BytesIO(results.encode(ROW)))
    assert list(frame.columns) == SCHEMA.names
    assert frame.loc[0, "uid"] == "0001-000001"
    assert frame.loc[0, "architecture"].tolist() == ["a", "b"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_bit_is_never_read(data: st.DataObject) -> None:
    """Wherever it is, the row is read as it was written, from one copy or the other, or refused with one error."""
    damaged = bytearray(results.encode(ROW))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        row = results.decode(bytes(damaged))
    except UndecodableError:
        return
    assert from_table(rows_to_table([row])) == from_table(to_table(from_table(rows_to_table([ROW]))))


@pytest.mark.parametrize(
    "copy",
    [
        "",
        "[]",
        "{",
        json.dumps({"uid": 7}),
        json.dumps({"uid": "0001-000001", "slot": True}),
        json.dumps({"uid": "0001-000001", "slot": 2**63}),
        json.dumps({"uid": "0001-000001", "objective": "high"}),
        json.dumps({"uid": "0001-000001", "curve": [0.5, "high"]}),
        json.dumps({"uid": "0001-000001", "metrics": {"accuracy": 0.5}}),
    ],
)
def test_a_copy_of_other_types_is_passed_over(copy: str) -> None:
    data = with_copy(copy)
    assert results.read_copy(data) is None
    assert results.decode(data)["metrics"] == '{"accuracy":0.5}'
    assert not results.is_whole(data)


def test_copies_that_differ_are_told() -> None:
    assert not results.is_whole(with_copy(json.dumps({**ROW, "objective": 1.0})))


def test_a_result_without_a_copy_is_an_earlier_versions() -> None:
    data = to_parquet(rows_to_table([ROW]))
    assert results.read_copy(data) is None
    assert results.is_whole(data)
    assert from_table(rows_to_table([results.decode(data)])) == from_table(rows_to_table([ROW]))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1 torn", to_parquet(SCHEMA.empty_table())])
def test_what_is_no_row_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableError):
        results.decode(data)
    with pytest.raises(UndecodableError):
        results.decode(to_parquet(rows_to_table([ROW, ROW])))


def test_columns_of_a_later_version_are_left_out() -> None:
    later = {**ROW, "schema_version": 2, "colour": "red"}
    row = results.decode(with_copy(json.dumps(later), later))
    assert rows_to_table([row]).column_names == SCHEMA.names
    assert row["schema_version"] == 2


def test_the_golden_result_stays_readable() -> None:
    """Version 1 of the schema wrote it, with its copy."""
    data = GOLDEN.read_bytes()
    copy = results.read_copy(data)
    assert copy is not None
    assert results.is_whole(data)
    (row,) = from_table(rows_to_table([copy]))
    assert (row.uid, row.objective, row.schema_version) == ("0001-000007", 0.9 + 7 / 1000, 1)
    assert row.architecture is not None
    assert row.architecture[-1] == "dense(units=0)"
    assert row.metrics == {"accuracy": 0.9, "balanced_accuracy": 0.9, "f1_macro": 0.9, "log_loss": 0.3}
    assert row.started_at is not None
    assert row.started_at.isoformat() == "2026-11-27T02:30:00.000001+00:00"
    with pytest.raises(pa.ArrowException):
        results.encode({**copy, "slot": "seven"})
