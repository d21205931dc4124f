"""Images from folders and from encoded bytes, brought to one size and one colour mode."""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from msearch_core.data.examples import Examples
from msearch_core.data.files import Location, read_all, reading
from msearch_core.data.hashing import hash_bytes
from msearch_core.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MAX_SIDE = 256

_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"P5", b"P6")
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


def read_classes(location: Location, shape: Sequence[int] | None = None) -> Examples:
    """Read a folder whose subfolders each hold the images of one class.

    Hidden files and files that are not images are passed over.

    Args:
        location: the folder.
        shape: as in `decode`.

    Raises:
        UserError: there are no class folders, one of them holds no image, or an image cannot be read.
    """
    classes, loose = _listing(location)
    if not classes:
        what = f"{len(loose)} images but no class folders" if loose else "no class folders with images"
        raise UserError(f"{location.url!r} holds {what}; put the images of each class into a folder of its own")
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        raise UserError(
            f"the class folder {empty[0]!r} of {location.url!r} holds no image ({', '.join(ENDINGS)}); "
            "add images or remove the folder"
        )
    paths = [path for name in classes for path in classes[name]]
    labels = [name for name in classes for _ in classes[name]]
    blobs = read_all(location, paths)
    return Examples(
        decode(paths, blobs, shape), "label", pd.Series(labels, name="label", dtype=object), None, content(blobs)
    )


def read_unlabelled(location: Location, shape: Sequence[int]) -> Examples:
    """Read one image file, or all images of a folder and of the folders directly in it, by path.

    Args:
        location: the file or folder.
        shape: the ``(height, width, channels)`` that the images are brought to.

    Raises:
        UserError: there is no image, or one cannot be read.
    """
    paths = [location.path]
    if location.is_folder:
        classes, loose = _listing(location)
        paths = sorted([*loose, *(path for each in classes.values() for path in each)])
    if not paths:
        raise UserError(f"{location.url!r} holds no image ({', '.join(ENDINGS)}); give a folder with images")
    return Examples(decode(paths, read_all(location, paths), shape), "label")


def decode(names: Sequence[str], blobs: Sequence[bytes], shape: Sequence[int] | None = None) -> np.ndarray:
    """Decode images; those of another size are resized, and what is transparent becomes white.

    Args:
        names: what to call each image in a message.
        blobs: encoded images, ``n`` of them, in any format that Pillow knows.
        shape: the ``(height, width, channels)`` of the result. If not given: the commonest size, scaled down to 256
            pixels a side at most, with 1 channel if all images are grey, else 3.

    Returns:
        ``uint8 (n, height, width, channels)``.

    Raises:
        UserError: an image cannot be read.
    """
    height, width, channels = shape or _common_shape(names, blobs)
    if channels not in (1, 3):
        raise UserError(f"images have 1 or 3 channels, but the model takes {channels}; give an .npz file")
    array = np.empty((len(blobs), height, width, channels), np.uint8)
    for row, (name, blob) in enumerate(zip(names, blobs, strict=True)):
        try:
            with Image.open(io.BytesIO(blob)) as image:
                array[row] = _pixels(image, (width, height), channels)
        except _UNREADABLE as error:
            raise _unreadable(name, error) from None
    return array


def fit(array: np.ndarray, shape: Sequence[int], dtype: str, url: str) -> np.ndarray:
    """Bring an array of images to the shape and type that a model takes.

    Args:
        array: ``uint8`` or ``float32 (n, height, width, channels)``.
        shape: the ``(height, width, channels)`` of the result.
        dtype: the type of the result, ``uint8`` or ``float32``.
        url: where the images come from, for messages.

    Raises:
        UserError: the pixels are on another scale than those that the model was trained on, or cannot be resized.
    """
    if str(array.dtype) != dtype:
        raise UserError(f"{url!r} holds {array.dtype} images, but the model was trained on {dtype} ones; convert them")
    if array.shape[1:] == tuple(shape):
        return array
    if dtype != "uint8" or array.shape[3] not in (1, 3) or shape[2] not in (1, 3):
        size = "x".join(map(str, shape))
        raise UserError(f"{url!r} holds images of {'x'.join(map(str, array.shape[1:]))}, but the model takes {size}")
    images = (Image.fromarray(each[..., 0] if each.shape[2] == 1 else each) for each in array)
    return np.stack([_pixels(image, (shape[1], shape[0]), shape[2]) for image in images])


def is_image_column(values: pd.Series) -> bool:
    """Whether a column holds encoded images: bytes, or structures with a field ``bytes``."""
    if values.dtype != object:
        return False
    present = values.dropna()
    return len(present) > 0 and as_bytes(present.iloc[0]).startswith(_SIGNATURES)


def as_bytes(value: Any) -> bytes:
    """The encoded image in a cell; empty if there is none."""
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else b""


def content(blobs: Sequence[bytes]) -> np.ndarray:
    """Hash the images as they are stored, which no decoder and no resizing can change.

    Args:
        blobs: encoded images, ``n`` of them.

    Returns:
        ``uint64 (n,)``.
    """
    return np.fromiter(map(hash_bytes, blobs), np.uint64, len(blobs))


def _listing(location: Location) -> tuple[dict[str, list[str]], list[str]]:
    """The images of each class folder, and those that lie beside the class folders."""
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
        elif not is_folder and PurePosixPath(path).suffix.lower() in ENDINGS:
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
    return classes, loose


def _common_shape(names: Sequence[str], blobs: Sequence[bytes]) -> tuple[int, int, int]:
    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    for name, blob in zip(names, blobs, strict=True):
        try:
            with Image.open(io.BytesIO(blob)) as image:  # reads the header only
                sizes[_upright_size(image)] += 1
                grey = grey and image.mode in _GREY
        except _UNREADABLE as error:
            raise _unreadable(name, error) from None
    width, height = max(sizes, key=lambda size: (sizes[size], size))
    scale = min(1.0, MAX_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale)), 1 if grey else 3


def _upright_size(image: Image.Image) -> tuple[int, int]:
    quarter_turn = image.format == "JPEG" and image.getexif().get(0x0112, 1) >= 5
    return (image.height, image.width) if quarter_turn else image.size


def _pixels(image: Image.Image, size: tuple[int, int], channels: int) -> np.ndarray:
    if image.format == "JPEG":
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip rather than scale
        image = Image.fromarray((np.asarray(image) // 256).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., np.newaxis] if channels == 1 else pixels


def _unreadable(name: str, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if "BytesIO" not in str(error) and str(error) else "not an image"
    return UserError(f"cannot read {name}: {reason}; repair or remove it")
