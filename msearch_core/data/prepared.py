"""Prepared data on disk, opened without reading it into memory. Needs NumPy only, so that trials start fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from msearch_core.data.problem import SPLITS, Problem, Split

_PROBLEM = "problem.json"


@dataclass(frozen=True)
class PreparedData:
    """Data ready to be trained on.

    Attributes:
        problem: the task and what was learned on train.
        splits: by name (`SPLITS`).
        moved: the sides that do not follow from hash and seed (`msearch_core.data.split.Assignment`).
        fingerprint: identifies the data that it was made from.
    """

    problem: Problem
    splits: Mapping[str, Split]
    moved: Mapping[str, str]
    fingerprint: str


def save(prepared: PreparedData, folder: Path) -> None:
    """Write ``problem.json`` and ``<split>_x.npy``, ``<split>_y.npy`` into a new or empty folder.

    Args:
        prepared: the data.
        folder: where to; made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in prepared.splits.items():
        np.save(folder / f"{name}_x.npy", split.x, allow_pickle=False)
        np.save(folder / f"{name}_y.npy", split.y, allow_pickle=False)
    record = {**asdict(prepared.problem), "moved": dict(prepared.moved), "fingerprint": prepared.fingerprint}
    (folder / _PROBLEM).write_text(json.dumps(record, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def open_prepared(folder: Path) -> PreparedData:
    """Open what `save` wrote; the arrays are memory-mapped and read-only.

    Args:
        folder: where it is. ``problem.json`` holds the problem's fields, and may hold ``moved`` and ``fingerprint``.
    """
    record = json.loads((folder / _PROBLEM).read_text(encoding="utf-8"))
    splits = {
        name: Split(*(np.load(folder / f"{name}_{part}.npy", mmap_mode="r", allow_pickle=False) for part in "xy"))
        for name in SPLITS
    }
    return PreparedData(problem_from_json(record), splits, record.get("moved", {}), record.get("fingerprint", ""))


def problem_from_json(record: Mapping[str, Any]) -> Problem:
    """The problem whose fields a JSON object holds, perhaps among others."""
    own = {field.name: record[field.name] for field in fields(Problem)}
    return Problem(**{**own, "input_shape": tuple(own["input_shape"]), "labels": tuple(own["labels"])})
