"""Files and folders on any fsspec filesystem, with the failures that a user can mend told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from msearch_core.errors import UserError
from msearch_core.urls import as_os_errors, open_url


@dataclass(frozen=True)
class Location:
    """A file or folder that exists.

    Attributes:
        url: what the user called it.
        filesystem: the fsspec filesystem that holds it.
        path: its path there.
        is_folder: whether it is a folder.
    """

    url: str
    filesystem: Any
    path: str
    is_folder: bool

    @property
    def ending(self) -> str:
        """The name's ending in lower case, for example ``.csv``."""
        return PurePosixPath(self.path).suffix.lower()


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Turn what goes wrong while reading ``url`` into a `UserError`.

    Raises:
        UserError: the file is missing or may not be read, or the storage cannot be reached.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"cannot find {url!r}: no such file or folder; check the path") from None
    except PermissionError:
        raise UserError(f"cannot read {url!r}: permission denied; ask for the right to read it") from None
    except OSError as error:
        raise UserError(f"cannot read {url!r}: {_line(error)}; check the path and the storage") from None


def locate(url: str) -> Location:
    """Find a file or folder.

    Args:
        url: a local path or an fsspec URL.

    Raises:
        UserError: there is none, it cannot be reached, or the kind of storage is unknown.
    """
    with reading(url):
        filesystem, path = open_url(url)
        with as_os_errors(url):
            kind = filesystem.info(path)["type"]
    return Location(url, filesystem, path, is_folder=kind == "directory")


def read_all(location: Location, paths: list[str]) -> list[bytes]:
    """Read many files, at once where the filesystem can.

    Args:
        location: where they are.
        paths: the files' paths on that filesystem.

    Raises:
        UserError: one of them cannot be read.
    """
    with reading(location.url):
        # Unlike ``cat``, this takes a name such as "a[1].png" literally.
        found = location.filesystem.cat_ranges(paths, None, None, on_error="return")
    for path, content in zip(paths, found, strict=True):
        if isinstance(content, Exception):
            with reading(path):
                raise content
    return list(found)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
