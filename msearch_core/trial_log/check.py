"""Verifying a log file by file, and rebuilding what can be rebuilt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from msearch_core.trial import Row, UndecodableError, from_parquet, rows_to_table, to_parquet
from msearch_core.trial_log import layout, results
from msearch_core.trial_log.claims import Claim
from msearch_core.trial_log.records import (
    ProductionRecord,
    Record,
    RefreshRecord,
    RunRecord,
    SearchRecord,
    StopRecord,
    TrainersRecord,
    WinnerRecord,
)
from msearch_core.trial_log.store import Store

BATCH = 1000
COUNTED: dict[str, type[Record]] = {
    "winners": WinnerRecord,
    "production": ProductionRecord,
    "refreshes": RefreshRecord,
}
"""Folders of numbered records."""


@dataclass(frozen=True)
class Finding:
    """Something about a file that is not as it should be.

    Attributes:
        level: ``error`` if rows are lost, doubled or cannot be queried; ``note`` if it is only untidy.
        name: the file, relative to the log.
        what: what is wrong, and what follows.
    """

    level: Literal["error", "note"]
    name: str
    what: str


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        rows: trials on record.
        chunks: sealed chunks.
        unsealed: results in no chunk yet.
        files: how many files were looked at.
        findings: what is not as it should be.
    """

    rows: int
    chunks: int
    unsealed: int
    files: int
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether there is no error."""
        return not any(finding.level == "error" for finding in self.findings)


class Checker:
    """Reads every file of a log once.

    Args:
        store: the log's folder.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.names = [name for name in store.list("") if not name.startswith(("models/", "reports/"))]
        self.chunks: dict[int, pa.Table] = {}
        self.corrupt_chunks: set[int] = set()
        self.results: dict[str, Row] = {}

    def report(self) -> Report:
        """Check everything."""
        findings = [
            *self._check_records(),
            *self._check_results(),
            *self._check_chunks(),
            *self._check_artefacts(),
            *self._check_claims(),
        ]
        sealed = {uid for table in self.chunks.values() for uid in _uids(table)}
        return Report(
            rows=len(sealed | self.results.keys()),
            chunks=len(self.chunks),
            unsealed=len(self.results.keys() - sealed),
            files=len(self.names),
            findings=tuple(sorted(findings, key=lambda finding: (finding.level, finding.name))),
        )

    def _under(self, folder: str) -> list[str]:
        return [name for name in self.names if name.startswith(f"{folder}/")]

    def _read(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        for start in range(0, len(names), BATCH):
            yield from self.store.read_many(names[start : start + BATCH]).items()

    def _check_records(self) -> Iterator[Finding]:
        if layout.SEARCH not in self.names:
            yield Finding("error", layout.SEARCH, "is missing: the log has no search")
        if layout.CARRIER not in self.names:
            yield Finding("error", layout.CARRIER, "is missing: it carries the schema that plain readers see")
        kinds: dict[str, type[Record]] = {layout.SEARCH: SearchRecord} if layout.SEARCH in self.names else {}
        for name in [name for folder in ("runs", *COUNTED) for name in self._under(folder)]:
            if kind := _record_kind(name):
                kinds[name] = kind
            else:
                yield Finding("note", name, "is no record; it is ignored")
        for name, data in self._read(list(kinds)):
            try:
                kinds[name].from_bytes(data)
            except ValueError as error:
                yield Finding("error", name, f"cannot be read: {error}")

    def _check_results(self) -> Iterator[Finding]:
        uids = {name: uid for name in self._under("results") if (uid := layout.result_uid(name))}
        for name in self._under("results"):
            if name not in uids or name != layout.result_file(uids[name]):
                yield Finding("note", name, "is no result; it is ignored")
        for name, data in self._read(list(uids)):
            try:
                row = results.decode(data)
            except UndecodableError:
                row = {}
            if row.get("uid") != uids[name]:
                yield Finding("error", name, "cannot be decoded: its slot is void and another one replaces it")
                continue
            self.results[uids[name]] = row
            if not results.is_whole(data):
                yield Finding("note", name, "is damaged in one of its row's two copies; the other one is read")

    def _check_chunks(self) -> Iterator[Finding]:
        numbers = {name: number for name in self._under("trials") if (number := layout.chunk_number(name)) is not None}
        for name in self._under("trials"):
            if name not in numbers:
                yield Finding("error", name, "is no chunk: plain readers of the folder may fail on it; remove it")
        for name, data in self._read(list(numbers)):
            number = numbers[name]
            try:
                table = from_parquet(data)
            except UndecodableError:
                self.corrupt_chunks.add(number)
                yield Finding("error", name, "cannot be decoded: sealing has stopped; --repair rebuilds it")
                continue
            if number:
                self.chunks[number] = table
        last = max(self.chunks.keys() | self.corrupt_chunks, default=0)
        for number in set(range(1, last + 1)) - self.chunks.keys() - self.corrupt_chunks:
            self.corrupt_chunks.add(number)
            yield Finding("error", layout.chunk_file(number), "is missing: sealing has stopped; --repair rebuilds it")
        counts = Counter(uid for table in self.chunks.values() for uid in _uids(table))
        for uid, count in counts.items():
            if count > 1:
                yield Finding("error", f"trials ({uid})", f"is on record {count} times")
            if uid not in self.results:
                yield Finding("note", f"trials ({uid})", "is sealed, but its result file is gone")

    def _check_artefacts(self) -> Iterator[Finding]:
        named: set[str] = set()
        for row in self._rows("weights", "predictions"):
            named |= {name for name in (row["weights"], row["predictions"]) if name}
        present = {*self._under("weights"), *self._under("predictions")}
        for name in sorted(named - present):
            yield Finding("note", name, "is named by a row and gone: its children start fresh")
        done = self._done() - self._at_a_rung()
        for name in sorted(present - named):
            uid = name.split("/")[1].partition(".")[0]
            if uid in done:
                yield Finding("note", name, "belongs to a finished trial that does not name it")

    def _check_claims(self) -> Iterator[Finding]:
        claims = {name: parsed for name in self._under("claims") if (parsed := layout.parse_claim(name))}
        done = self._done()
        for name in self._under("claims"):
            if name not in claims and not name.startswith("claims/keys/"):
                yield Finding("note", name, "is no claim; it is ignored")
        for name, data in self._read([name for name, (uid, _, released) in claims.items() if not released]):
            try:
                owner = Claim.from_bytes(data).identity
            except ValueError:
                yield Finding("note", name, "cannot be read: the next trainer makes another proposal")
                continue
            uid, attempt, _ = claims[name]
            open_still = uid not in done and layout.released_file(uid, attempt) not in claims
            if open_still and owner.known_dead():
                yield Finding("note", name, f"its trainer {owner.trainer} is dead; the next one takes the trial over")

    def _at_a_rung(self) -> set[str]:
        """Trials that another one may go on from: their last checkpoint is kept."""
        rows = self._rows("uid", "status", "rung")
        return {str(row["uid"]) for row in rows if row["status"] == "completed" and row["rung"] is not None}

    def _rows(self, *columns: str) -> Iterator[Row]:
        for table in self.chunks.values():
            yield from table.select(columns).to_pylist()
        for row in self.results.values():
            yield {column: row.get(column) for column in columns}

    def _done(self) -> set[str]:
        return self.results.keys() | {uid for table in self.chunks.values() for uid in _uids(table)}


def repair(store: Store) -> list[str]:
    """Rebuild corrupt or missing chunks from the results. No trainer may be at work.

    The rows of the lost chunks are those on record that are in no other chunk. The first lost chunk gets them all;
    further ones become empty, so that the numbers stay without a gap.

    Returns:
        The names of the chunks that were rebuilt.
    """
    checker = Checker(store)
    checker.report()
    sealed = {uid for table in checker.chunks.values() for uid in _uids(table)}
    lost = [row for uid, row in sorted(checker.results.items()) if uid not in sealed]
    rebuilt = []
    carrier = {0} if layout.CARRIER not in checker.names else set()
    for number in sorted(checker.corrupt_chunks | carrier):
        rows, lost = (lost, []) if number else ([], lost)
        store.delete(layout.chunk_file(number))
        store.create(layout.chunk_file(number), to_parquet(rows_to_table(rows)))
        rebuilt.append(layout.chunk_file(number))
    return rebuilt


def in_short(findings: Iterable[Finding]) -> Iterator[str]:
    """A line for each error; notes that say the same of many files, as after pruning, are one line with a count."""
    alike: dict[tuple[str, str], list[str]] = {}
    for each in findings:
        subject = each.name if each.level == "error" else ""
        alike.setdefault((each.level, subject + each.what), []).append(f"{each.name} {each.what}")
    for (level, _), lines in alike.items():
        more = f" (and {len(lines) - 1} more like it)" if len(lines) > 1 else ""
        yield f"{level}: {lines[0]}{more}"


def as_json(report: Report) -> str:
    """The report for a machine."""
    return json.dumps({**vars(report), "findings": [vars(finding) for finding in report.findings]}, indent=1)


def _record_kind(name: str) -> type[Record] | None:
    if layout.number_of(name) is not None:
        return COUNTED[name.partition("/")[0]]
    if run := layout.parse_run_file(name):
        return RunRecord if name == layout.run_file(*run) else None
    if changed := layout.parse_trainers_file(name):
        return TrainersRecord if name == layout.trainers_file(*changed) else None
    return StopRecord if layout.is_stop_file(name) else None


def _uids(table: pa.Table) -> list[str]:
    return [str(uid) for uid in table.column("uid").to_pylist()]
