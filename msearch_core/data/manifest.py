"""What the files of a data source hold, found without reading again those that have not changed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import platformdirs

from msearch_core.data.files import Location, locate, reading
from msearch_core.data.named import NAMES

BLOCK = 1 << 20
SETTLED_SECONDS = 2.0
"""A file that changed less than this ago may change again without its time of change telling."""
CONTENT_HASHES = ("md5Hash", "crc32c", "ETag", "etag", "content_md5")
"""Under which keys object stores give a hash of the content, or a mark that changes with it."""
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


@dataclass(frozen=True)
class Manifest:
    """The files of a data source.

    Attributes:
        digests: a hash of each file's content by its path below the source.
        read: how many files had to be read for it.
    """

    digests: Mapping[str, str]
    read: int = 0

    @property
    def fingerprint(self) -> str:
        """A hash of all files and their names."""
        return hashlib.sha256(json.dumps(sorted(self.digests.items())).encode()).hexdigest()[:16]


def take(sources: Iterable[str], cache: Path | None = None) -> Manifest:
    """Take stock of data sources.

    Object stores tell a content hash with each listing. On other filesystems a file is read and hashed once, and again
    when its size or its time of change differ from those in the cache.

    Args:
        sources: names, files or folders, local or fsspec URLs.
        cache: the cache's folder; the user's own if not given.

    Raises:
        UserError: a source cannot be found or read.
    """
    cache = cache or platformdirs.user_cache_path("msearch") / "manifests"
    digests: dict[str, str] = {}
    read = 0
    for source in sources:
        if source in NAMES:
            digests[source] = source
            continue
        known = _Known(cache / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.json")
        location = locate(source)
        for name, info in _files(location):
            digest = _told(info) or known.digest(name, info)
            if digest is None:
                digest = _hash(location, info["name"])
                read += 1
            known.keep(name, info, digest)
            digests[f"{source}/{name}"] = digest
        known.save()
    return Manifest(digests, read)


class _Known:
    """The digests of a source's files as they were last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, list[Any]] = {}
        try:
            self._known: dict[str, list[Any]] = json.loads(path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def digest(self, name: str, info: Mapping[str, Any]) -> str | None:
        """The file's digest if its size and time of change are what they were."""
        size, stamp, digest = self._known.get(name, (None, None, None))
        return digest if stamp is not None and (size, stamp) == (info["size"], _stamp(info)) else None

    def keep(self, name: str, info: Mapping[str, Any], digest: str) -> None:
        """Remember a digest, unless the file changed a moment ago."""
        changed = info.get("mtime")
        if not isinstance(changed, int | float) or time.time() - changed > SETTLED_SECONDS:
            self._kept[name] = [info["size"], _stamp(info), digest]

    def save(self) -> None:
        """Write what was kept; a cache that cannot be written costs time only."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            temporary.write_text(json.dumps(self._kept))
            temporary.replace(self._path)
        except OSError:
            pass


def _files(location: Location) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The files of a source with what the filesystem knows of each; hidden ones are no data."""
    with reading(location.url):
        if not location.is_folder:
            return [(PurePosixPath(location.path).name, location.filesystem.info(location.path))]
        location.filesystem.invalidate_cache()
        found = location.filesystem.find(location.path, detail=True)
    start = len(location.path.rstrip("/")) + 1
    named = [(path[start:], info) for path, info in sorted(found.items())]
    return [(name, info) for name, info in named if not any(part.startswith(".") for part in name.split("/"))]


def _told(info: Mapping[str, Any]) -> str | None:
    return next((f"{key}:{info[key]}" for key in CONTENT_HASHES if info.get(key)), None)


def _stamp(info: Mapping[str, Any]) -> str | None:
    stamps = [f"{key}:{info[key]}" for key in (*TIMES, "ino") if info.get(key) is not None]
    return " ".join(stamps) or None


def _hash(location: Location, path: str) -> str:
    digest = hashlib.sha256()
    with reading(path), location.filesystem.open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
