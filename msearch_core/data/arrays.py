"""Arrays from ``.npz`` files."""

from __future__ import annotations

import zipfile
import zlib

import numpy as np
import pandas as pd

from msearch_core.data.examples import Examples, Inputs
from msearch_core.data.files import Location, reading
from msearch_core.data.tables import check_usable
from msearch_core.errors import UserError

ENDINGS = (".npz",)


def read(location: Location, *, target: str | None, group: str | None, labelled: bool) -> Examples:
    """Read ``x`` and ``y`` from an ``.npz`` file.

    Args:
        location: the file. ``x`` is a table ``(n, columns)``, whose columns are named x0, x1, ...; grey images
            ``(n, height, width)``; or images ``(n, height, width, channels)``. ``y`` is ``(n,)``.
        target: the name of the array to predict, if it is not ``y``.
        group: the name of an array ``(n,)`` of group keys.
        labelled: whether the target is needed.

    Raises:
        UserError: an array is missing, has another shape or length, or holds objects or infinite values.
    """
    url, target = location.url, target or "y"
    wanted = {"x": True, target: labelled, **({group: True} if group is not None and labelled else {})}
    arrays: dict[str, np.ndarray] = {}
    with reading(url), location.filesystem.open(location.path, "rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
            names = list(found.files) if isinstance(found, np.lib.npyio.NpzFile) else []
            for name, needed in wanted.items():
                if name in names:
                    arrays[name] = found[name]
                elif needed:
                    held = f"it holds {', '.join(names)}" if names else "it holds no named array"
                    raise UserError(
                        f"{url!r} has no array {name!r}; {held}; write it with np.savez(path, x=..., y=...)"
                    )
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            file.seek(0)
            if "allow_pickle" in str(error) and file.read(2) == b"PK":
                raise UserError(f"{url!r} holds an array of objects; give plain numbers or texts") from None
            raise UserError(f"{url!r} is not an .npz file; write it with np.savez(path, x=..., y=...)") from None
    inputs = _inputs(arrays["x"], url)
    columns = {name: _series(values, name, len(inputs), url) for name, values in arrays.items() if name != "x"}
    return Examples(inputs, target, columns.get(target), columns.get(group) if group is not None else None)


def _inputs(x: np.ndarray, url: str) -> Inputs:
    if not x.size:
        raise UserError(f"{url!r} has no rows: 'x' is of shape {x.shape}; give examples")
    if x.ndim == 2:
        table = pd.DataFrame(x, columns=[f"x{column}" for column in range(x.shape[1])])
        check_usable(table, url)
        return table
    if x.ndim not in (3, 4) or x.dtype.kind not in "biuf":
        raise UserError(
            f"'x' in {url!r} is {x.dtype} of shape {x.shape}; give a table (n, columns) "
            "or images (n, height, width[, channels])"
        )
    images = x[..., np.newaxis] if x.ndim == 3 else x
    if images.shape[1] in (1, 3) and images.shape[3] > 4:
        raise UserError(f"'x' in {url!r} is of shape {x.shape}: channels come last, (n, height, width, channels)")
    if images.dtype.kind in "bi" and images.min() >= 0 and images.max() <= 255:
        images = images.astype(np.uint8)
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
    if not np.isfinite(images).all():
        raise UserError(f"'x' in {url!r} holds NaN or infinite pixels; correct or remove these images")
    return images


def _series(values: np.ndarray, name: str, rows: int, url: str) -> pd.Series:
    flat = values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
    if flat.ndim != 1:
        raise UserError(f"{name!r} in {url!r} is of shape {values.shape}; give one value an example, of shape (n,)")
    if len(flat) != rows:
        raise UserError(f"'x' in {url!r} has {rows} examples, but {name!r} has {len(flat)}; give as many of each")
    return pd.Series(flat, name=name)
