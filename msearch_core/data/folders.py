"""Folders whose subfolders each hold the files of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from msearch_core.data import audio, images
from msearch_core.data.blobs import FileBlobs
from msearch_core.data.examples import Examples
from msearch_core.data.files import Location, reading
from msearch_core.errors import UserError

TARGET = "label"


@dataclass(frozen=True)
class _Listing:
    """Files by class folder, those that lie beside the class folders, and all of them by path."""

    classes: dict[str, list[str]]
    loose: list[str]

    @property
    def paths(self) -> list[str]:
        return sorted([*self.loose, *(path for paths in self.classes.values() for path in paths)])


def read_classes(location: Location, shape: Sequence[int] | None = None, rate: int | None = None) -> Examples:
    """Read a folder whose subfolders each hold the images, or the WAV files, of one class.

    Hidden files and files of other kinds are passed over.

    Args:
        location: the folder.
        shape: as for `msearch_core.data.images.open_pictures`.
        rate: as for `msearch_core.data.audio.open_clips`.

    Raises:
        UserError: there are no class folders, one of them holds no such file, they hold both kinds, or a file cannot
            be read.
    """
    listing = _listing(location)
    what, endings = _kind(listing, location)
    if not listing.classes:
        found = (
            f"{len(listing.loose)} {what} but no class folders" if listing.loose else f"no class folders with {what}"
        )
        raise UserError(f"{location.url!r} holds {found}; put the {what} of each class into a folder of its own")
    empty = [name for name, paths in listing.classes.items() if not paths]
    if empty:
        raise UserError(
            f"the class folder {empty[0]!r} of {location.url!r} holds no {what} ({', '.join(endings)}); "
            f"add {what} or remove the folder"
        )
    paths = [path for name in listing.classes for path in listing.classes[name]]
    labels = pd.Series([name for name, own in listing.classes.items() for _ in own], name=TARGET, dtype=object)
    return Examples(_opened(location, paths, endings, shape, rate), {TARGET: labels})


def read_unlabelled(location: Location, shape: Sequence[int] | None, rate: int | None = None) -> Examples:
    """Read one file, or all images or WAV files of a folder and of the folders directly in it, by path.

    Args:
        location: the file or folder.
        shape: the ``(height, width, channels)`` that images are brought to.
        rate: the samples a second that sounds are brought to.

    Raises:
        UserError: there is no such file, or one cannot be read.
    """
    endings: tuple[str, ...]
    if not location.is_folder:
        endings = audio.ENDINGS if location.ending in audio.ENDINGS else images.ENDINGS
        return Examples(_opened(location, [location.path], endings, shape, rate))
    listing = _listing(location)
    what, endings = _kind(listing, location, "images" if rate is None else "WAV files")
    if not listing.paths:
        raise UserError(f"{location.url!r} holds no {what} ({', '.join(endings)}); give a folder with {what}")
    return Examples(_opened(location, listing.paths, endings, shape, rate))


def _opened(
    location: Location, paths: Sequence[str], endings: Sequence[str], shape: Sequence[int] | None, rate: int | None
) -> images.Pictures | audio.Clips:
    blobs = FileBlobs(location, paths)
    return audio.open_clips(blobs, rate) if endings is audio.ENDINGS else images.open_pictures(blobs, shape)


def _kind(listing: _Listing, location: Location, default: str = "images") -> tuple[str, tuple[str, ...]]:
    """Whether files are images or WAV files."""
    sounds = [path for path in listing.paths if PurePosixPath(path).suffix.lower() in audio.ENDINGS]
    if sounds and len(sounds) < len(listing.paths):
        raise UserError(
            f"{location.url!r} holds {len(listing.paths) - len(sounds)} images and {len(sounds)} WAV files; "
            "give a folder with one kind"
        )
    if sounds or (not listing.paths and default == "WAV files"):
        return "WAV files", audio.ENDINGS
    return ("images" if listing.paths else "images or WAV files"), images.ENDINGS


def _listing(location: Location) -> _Listing:
    with reading(location.url):
        found = location.filesystem.find(location.path, maxdepth=2, withdirs=True, detail=True)
    root = len(PurePosixPath(location.path).parts)
    classes: dict[str, list[str]] = {}
    loose: list[str] = []
    for path in sorted(found):
        parts = PurePosixPath(path).parts[root:]
        if not parts or any(part.startswith((".", "__")) for part in parts):
            continue
        is_folder = found[path]["type"] == "directory"
        if len(parts) == 1 and is_folder:
            classes.setdefault(parts[0], [])
        elif not is_folder and PurePosixPath(path).suffix.lower() in (*images.ENDINGS, *audio.ENDINGS):
            (classes.setdefault(parts[0], []) if len(parts) == 2 else loose).append(path)
    # ``find`` passes over what may not be read, ``ls`` does not: an unreadable folder must not count as empty.
    barren = (
        [location.path]
        if not (classes or loose)
        else [f"{location.path}/{name}" for name in classes if not classes[name]]
    )
    for path in barren:
        with reading(path):
            location.filesystem.ls(path)
    return _Listing(classes, loose)
