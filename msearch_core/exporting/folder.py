"""The bundle's folder, and what lies in it beside the model."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fsspec.implementations.local import LocalFileSystem

from msearch_core.errors import UserError
from msearch_core.exporting.bundle import encode, predict
from msearch_core.urls import as_os_errors, open_output


def write_companions(bundle: Path, known: Mapping[str, Any], row: Mapping[str, Any] | None, part: Path) -> None:
    """Write what a model lies beside, but for its card: ``encode.py``, ``predict.py``, ``model.json`` and the example.

    Args:
        bundle: the folder.
        known: what `msearch_core.exporting.about.about` says.
        row: the example as a person has it, if it is the row of a table.
        part: a file of raw inputs, the first of which is the example.
    """
    for module in (encode, predict):
        shutil.copy(str(module.__file__), bundle)
    (bundle / "model.json").write_text(json.dumps(known, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    with np.load(part, allow_pickle=False) as arrays:
        np.savez(bundle / "example.npz", allow_pickle=False, **{name: arrays[name][:1] for name in arrays})
    if row is not None:
        (bundle / "example.json").write_text(json.dumps([row], ensure_ascii=False, default=str), encoding="utf-8")


@contextlib.contextmanager
def new_folder(out: str) -> Iterator[Path]:
    """A folder that gets its name when all went well, and is gone otherwise.

    Raises:
        UserError: there is something with that name, or it cannot be made.
    """
    try:
        filesystem, path = open_output(out)
        with as_os_errors(out):
            taken = filesystem.exists(path) and (not filesystem.isdir(path) or filesystem.ls(path))
        if taken:
            raise UserError(f"{out} is there already; give --out another folder, or remove it")
        local = isinstance(filesystem, LocalFileSystem)
        parent = Path(path).parent if local else None
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".msearch-export-", dir=parent) as workshop:
            bundle = Path(workshop) / "bundle"
            bundle.mkdir()
            yield bundle
            if local:
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(path)  # noqa: PTH106 - empty, as was seen
                bundle.rename(path)
            else:
                with as_os_errors(out):
                    filesystem.put(f"{bundle}/", path, recursive=True)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}; give another --out") from None
