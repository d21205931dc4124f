"""The few operations the log needs of a filesystem, and what each of them promises."""

from __future__ import annotations

import abc
import builtins
import contextlib
import ctypes
import errno
import os
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from msearch_core.errors import UserError
from msearch_core.urls import as_os_errors, open_url

NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
NO_EXCLUSIVE_RENAME = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
# s3fs asks for an object's size before it reads it, unless it is to read it in one piece: a second round trip a read.
ONE_PIECE = {"max_concurrency": 1}
CONDITIONAL = {"gs", "gcs", "s3", "s3a"}
"""Object stores whose clients write an object only where there is none, as one request. Others look first and then
write, or overwrite: of several trainers each would be told that it was first."""


class Store(abc.ABC):
    """A folder of immutable objects on an fsspec filesystem.

    What every implementation guarantees, and the contract tests check:

    * *Atomic*: an object is seen whole or not at all, by readers of any kind, at any moment, whatever is killed.
    * *Create-only*: of any number of writers that create one name with bytes of their own, exactly one is told
      ``True``, and nothing is overwritten.
    * *Durable*: once ``create`` has returned, the object survives the death of the writer and, on a local disk,
      a loss of power.
    * *Fresh*: ``list`` and ``read`` see every object whose ``create`` returned before they were called.
    * *Honest*: a missing object is ``FileNotFoundError``; any other failure is an ``OSError``, never read as "nothing
      there".

    Names are relative to the folder, use ``/`` and may not lead out of it.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self.fs = fs
        self.root = root.rstrip("/")

    @property
    def url(self) -> str:
        """The folder with its protocol, as fsspec and pandas take it."""
        return str(self.fs.unstrip_protocol(self.root))

    @property
    def is_local(self) -> bool:
        """Whether the folder is on this machine's own filesystem tree."""
        return False

    def path(self, name: str) -> str:
        """The full path of a name, for the filesystem.

        Raises:
            ValueError: the name, which may come from a row, would lead out of the folder.
        """
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name!r} leads out of {self.url}")
        return f"{self.root}/{name}"

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a new object. Returns ``False``, having written nothing, if the name exists already."""

    def read(self, name: str) -> bytes:
        """The bytes of an object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        data: bytes = self.fs.cat_file(self.path(name))
        return data

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of several objects in one batch; those that do not exist are left out."""
        paths = {self.path(name): name for name in names}
        if not paths:
            return {}
        found = {}
        for path, data in self.fs.cat(list(paths), on_error="return").items():
            if isinstance(data, FileNotFoundError):
                continue
            if isinstance(data, Exception):
                raise data
            found[paths[path]] = data
        return found

    def list(self, folder: str) -> list[str]:
        """The names of all objects below a folder, sorted, relative to the store; empty if there is no such folder."""
        self.fs.invalidate_cache()
        try:
            paths = self.fs.find(self.path(folder))
        except FileNotFoundError:
            return []
        start = len(self.root) + 1
        return sorted(path[start:] for path in paths)

    def list_many(self, folders: Iterable[str]) -> dict[str, builtins.list[str]]:
        """Several listings, by folder; side by side where each is a request."""
        return {folder: self.list(folder) for folder in folders}

    def delete(self, name: str) -> None:
        """Remove an object; it is no error if it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.path(name))

    def probe(self) -> None:
        """Make sure that what exists is not overwritten, by writing one name twice and removing it.

        Raises:
            UserError: it is; some servers that speak S3 pass over the condition of a PUT.
            OSError: nothing can be written.
        """
        name = f"probe-{uuid.uuid4().hex}"
        self.create(name, b"first")
        try:
            if self.create(name, b"second"):
                raise UserError(
                    f"{self.url} overwrites what is to be written only where there is nothing (a PUT with "
                    "If-None-Match or ifGenerationMatch), so that trainers would lose each other's trials; choose a "
                    "--log elsewhere"
                )
        finally:
            self.delete(name)


