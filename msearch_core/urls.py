"""Addresses of files and folders as a user types them: local paths and fsspec URLs, opened or refused in one line."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from msearch_core.credentials import refuse_credentials
from msearch_core.errors import UserError

READ_ONLY = {"http", "https", "zip", "tar", "libarchive", "github", "git", "data", "reference"}
"""Protocols that are only read from: nothing is written there, or not in place of what is there."""
EXPECTED = "give a local path or a URL such as gs://bucket/name or s3://bucket/name"


def open_url(url: str, **options: Any) -> tuple[Any, str]:
    """The filesystem that an address is on, and the path there. Nothing is read or written.

    Args:
        url: a local path, also one that begins with ``~``, or an fsspec URL.
        options: for the filesystem.

    Returns:
        An ``fsspec.AbstractFileSystem``, and a path on it; a local one is absolute.

    Raises:
        UserError: no such kind of storage is known, its package is not installed, the address does not say enough, or
            it holds credentials.
        OSError: the storage cannot be reached, perhaps only for the moment.
    """
    try:
        refuse_credentials(url)
    except ValueError as error:
        raise UserError(str(error)) from None
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), url) from error
    except (ValueError, ImportError) as error:
        raise UserError(f"cannot open {url!r}: {' '.join(str(error).split())}; {EXPECTED}") from error
    except Exception as error:  # dir://x, for one, is an AttributeError, and github://x a TypeError
        raise UserError(f"cannot open {url!r}: an address of this kind does not say enough; {EXPECTED}") from error
    # fsspec takes a folder that is called ~draft for an absolute one.
    return filesystem, str(Path(path).absolute()) if isinstance(filesystem, LocalFileSystem) else path


def open_output(url: str) -> tuple[Any, str]:
    """As `open_url`, of an address that is to be written to: asked before the work, it is refused before the work.

    Raises:
        UserError: as above, or nothing can be written to that kind of storage.
        OSError: the storage cannot be reached.
    """
    protocols = {each.partition("://")[0] for each in url.split("::") if is_url(each)}
    for protocol in protocols & READ_ONLY:
        raise UserError(f"--out {url}: nothing can be written to {protocol}://; {EXPECTED}")
    return open_url(url)


def refuse_memory(url: str, option: str) -> None:
    """Refuse an address that no other process sees.

    Raises:
        UserError: it is one.
    """
    if "memory://" in url:
        raise UserError(f"{option} {url} lives in one process only, and ends with it; give a folder or a bucket")


def write_file(url: str, content: bytes) -> None:
    """Write a file, in place of what is there. A local reader never sees half of it.

    Raises:
        UserError: it cannot be written there.
    """
    try:
        filesystem, path = open_output(url)
        if isinstance(filesystem, LocalFileSystem):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.part")
            temporary.write_bytes(content)
            temporary.replace(target)
        else:
            with as_os_errors(url):
                filesystem.pipe_file(path, content)
    except OSError as error:
        raise UserError(f"--out {url} cannot be written: {error.strerror or error}; give a path that can be") from error


@contextlib.contextmanager
def as_os_errors(url: str) -> Iterator[None]:
    """Turn the errors of the many clients into the one that stands for a store that does not do as it is told."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{url}: {type(error).__name__}: {error}") from error


def is_url(text: str) -> bool:
    """Whether an address names its protocol; any other one is a local path."""
    return "://" in text


def expanded(path: str | Path) -> Path:
    """A local path with the home directory in place of ``~``."""
    # `Path.expanduser` raises for a folder that is called ~draft.
    return Path(os.path.expanduser(path))  # noqa: PTH111


def short(url: str) -> str:
    """A local path as the user would type it; other addresses as they are."""
    return url.removeprefix("file://")
