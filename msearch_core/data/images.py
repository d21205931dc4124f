"""Encoded images, brought to one size and one colour mode."""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageOps

from msearch_core.data.blobs import Blobs, content
from msearch_core.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MAX_SIDE = 256

_THREADS = 4
_BATCH_BYTES = 1 << 24
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")
_WHITE = {"I": (255, 65535), "F": (1, 255)}
"""By mode of 32 bits: the largest value has to be above the first and not above the second."""
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"P5", b"P6")
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Pictures:
    """Encoded images that are decoded when they are needed, by batches.

    Attributes:
        blobs: the images as they are stored.
        shape: ``(n, height, width, channels)`` as decoded.
        content: ``uint64 (n,)``, a hash of each image as it is stored.
        sizes: how many images have each ``(width, height)`` as stored; empty where nobody had to look.
    """

    blobs: Blobs
    shape: tuple[int, int, int, int]
    content: np.ndarray
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)

    dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def batches(self) -> Iterator[np.ndarray]:
        """The images in order, ``uint8 (batch, height, width, channels)`` a time.

        Raises:
            UserError: an image cannot be read.
        """
        row, size = 0, max(1, _BATCH_BYTES // int(np.prod(self.shape[1:])))
        for blobs in self.blobs.batches():
            for start in range(0, len(blobs), size):
                batch = blobs[start : start + size]
                yield decode([self.blobs.name(row + each) for each in range(len(batch))], batch, self.shape[1:])
                row += len(batch)


def open_pictures(blobs: Blobs, shape: Sequence[int] | None = None) -> Pictures:
    """Look through images without decoding them.

    Args:
        blobs: encoded images, in any format that Pillow knows.
        shape: the ``(height, width, channels)`` that they are brought to. If not given: the commonest size, scaled
            down to 256 pixels a side at most, with 1 channel if all images are grey, else 3.

    Raises:
        UserError: an image cannot be read.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    hashes: list[np.ndarray] = []
    row = 0
    for batch in blobs.batches():
        hashes.append(content(batch))
        for blob in batch if shape is None else ():
            size, is_grey = _look(blobs.name(row), blob)
            sizes[size] += 1
            grey, row = grey and is_grey, row + 1
    height, width, channels = shape or _common_shape(sizes, grey)
    if channels not in (1, 3):
        raise UserError(f"images have 1 or 3 channels, but the model takes {channels}; give an .npz file")
    return Pictures(blobs, (len(blobs), height, width, channels), np.concatenate(hashes), sizes)


def decode(names: Sequence[str], blobs: Sequence[bytes], shape: Sequence[int]) -> np.ndarray:
    """Decode images; those of another size are resized, and what is transparent becomes white.

    Args:
        names: what to call each image in a message.
        blobs: encoded images, ``n`` of them.
        shape: the ``(height, width, channels)`` of the result.

    Returns:
        ``uint8 (n, height, width, channels)``.

    Raises:
        UserError: an image cannot be read, or nothing tells which of its values is white.
    """
    height, width, channels = shape

    def pixels(name: str, blob: bytes) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(blob)) as image:
                _check_scale(name, image)
                return _pixels(image, (width, height), channels)
        except _UNREADABLE as error:
            raise _unreadable(name, error) from None

    array = np.empty((len(blobs), height, width, channels), np.uint8)
    with ThreadPoolExecutor(_THREADS) as pool:  # Pillow decodes outside of Python's lock
        for row, each in enumerate(pool.map(pixels, names, blobs)):
            array[row] = each
    return array


def fit(images: np.ndarray | Pictures, shape: Sequence[int], dtype: str, url: str) -> np.ndarray | Pictures:
    """Bring images to the shape and type that a model takes.

    Args:
        images: ``uint8`` or ``float32 (n, height, width, channels)``; encoded ones are of that shape already.
        shape: the ``(height, width, channels)`` of the result.
        dtype: the type of the result, ``uint8`` or ``float32``.
        url: where the images come from, for messages.

    Raises:
        UserError: the pixels are on another scale than those that the model was trained on, or cannot be resized.
    """
    if str(images.dtype) != dtype:
        raise UserError(f"{url!r} holds {images.dtype} images, but the model was trained on {dtype} ones; convert them")
    if isinstance(images, Pictures) or images.shape[1:] == tuple(shape):
        return images
    if dtype != "uint8" or images.shape[3] not in (1, 3) or shape[2] not in (1, 3):
        size = "x".join(map(str, shape))
        raise UserError(f"{url!r} holds images of {'x'.join(map(str, images.shape[1:]))}, but the model takes {size}")
    opened = (Image.fromarray(each[..., 0] if each.shape[2] == 1 else each) for each in images)
    return np.stack([_pixels(image, (shape[1], shape[0]), shape[2]) for image in opened])


def is_image(blob: bytes) -> bool:
    """Whether bytes begin like an image."""
    return blob.startswith(_SIGNATURES) and not (blob[:4] == b"RIFF" and blob[8:12] != b"WEBP")


def _look(name: str, blob: bytes) -> tuple[tuple[int, int], bool]:
    """An image's size and whether it is grey, from its header."""
    try:
        with Image.open(io.BytesIO(blob)) as image:
            return _upright_size(image), image.mode in _GREY
    except _UNREADABLE as error:
        raise _unreadable(name, error) from None


def _common_shape(sizes: Counter[tuple[int, int]], grey: bool) -> tuple[int, int, int]:
    width, height = max(sizes, key=lambda size: (sizes[size], size))
    scale = min(1.0, MAX_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale)), 1 if grey else 3


def _upright_size(image: Image.Image) -> tuple[int, int]:
    return (image.height, image.width) if _orientation(image) >= 5 else image.size


def _orientation(image: Image.Image) -> int:
    """How a camera was held, from 1 (upright) to 8; from 5 on it lay on its side."""
    found = image.getexif().get(0x0112, 1) if image.format == "JPEG" and "exif" in image.info else 1
    return found if isinstance(found, int) else 1


def _check_scale(name: str, image: Image.Image) -> None:
    """See that white is where it is expected in values of 32 bits, lest a picture be black because it is elsewhere."""
    if image.mode not in _WHITE:
        return
    peak, (least, white) = float(np.asarray(image).max()), _WHITE[image.mode]
    if peak and not least < peak <= white:
        raise UserError(
            f"cannot read {name}: its pixels have 32 bits and end at {peak:g}, so that white is unknown; "
            "expected 0 to 255 in 8 bits or 0 to 65535 in 16, save it so"
        )


def _pixels(image: Image.Image, size: tuple[int, int], channels: int) -> np.ndarray:
    if _orientation(image) != 1:
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