class LocalStore(Store):
    """A local or network-mounted folder. Objects are published by hard link, which has one winner.

    On filesystems without hard links, such as FAT and some network mounts, by ``renameat2(RENAME_NOREPLACE)``.
    """

    @property
    def is_local(self) -> bool:
        """Always."""
        return True

    def create(self, name: str, data: bytes) -> bool:
        """Write beside the target under a hidden name, then link; see the base class."""
        target = Path(self.path(name))
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = target.parent / f".{target.name}.{uuid.uuid4().hex}"
        try:
            with open(hidden, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            created = _publish(hidden, target)
        finally:
            hidden.unlink(missing_ok=True)
        if created:
            _sync_folder(target.parent)
        return created

    def read(self, name: str) -> bytes:
        """The bytes of an object; see the base class."""
        return Path(self.path(name)).read_bytes()

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those objects that exist; see the base class."""
        found = {}
        for name in names:
            try:
                found[name] = self.read(name)
            except FileNotFoundError:
                continue
        return found

    def list(self, folder: str) -> list[str]:
        """All names below a folder but for hidden ones; see the base class."""
        start = len(self.root) + 1
        return sorted(self._walk(self.path(folder), start))

    def _walk(self, folder: str, start: int) -> Iterable[str]:
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    yield from self._walk(entry.path, start)
                else:
                    yield entry.path[start:]


def _publish(hidden: Path, target: Path) -> bool:
    """Give a file its final name, unless that is taken: by a hard link, or else by a rename that replaces nothing."""
    try:
        os.link(hidden, target)
    except OSError as error:
        # A network filesystem can lose the reply to a link that it made: two links prove that it did.
        if hidden.stat().st_nlink == 2:
            return True
        if error.errno in NO_HARD_LINKS:
            return _rename(hidden, target, error)
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _rename(hidden: Path, target: Path, refusal: OSError) -> bool:
    try:
        rename_exclusively(hidden, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_EXCLUSIVE_RENAME:
            raise
        raise UserError(
            f"the folder {target.parent} allows neither hard links ({refusal.strerror}) nor renaming without "
            "replacing, of which the trial log needs one to have one winner; choose a --log on another filesystem"
        ) from error
    return True


def rename_exclusively(source: Path, target: Path) -> None:
    """Rename a file unless the new name exists, as one step of the kernel (Linux' ``renameat2``).

    Raises:
        FileExistsError: the new name exists.
        OSError: the rename failed; with ``EINVAL`` or ``ENOSYS`` if this system or filesystem knows no such operation.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    here, no_replace = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
    if rename(here, os.fsencode(source), here, os.fsencode(target), no_replace):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class MemoryStore(Store):
    """``memory://``: one process only."""

    _lock = threading.Lock()

    def create(self, name: str, data: bytes) -> bool:
        """Write under a lock that the whole process shares; see the base class."""
        path = self.path(name)
        with self._lock:
            if self.fs.exists(path):
                return False
            self.fs.pipe_file(path, data)
            return True


class ObjectStore(Store):
    """An object store whose PUT can be made conditional on the name being free, such as GCS and S3.

    Any other filesystem, such as a web server, can be read from.
    """

    def create(self, name: str, data: bytes) -> bool:
        """One conditional PUT; see the base class.

        Raises:
            UserError: the filesystem knows no such thing. What is there already can be read.
        """
        if not CONDITIONAL.intersection([self.fs.protocol] if isinstance(self.fs.protocol, str) else self.fs.protocol):
            raise UserError(
                f"cannot write a trial log at {self.url}: of several trainers that create one file there, each would "
                "be told that it was first; expected a local path or a URL such as gs://bucket/log or s3://bucket/log"
            )
        path = self.path(name)
        try:
            with as_os_errors(self.url):
                self.fs.pipe_file(path, data, mode="create")
        except OSError:
            # The reply may be lost after the write, and the client may have repeated the request by itself and been
            # told that the name is taken. Whoever finds its own bytes there has won.
            try:
                return self.read(name) == data
            except OSError:
                pass
            raise
        return True

    def read(self, name: str) -> bytes:
        """The bytes of an object; see the base class."""
        with as_os_errors(self.url):
            return super().read(name)

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """The bytes of those objects that exist, in one batch; see the base class."""
        with as_os_errors(self.url):
            return super().read_many(names)

    def list(self, folder: str) -> list[str]:
        """All names below a folder; see the base class."""
        with as_os_errors(self.url):
            return super().list(folder)

    def list_many(self, folders: Iterable[str]) -> dict[str, builtins.list[str]]:
        """Several listings at once; see the base class."""
        wanted = list(folders)
        with ThreadPoolExecutor(max(1, len(wanted))) as pool:
            return dict(zip(wanted, pool.map(self.list, wanted), strict=True))

    def delete(self, name: str) -> None:
        """Remove an object; see the base class."""
        with as_os_errors(self.url):
            super().delete(name)


def open_store(url: str) -> Store:
    """Open the folder at a local path or fsspec URL. Nothing is created.

    Raises:
        UserError: it is no address that can be opened.
        OSError: the storage cannot be reached.
    """
    options = ONE_PIECE if url.startswith(("s3://", "s3a://")) else {}
    fs, root = open_url(url, use_listings_cache=False, **options)
    if isinstance(fs, LocalFileSystem):
        return LocalStore(fs, root)
    if isinstance(fs, MemoryFileSystem):
        return MemoryStore(fs, root)
    return ObjectStore(fs, root)
