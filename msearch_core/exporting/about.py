"""What a bundle knows of its model: ``model.json``, which ``encode.py`` reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msearch_core.data.problem import Problem, Target

VERSION = 1
_OF_COLUMNS = ("name", "input", "kind", "vocabulary", "mean")
_INPUTS = {"image": "input_image", "audio": "input_audio"}


def about(problem: Problem) -> dict[str, Any]:
    """What `msearch_core.exporting.bundle.encode` needs to know, as JSON.

    Returns:
        ``kind``; ``columns`` of a table or of a sequence's steps, those ``dropped`` and why, and ``time``; ``input``,
        ``shape`` and ``dtype`` of images; ``input``, ``samples``, ``frame`` and ``sample_rate`` of sounds; and
        ``targets``, each with ``name``, ``task``, ``labels``, ``per_step`` and the ``prefix`` of its outputs' names.
    """
    spec = problem.preprocessing
    known: dict[str, Any] = {"version": VERSION, "kind": spec["kind"]}
    if spec["kind"] in _INPUTS:
        known["input"] = _INPUTS[spec["kind"]]
    if spec["kind"] == "image":
        known |= {"shape": list(problem.input_shape), "dtype": spec["dtype"]}
    elif spec["kind"] == "audio":
        known |= {name: spec[name] for name in ("samples", "frame", "sample_rate")}
    else:
        known["columns"] = [{key: column[key] for key in _OF_COLUMNS if key in column} for column in spec["columns"]]
        known["dropped"] = dict(spec["dropped"])
        if spec["kind"] == "sequence":
            known["time"] = spec["time"]
    known["targets"] = [
        {
            "name": target.name,
            "task": target.task,
            "labels": list(target.labels),
            "per_step": target.per_step,
            "prefix": prefix,
        }
        for prefix, target in zip(prefixes(problem.targets), problem.targets, strict=True)
    ]
    return known


def prefixes(targets: Sequence[Target]) -> list[str]:
    """What stands before the names of each target's outputs: nothing if there is one target.

    Several have their names in letters, digits and underscores, which each format allows, and their numbers.
    """
    if len(targets) == 1:
        return [""]
    plain = [re.sub(r"[^0-9A-Za-z]+", "_", target.name).strip("_").lower() for target in targets]
    return [f"{name or 'target'}{number}_" for number, name in enumerate(plain)]
