"""One row of the trial database and its Parquet schema.

The dataclass is the single source: the Arrow schema follows from its annotations. Columns are flat and typed; what
has varying keys is a JSON string. A row is final once written.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = 1

Kind = Literal["seed", "search", "promote", "ensemble", "distill", "rescore"]
Status = Literal["completed", "stopped", "infeasible", "diverged", "oom", "failed"]
Json: TypeAlias = Mapping[str, Any]
Row: TypeAlias = Mapping[str, Any]
"""A trial by column, of the values that Arrow takes for the column's type."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was tried and what came of it.

    ``uid``, ``search``, ``kind`` and ``status`` are required; the rest is ``None`` where it does not apply.
    """

    # What this row is.
    uid: str  # "<run>-<slot>", unique in the log
    search: str  # id of the search, as in search.json
    run: str | None = None  # "0001": one budget on one state of the data
    slot: int | None = None  # 1..N of the run's budget
    attempt: int | None = None  # which trainer's attempt at the slot published the row, from 1
    kind: Kind
    status: Status
    error: str | None = None  # one line; None for a completed trial

    # What came of it, on the validation split.
    objective: float | None = None
    objective_se: float | None = None  # standard error of the objective
    objective_name: str | None = None
    direction: str | None = None  # "max" or "min"
    metrics: Json | None = None  # by name
    curve: tuple[float, ...] | None = None  # the objective at evenly spaced steps of this trial
    rung: int | None = None  # the last of the rungs of early stopping that it came to, from 0

    # What was tried.
    architecture: tuple[str, ...] | None = None  # blocks from input to output
    architecture_hash: str | None = None
    space: str | None = None
    space_fingerprint: str | None = None
    algorithm: str | None = None
    history: Json | None = None  # what the proposal saw: chunks, further results, pending uids
    redraws: int | None = None  # proposals that were refused before this one
    mutation: Json | None = None
    parents: tuple[str, ...] | None = None
    teacher: str | None = None
    hyperparameters: Json | None = None
    seed: int | None = None
    split_seed: int | None = None
    batch_size: int | None = None
    steps: int | None = None  # gradient steps of this trial
    cumulative_steps: int | None = None  # with those of the ancestors whose weights it inherited
    inherited_fraction: float | None = None  # share of the parameters that started from an ancestor's
    inheritance: Json | None = None  # layer -> copied, morphed or fresh

    # What it costs.
    parameters: int | None = None
    model_bytes: int | None = None
    flops: int | None = None  # of one example's forward pass
    latency_ms: float | None = None  # of one example's forward pass
    train_seconds: float | None = None
    wall_seconds: float | None = None
    timings: Json | None = None  # seconds by phase
    peak_mb: float | None = None  # resident memory of the training process

    # Where it came from.
    data_fingerprint: str | None = None
    weights: str | None = None  # path in the log
    predictions: str | None = None  # path in the log
    trainer: str | None = None
    host: str | None = None
    versions: Json | None = None
    schema_version: int = SCHEMA_VERSION
    started_at: datetime | None = None
    finished_at: datetime | None = None
    extra: Json | None = None  # for what a later schema adds

    def __post_init__(self) -> None:
        for name, allowed in (("kind", get_args(Kind)), ("status", get_args(Status))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")


_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", tz="UTC"),
    tuple[str, ...]: pa.list_(pa.string()),
    tuple[float, ...]: pa.list_(pa.float64()),
    Json: pa.string(),
    Kind: pa.string(),
    Status: pa.string(),
}


def _annotation(hint: Any) -> Any:
    """The annotation without ``| None``."""
    return next(each for each in (get_args(hint) or (hint,)) if each is not type(None)) if _optional(hint) else hint


def _optional(hint: Any) -> bool:
    return type(None) in get_args(hint)


_HINTS = {name: _annotation(hint) for name, hint in get_type_hints(Trial).items()}
JSON_COLUMNS = frozenset(name for name, hint in _HINTS.items() if hint == Json)
SCHEMA = pa.schema(
    [pa.field(each.name, _ARROW[_HINTS[each.name]]) for each in dataclasses.fields(Trial)],
    metadata={"msearch_schema_version": str(SCHEMA_VERSION)},
)


def dumps(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, numbers that are not finite as null."""
    return json.dumps(_finite(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def to_row(trial: Trial) -> Row:
    """A trial as its columns have it: mappings as JSON, timestamps in microseconds since 1970."""
    row = {name: getattr(trial, name) for name in SCHEMA.names}
    for name, value in row.items():
        if name in JSON_COLUMNS and value is not None:
            row[name] = dumps(value)
        elif isinstance(value, datetime):
            row[name] = (value - EPOCH) // timedelta(microseconds=1)
    return row


def rows_to_table(rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Rows as a table, in the order given. What they lack is null, what the schema does not know is left out."""
    return pa.Table.from_pylist(rows, schema=schema)


def to_table(trials: Iterable[Trial]) -> pa.Table:
    """Trials as a table with the full schema, one row each, in the order given."""
    return rows_to_table([to_row(trial) for trial in trials])


def from_table(table: pa.Table) -> list[Trial]:
    """Rows back as trials. Columns that this version does not know are dropped, missing ones are ``None``."""
    known = [name for name in table.column_names if name in _HINTS]
    trials = []
    for row in table.select(known).to_pylist():
        for name, value in row.items():
            if value is not None and name in JSON_COLUMNS:
                row[name] = json.loads(value)
            elif isinstance(value, list):
                row[name] = tuple(value)
        trials.append(Trial(**row))
    return trials


class UndecodableError(ValueError):
    """Bytes that are not a whole Parquet file of trials."""


def to_parquet(table: pa.Table, metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a Parquet file; statistics and dictionaries are left out of files this small.

    Snappy, since each column of a file compressed with zstd costs a decoder of its own, which triples the time to
    read one row. Pages carry checksums, so that a damaged byte is told from a value.

    Args:
        table: rows with the full schema.
        metadata: is put into the file's own.
    """
    sink = io.BytesIO()
    small = table.num_rows < 100
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="snappy",
        write_statistics=not small,
        use_dictionary=not small,
        write_page_checksum=True,
        store_schema=False,  # Parquet's own types say it all; Arrow's copy is a third of a small file
    ) as writer:
        writer.write_table(table)
        if metadata:
            writer.add_key_value_metadata(metadata)
    return sink.getvalue()


def from_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a Parquet file's bytes, with this version's types, whatever version wrote it.

    Args:
        data: the file.
        columns: those wanted; the whole schema if not given. One that the file lacks is null, and those that this
            version does not know are left out.

    Raises:
        UndecodableError: the bytes are damaged, truncated or something else.
    """
    schema = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    try:
        # Threads cost more than they save on files this small.
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        table = file.read(columns=schema.names, use_threads=False)
        if not table.schema.equals(schema):
            missing = pa.nulls(table.num_rows)
            arrays = [
                (table.column(field.name) if field.name in table.column_names else missing).cast(field.type)
                for field in schema
            ]
            table = pa.table(arrays, schema=schema)
        table.validate()
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        # Nothing is read from a store here, so only the bytes can be wrong.
        raise UndecodableError(str(error)) from error
    return table
