"""The guarantees of the store and the log, checked on every filesystem."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.errors import UserError
from msearch_core.space import Proposal
from msearch_core.trial import SCHEMA, Trial, UndecodableError, from_parquet, from_table, to_parquet, to_table
from msearch_core.trial_log import RunRecord, SearchRecord, TrialLog, layout
from msearch_core.trial_log.check import Checker
from msearch_core.trial_log.claims import Claims
from msearch_core.trial_log.reader import Reader
from msearch_core.trial_log.store import ObjectStore, open_store


def read_plainly(log: TrialLog) -> pd.DataFrame:
    """As a user would; only the test server needs to be told that it takes no credentials."""
    options = {"token": "anon"} if log.url.startswith("gs:") else None
    return pd.read_parquet(f"{log.url}/trials", storage_options=options)


def trial(slot: int, **fields: object) -> Trial:
    defaults: dict[str, object] = {"search": "s", "kind": "search", "status": "completed", "objective": slot / 100}
    return Trial(uid=f"0001-{slot:06d}", **(defaults | fields))  # type: ignore[arg-type]


def search_record(**fields: object) -> SearchRecord:
    defaults: dict[str, object] = {
        "id": "s", "name": "digits", "space": "image", "space_fingerprint": "f", "objective": "accuracy",
        "direction": "max", "algorithm": "random", "seed": 0, "split_seed": 0, "task": "classification", "settings": {},
    }  # fmt: skip
    return SearchRecord(**(defaults | fields))  # type: ignore[arg-type]


def run_record(trials: int = 5, **fields: object) -> RunRecord:
    defaults: dict[str, object] = {
        "run": "0001", "extension": 1, "minutes": None, "data": {}, "data_fingerprint": "d", "trials": trials,
    }  # fmt: skip
    return RunRecord(**(defaults | fields))  # type: ignore[arg-type]


class TestStore:
    def test_create_is_exclusive_and_never_overwrites(self, log_url: str) -> None:
        store = open_store(log_url)
        assert store.create("a/b.json", b"first")
        assert not store.create("a/b.json", b"second")
        assert store.read("a/b.json") == b"first"

    def test_empty_objects_exist(self, log_url: str) -> None:
        store = open_store(log_url)
        assert store.create("a/empty", b"")
        assert not store.create("a/empty", b"more")
        assert store.read("a/empty") == b""
        assert store.list("a") == ["a/empty"]

    def test_one_winner_among_racing_threads(self, log_url: str) -> None:
        store = open_store(log_url)
        barrier = threading.Barrier(8)

        def race(writer: int) -> list[bool]:
            barrier.wait()
            return [store.create(f"race/{number}", f"{writer}".encode()) for number in range(20)]

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(race, range(8)))
        for number in range(20):
            winners = [writer for writer in range(8) if outcomes[writer][number]]
            assert len(winners) == 1
            assert store.read(f"race/{number}") == f"{winners[0]}".encode()

    def test_missing_is_told_from_empty(self, log_url: str) -> None:
        store = open_store(log_url)
        with pytest.raises(FileNotFoundError):
            store.read("nothing")
        assert store.list("nowhere") == []
        store.create("x", b"1")
        assert store.read_many(["x", "y"]) == {"x": b"1"}
        store.delete("y")

    def test_list_is_fresh_and_relative(self, log_url: str) -> None:
        store, other = open_store(log_url), open_store(log_url)
        assert store.list("f") == []
        for name in ("f/b", "f/a", "f/deeper/c"):
            other.create(name, b"1")
            assert name in store.list("f")
        assert store.list("f") == ["f/a", "f/b", "f/deeper/c"]
        other.delete("f/a")
        assert store.list("f") == ["f/b", "f/deeper/c"]


class TestTrialLog:
    def test_plain_pandas_reads_the_log_at_any_moment(self, log_url: str) -> None:
        log = TrialLog(log_url)
        log.open(search_record())
        columns = list(read_plainly(log).columns)
        assert "objective" in columns
        for slot in range(1, 31):
            assert log.append(trial(slot))
            frame = read_plainly(log)
            assert list(frame.columns) == columns
            assert frame["uid"].is_unique
        log.seal()
        assert sorted(read_plainly(log)["uid"]) == [f"0001-{slot:06d}" for slot in range(1, 31)]

    def test_a_row_is_final(self, log_url: str) -> None:
        log = TrialLog(log_url)
        assert log.append(trial(1, objective=0.5))
        assert not TrialLog(log_url).append(trial(1, objective=0.9))
        assert TrialLog(log_url).trials()["objective"].tolist() == [0.5]

    def test_another_process_sees_each_row_once(self, log_url: str) -> None:
        writer, reader = TrialLog(log_url), TrialLog(log_url)
        for slot in range(1, 8):
            writer.append(trial(slot))
            assert reader.trials()["uid"].tolist() == [f"0001-{each:06d}" for each in range(1, slot + 1)]
        writer.seal()
        assert len(reader.trials()) == 7
        assert len(TrialLog(log_url).trials()) == 7

    def test_racing_sealers_publish_each_row_once(self, log_url: str) -> None:
        store = open_store(log_url)
        for slot in range(1, 41):
            store.create(layout.result_file(f"0001-{slot:06d}"), to_parquet(to_table([trial(slot)])))
        barrier = threading.Barrier(4)

        def race(_: int) -> int:
            log = TrialLog(log_url)
            barrier.wait()
            return log.seal()

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(race, range(4))) >= 40  # two that wrote the same bytes may both say so
        TrialLog(log_url).open(search_record())
        frame = read_plainly(TrialLog(log_url))
        assert sorted(frame["uid"]) == [f"0001-{slot:06d}" for slot in range(1, 41)]

    def test_a_chunk_that_a_listing_passed_over_is_read_all_the_same(self, log_url: str) -> None:
        log = TrialLog(log_url)
        for slot in range(1, 4):
            log.append(trial(slot))
        reader = Reader(log.store)
        reader.take_in([], [layout.chunk_file(3)])  # a folder that grows while it is listed can look like this
        assert reader.take().column("uid").to_pylist() == [f"0001-{slot:06d}" for slot in range(1, 4)]

    def test_undecodable_results_are_void_and_foreign_files_ignored(self, log_url: str) -> None:
        log = TrialLog(log_url)
        log.append(trial(1))
        log.store.create(layout.result_file("0001-000002"), b"PAR1 torn")
        log.store.create("results/0001-0/notes.txt", b"hello")
        log.store.create("results/0001-0/other.parquet", to_parquet(to_table([trial(3)])))
        fresh = TrialLog(log_url)
        assert fresh.trials()["uid"].tolist() == ["0001-000001"]
        assert fresh.seal() == 0
        board = fresh.board(run_record(trials=5))
        board.look()
        assert board.reader.void == {"0001-000002"}
        assert board.slots == 6
        assert list(board.free()) == [3, 4, 5, 6]

    def test_the_first_search_record_stands(self, log_url: str) -> None:
        assert TrialLog(log_url).open(search_record(id="one")).id == "one"
        assert TrialLog(log_url).open(search_record(id="two")).id == "one"
        assert {name.partition("/")[0] for name in open_store(log_url).list("")} == {"search.json", "trials"}

    def test_runs_show_their_newest_budget(self, log_url: str) -> None:
        log = TrialLog(log_url)
        assert log.runs() == []
        assert log.add_run(run_record(5))
        assert not log.add_run(run_record(9))
        assert log.add_run(run_record(20, extension=2))
        assert log.add_run(run_record(7, run="0002"))
        assert [(run.run, run.trials) for run in log.runs()] == [("0001", 20), ("0002", 7)]

    def test_the_newest_number_of_trainers_counts_though_it_was_said_before(self, log_url: str) -> None:
        log = TrialLog(log_url)
        log.open(search_record())
        log.add_run(run_record())
        board = log.board(log.runs()[0])
        for count in (8, 0, 8, 8, 2):
            log.set_trainers("0001", count)
            board.look()
            assert board.trainers == count

    def test_a_folder_that_is_no_log_is_named(self, log_url: str) -> None:
        with pytest.raises(UserError, match="holds no search"):
            TrialLog(log_url).search()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_rows_are_told_from_sound_ones(data: st.DataObject) -> None:
    """Whatever happens to a result's bytes, they are decoded as they were written or refused with one error."""
    sound = to_parquet(to_table([trial(1, metrics={"accuracy": 0.5}, architecture=("a", "b"))]))
    cut = data.draw(st.integers(0, len(sound)))
    damaged = bytearray(sound[:cut] if data.draw(st.booleans()) else sound)
    for position in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
        if damaged:
            damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        table = from_parquet(bytes(damaged))
    except UndecodableError:
        assert bytes(damaged) != sound
    else:
        assert table.schema.names == SCHEMA.names


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "weights/../../outside", ".."])
def test_names_may_not_lead_out_of_the_log(tmp_path: Path, name: str) -> None:
    store = open_store(str(tmp_path / "log"))
    for operation in (store.read, store.list, store.delete, lambda each: store.create(each, b"x")):
        with pytest.raises(ValueError, match="leads out"):
            operation(name)


