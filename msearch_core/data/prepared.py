"""Prepared data on disk, opened without reading it into memory. Needs NumPy only, so that trials start fast."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from msearch_core.data.problem import SPLITS, Problem, Split, Target

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


def inputs_file(folder: Path, split: str) -> Path:
    """Where the encoded inputs of a split are."""
    return folder / f"{split}_x.npy"


def save(prepared: PreparedData, folder: Path) -> None:
    """Write ``problem.json``, and for each split ``<split>_x.npy``, ``<split>_y<i>.npy`` for the targets in their order
    and, where examples have weights or groups, ``<split>_weight.npy`` and ``<split>_group.npy``.

    Args:
        prepared: the data. Inputs that are memory-mapped from their place in the folder are left as they are.
        folder: where to; made if it does not exist.
    """  # noqa: D205
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in prepared.splits.items():
        # NumPy resolves the name of the file that it maps, and to write that one would empty what is to be written.
        if getattr(split.x, "filename", None) != inputs_file(folder, name).resolve():
            np.save(inputs_file(folder, name), split.x, allow_pickle=False)
        for number, target in enumerate(prepared.problem.targets):
            np.save(folder / f"{name}_y{number}.npy", split.y[target.name], allow_pickle=False)
        for what, values in (("weight", split.weight), ("group", split.group)):
            if values is not None:
                np.save(folder / f"{name}_{what}.npy", values, allow_pickle=False)
    record = {**asdict(prepared.problem), "moved": dict(prepared.moved), "fingerprint": prepared.fingerprint}
    (folder / _PROBLEM).write_text(json.dumps(record, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def open_prepared(folder: Path) -> PreparedData:
    """Open what `save` wrote; the arrays are memory-mapped and read-only.

    Args:
        folder: where it is. ``problem.json`` holds the problem's fields, and may hold ``moved`` and ``fingerprint``.
    """
    record = json.loads((folder / _PROBLEM).read_text(encoding="utf-8"))
    problem = problem_from_json(record)
    splits = {name: _open_split(folder, name, problem) for name in SPLITS}
    return PreparedData(problem, splits, record.get("moved", {}), record.get("fingerprint", ""))


def problem_from_json(record: Mapping[str, Any]) -> Problem:
    """The problem whose fields a JSON object holds, perhaps among others."""
    return Problem(
        input=record["input"],
        input_shape=tuple(record["input_shape"]),
        preprocessing=record["preprocessing"],
        targets=tuple(_target(each) for each in record["targets"]),
    )


def _target(record: Mapping[str, Any]) -> Target:
    own: dict[str, Any] = {field.name: record[field.name] for field in fields(Target) if field.name in record}
    return Target(**{**own, "labels": tuple(own["labels"]), "class_weights": tuple(own["class_weights"])})


def _open_split(folder: Path, name: str, problem: Problem) -> Split:
    weight, group = (folder / f"{name}_{what}.npy" for what in ("weight", "group"))
    return Split(
        x=_open(inputs_file(folder, name)),
        y={target.name: _open(folder / f"{name}_y{number}.npy") for number, target in enumerate(problem.targets)},
        weight=_open(weight) if weight.exists() else None,
        group=_open(group) if group.exists() else None,
    )


def _open(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
