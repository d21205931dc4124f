"""Local filesystems that are full, read-only or without hard links, and network ones that lose replies."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest

from benchmarks.log_faults import FORK, running
from msearch_core.errors import UserError
from msearch_core.trial_log import TrialLog, store
from msearch_core.trial_log.check import Checker
from msearch_core.trial_log.patience import patiently
from msearch_core.trial_log.store import open_store, rename_exclusively
from tests.test_log_contract import read_plainly, run_record, search_record, trial


def without_hard_links(source: object, target: object) -> None:
    """What ``os.link`` does on FAT."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source), None, str(target))


def race_without_hard_links(folder: str, count: int, gate: Any, won: Any) -> None:
    os.link = without_hard_links  # type: ignore[assignment]
    store, me = open_store(folder), str(os.getpid()).encode()
    gate.wait()
    won.put((me, [number for number in range(count) if store.create(f"race/{number}", me)]))


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux'")
def test_without_hard_links_racing_processes_have_one_winner_each(tmp_path: Path) -> None:
    gate, won = FORK.Barrier(4), FORK.Queue()
    with running(
        [FORK.Process(target=race_without_hard_links, args=(str(tmp_path), 300, gate, won)) for _ in range(4)]
    ):
        winners = dict(won.get(timeout=60) for _ in range(4))
    assert sorted(number for numbers in winners.values() for number in numbers) == list(range(300))
    assert sum(bool(numbers) for numbers in winners.values()) > 1, "they raced"
    for winner, numbers in winners.items():
        assert all((tmp_path / "race" / str(number)).read_bytes() == winner for number in numbers)
    assert not list(tmp_path.glob("race/.*"))


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux'")
def test_an_exclusive_rename_replaces_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with pytest.raises(FileExistsError):
        rename_exclusively(tmp_path / "a", tmp_path / "b")
    rename_exclusively(tmp_path / "a", tmp_path / "c")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"b": "b", "c": "a"}


def test_with_neither_links_nor_exclusive_renames_it_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(source: Path, target: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "link", without_hard_links)
    monkeypatch.setattr(store, "rename_exclusively", unknown)
    with pytest.raises(UserError, match=r"neither hard links .* another filesystem$") as refusal:
        TrialLog(str(tmp_path)).open(search_record())
    assert "\n" not in str(refusal.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("number", [errno.EIO, errno.EEXIST])
def test_a_link_whose_reply_was_lost_is_known_by_its_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """On NFS a link can be made, its reply lost, and the repeated request be told that the name exists."""
    link = os.link

    def loses_its_reply(source: Path, target: Path) -> None:
        link(source, target)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", loses_its_reply)
    mine = open_store(str(tmp_path))
    assert mine.create("claim", b"mine")
    monkeypatch.setattr(os, "link", link)
    assert not mine.create("claim", b"another's")
    assert [path.name for path in tmp_path.iterdir()] == ["claim"]


def test_a_link_that_failed_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(OSError, match="Input/output error"):
        open_store(str(tmp_path)).create("claim", b"mine")
    assert list(tmp_path.iterdir()) == []


def test_a_pause_ends_when_whoever_waits_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msearch_core.trial_log.patience.FIRST_SECONDS", 3600.0)
    monkeypatch.setattr("msearch_core.trial_log.patience.LOOK_SECONDS", 0.01)
    told = threading.Event()
    threading.Timer(0.1, told.set).start()

    def unreachable() -> None:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError):
        patiently(unreachable, give_up=told.is_set)