class Client:
    """A client of an object store that behaves as another one, but for what its subclasses do."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)


class LosesReplies(Client):
    """Writes, loses the reply, repeats the request and is told the name is taken."""

    def pipe_file(self, path: str, data: bytes, mode: str) -> None:
        self._fs.pipe_file(path, data, mode=mode)
        self._fs.pipe_file(path, data, mode=mode)


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_a_write_whose_reply_was_lost_is_known_as_ones_own(kind: str, request: pytest.FixtureRequest) -> None:
    store = open_store(f"{request.getfixturevalue(f'{kind}_bucket')}/{uuid.uuid4().hex}")
    forgetful = ObjectStore(LosesReplies(store.fs), store.root)
    assert forgetful.create("claim", b"mine")
    assert not forgetful.create("claim", b"another's")
    assert store.read("claim") == b"mine"


class IgnoresConditions(Client):
    """Overwrites what is there."""

    def pipe_file(self, path: str, data: bytes, mode: str) -> None:
        self._fs.pipe_file(path, data)


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_a_server_that_overwrites_is_found_out_before_anything_is_lost(
    kind: str, request: pytest.FixtureRequest
) -> None:
    store = open_store(f"{request.getfixturevalue(f'{kind}_bucket')}/{uuid.uuid4().hex}")
    overwriting = ObjectStore(IgnoresConditions(store.fs), store.root)
    with pytest.raises(UserError, match="overwrites what is to be written only where there is nothing"):
        TrialLog(overwriting).open(search_record())
    assert store.list("") == []


@pytest.mark.parametrize("url", ["simplecache::memory://log", "http://example.org/log", "dir::file:///tmp/log"])
def test_a_filesystem_that_cannot_name_one_winner_is_not_written(url: str) -> None:
    with pytest.raises(UserError, match="each would be told that it was first; expected a local path or a URL"):
        open_store(url).create("search.json", b"{}")


def test_a_log_can_be_read_from_where_none_can_be_written(tmp_path: Path) -> None:
    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.append(trial(1))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served = TrialLog(f"http://127.0.0.1:{server.server_port}")
        assert list(served.trials()["uid"]) == ["0001-000001"]
        with pytest.raises(UserError, match="each would be told that it was first"):
            served.append(trial(2))
        server.shutdown()


def test_a_store_out_of_reach_is_an_oserror(gcs_bucket: str) -> None:
    store = open_store(f"gs://no-such-bucket-{uuid.uuid4().hex}/log")
    with pytest.raises(OSError, match="no-such-bucket"):
        store.create("x", b"1")


def test_unknown_protocol_is_one_line() -> None:
    with pytest.raises(UserError, match="cannot open 'nope://x'"):
        open_store("nope://x")


@pytest.mark.parametrize("uid", ["", "1-1", "../0001-000001", "0001-000001/..", "0001-x00001"])
def test_paths_are_made_from_checked_uids_only(uid: str) -> None:
    with pytest.raises(ValueError, match="no trial uid"):
        layout.result_file(uid)


class TestOtherVersions:
    def newer(self, slot: int) -> bytes:
        """A row as a later version may write it: another schema version and a column of its own."""
        table = to_table([trial(slot, schema_version=2)]).append_column("colour", pa.array(["red"]))
        return to_parquet(table)

    def test_newer_rows_are_read_and_not_rewritten(self, log_url: str) -> None:
        log = TrialLog(log_url)
        log.append(trial(1))
        log.store.create(layout.result_file("0001-000002"), self.newer(2))
        fresh = TrialLog(log_url)
        assert fresh.trials()["uid"].tolist() == ["0001-000001", "0001-000002"]
        assert list(fresh.trials().columns) == SCHEMA.names
        assert fresh.seal() == 0, "this version would drop what it does not know"
        board = log.board(run_record(5))
        board.look()
        assert board.seal_if_due() == 0
        assert board.done == 2

    def test_older_rows_lack_columns(self, log_url: str) -> None:
        log = TrialLog(log_url)
        older = to_table([trial(1, schema_version=0)]).drop_columns(["flops", "extra", "peak_mb"])
        log.store.create(layout.result_file("0001-000001"), to_parquet(older))
        assert log.trials()["flops"].isna().all()
        assert log.seal() == 1
        assert TrialLog(log_url).trials()["uid"].tolist() == ["0001-000001"]


GOLDEN = Path(__file__).parent / "golden" / "log-1"


class TestGoldenLog:
    """A log that version 1 of the schema wrote must stay readable for ever."""

    def test_plain_pandas(self) -> None:
        frame = pd.read_parquet(GOLDEN / "trials")
        assert sorted(frame["uid"]) == [f"0001-{slot:06d}" for slot in range(1, len(frame) + 1)]
        assert set(frame["status"]) == {"completed"}
        assert (frame["objective"] > 0.5).all()

    def test_rows_records_and_claims(self) -> None:
        log = TrialLog(str(GOLDEN))
        frame = log.trials()
        trials = from_table(pa.Table.from_pandas(frame, SCHEMA, preserve_index=False))
        children = [each for each in trials if each.parents]
        assert children, "the golden log has mutated trials"
        for each in children:
            assert each.mutation
            assert each.inheritance
            assert (each.cumulative_steps or 0) >= (each.steps or 0) + (60 if each.inherited_fraction else 0)
        assert log.search().objective == "accuracy"
        assert log.runs()[0].trials == len(frame)
        assert log.winners()[0].uid in set(frame["uid"])
        board = log.board(log.runs()[0])
        board.look()
        assert board.is_over
        claims = Claims(log.store)
        claims.refresh([""], lambda _: False)
        assert len(claims.latest) == len(frame)
        assert all(claim and Proposal.from_json(claim.proposal).architecture for claim in claims.latest.values())

    def test_it_is_sound(self) -> None:
        assert Checker(TrialLog(str(GOLDEN)).store).report().is_sound