def fill_up(folder: str) -> None:
    """In a mount namespace of its own: fill a real, small filesystem, then make room while an append waits."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], check=True)
    log = TrialLog(folder)
    log.open(search_record())
    ballast = Path(folder, "ballast")
    ballast.write_bytes(b"x" * 200_000)
    acknowledged: list[str] = []
    error = 0
    while not error and len(acknowledged) < 200:
        row = trial(len(acknowledged) + 1, extra={"noise": os.urandom(2000).hex()})
        try:
            if log.append(row):
                acknowledged.append(row.uid)
        except OSError as full:
            error = full.errno or 0
    during = sorted(TrialLog(folder).trials()["uid"]) == acknowledged
    readable = set(read_plainly(log)["uid"]) <= set(acknowledged)
    threading.Timer(0.3, ballast.unlink).start()
    waited = patiently(lambda: log.append(row))
    log.seal()
    after = sorted(read_plainly(log)["uid"]) == [*acknowledged, row.uid]
    sound = Checker(log.store).report().is_sound
    hidden = len(list(Path(folder).rglob(".*")))
    sys.stdout.write(json.dumps([errno.errorcode[error], during, readable, waited, after, sound, hidden]))


def can_mount() -> bool:
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_a_full_disk_tears_nothing_and_the_append_goes_on_when_there_is_room(tmp_path: Path) -> None:
    code = f"from tests.test_log_filesystems import fill_up; fill_up({str(tmp_path)!r})"
    command = ["unshare", "-rm", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["ENOSPC", True, True, True, True, True, 0]


def run_out_of_file_size(folder: str, report: Any) -> None:
    """Where nothing can be mounted: the system refuses to let a file grow."""
    import resource

    log = TrialLog(folder)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        log.append(trial(2))
        error = None
    except OSError as refused:
        error = refused.errno
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    report.put((error, log.append(trial(2))))


def test_a_write_that_is_cut_short_leaves_nothing(tmp_path: Path) -> None:
    log = TrialLog(str(tmp_path))
    log.open(search_record())
    log.append(trial(1))
    before = sorted(tmp_path.rglob("*"))
    report = FORK.Queue()
    with running([FORK.Process(target=run_out_of_file_size, args=(str(tmp_path), report))]):
        assert report.get(timeout=60) == (errno.EFBIG, True)
    assert len(set(tmp_path.rglob("*")) - set(before)) == 2, "the row and its chunk"
    assert sorted(TrialLog(str(tmp_path)).trials()["uid"]) == ["0001-000001", "0001-000002"]


def read_and_try_to_write(folder: str, report: Any) -> None:
    if os.getuid() == 0:
        # What is imported on first use may lie where only the owner may look.
        read_plainly(TrialLog(folder))
        TrialLog(folder).trials()
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    log = TrialLog(folder)
    seen = [len(log.trials()), len(read_plainly(log)), len(log.runs())]
    refused = []
    for operation in (lambda: log.append(trial(9)), log.seal, lambda: log.open(search_record(id="another"))):
        try:
            refused.append(operation())
        except OSError as error:
            refused.append(type(error).__name__)
    report.put((seen, [each if isinstance(each, str | int) else each.id for each in refused]))


@pytest.fixture
def read_only_log(tmp_path: Path) -> Iterator[TrialLog]:
    log = TrialLog(str(tmp_path / "log"))
    log.open(search_record())
    log.add_run(run_record())
    log.append(trial(1))
    log.store.create("results/0001-0/0001-000002.parquet", log.store.read("results/0001-0/0001-000001.parquet"))
    # Those that pytest keeps to the user, more of them where several processes share the tests.
    closed = [each for each in (tmp_path, *tmp_path.parents) if f"pytest-of-{getuser()}" in each.parts]
    modes = {path: path.stat().st_mode for path in closed}
    for path in closed:
        path.chmod(0o755)
    folders = [path for path in (tmp_path / "log").rglob("*") if path.is_dir()]
    for folder in (tmp_path / "log", *folders):
        folder.chmod(0o555)
    yield log
    for folder in (tmp_path / "log", *folders):
        folder.chmod(0o755)
    for path, mode in modes.items():
        path.chmod(mode)


def test_a_folder_that_may_only_be_read_is_read_and_says_so(read_only_log: TrialLog) -> None:
    report = FORK.Queue()
    with running([FORK.Process(target=read_and_try_to_write, args=(read_only_log.store.root, report))]):
        seen, refused = report.get(timeout=60)
    assert seen == [1, 1, 1]
    assert refused == ["PermissionError", 0, "s"], "the void result is not sealed; the search on record stands"
