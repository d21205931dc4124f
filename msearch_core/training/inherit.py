"""Start a child from its parent's weights, by name and shape."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any, Literal, TypeAlias

import numpy as np

from msearch_core.training.build import block_prefix

Provenance = Literal["copied", "fresh"]
Parts: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Inheritance:
    """Where a model's weights came from.

    Attributes:
        layers: by name of each layer that has weights.
        fraction: the share of the trainable parameters that were copied.
    """

    layers: dict[str, Provenance]
    fraction: float


def align(child: Sequence[str], parent: Sequence[str]) -> dict[int, int]:
    """Match the child's block positions to the parent's, so that an inserted block does not shift the rest.

    What both begin and end with is matched first: ``difflib`` alone looks for the longest equal run and so loses a
    block where several are the same. A replaced run of the same length is matched one to one.
    """
    begin = _common_prefix(child, parent)
    end = _common_prefix(child[begin:][::-1], parent[begin:][::-1])
    matched = {position: position for position in range(begin)}
    matched |= {len(child) - back: len(parent) - back for back in range(1, end + 1)}
    middle = SequenceMatcher(None, parent[begin : len(parent) - end], child[begin : len(child) - end], autojunk=False)
    for tag, i, i_end, j, j_end in middle.get_opcodes():
        if tag == "equal" or (tag == "replace" and i_end - i == j_end - j):
            matched |= zip(range(begin + j, begin + j_end), range(begin + i, begin + i_end), strict=True)
    return matched


def inherit(model: Any, child: Parts, parent: Parts, weights: Mapping[str, np.ndarray]) -> Inheritance:
    """Copy the parent's weights into each layer that has the same name and shapes there.

    A layer is copied whole, batch-norm statistics included, or stays as it was initialised.

    Args:
        model: the child, freshly built by ``build_model``.
        child: the child's block names by part (`msearch_core.training.build.parts`).
        parent: the parent's.
        weights: the parent's weights by variable path.
    """
    names = _parent_prefixes(child, parent)
    by_layer: dict[str, list[Any]] = defaultdict(list)
    for variable in model.weights:
        by_layer[variable.path.partition("/")[0]].append(variable)
    layers: dict[str, Provenance] = {}
    copied = 0
    for layer, variables in by_layer.items():
        sources = [weights.get(_parent_path(variable.path, names)) for variable in variables]
        fits = all(
            source is not None and source.shape == tuple(variable.shape)
            for source, variable in zip(sources, variables, strict=True)
        )
        layers[layer] = "copied" if fits else "fresh"
        if fits:
            for source, variable in zip(sources, variables, strict=True):
                variable.assign(source)
                copied += math.prod(variable.shape) if variable.trainable else 0
    total = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return Inheritance(layers, copied / total if total else 0.0)


def _common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    """How many items two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def _parent_prefixes(child: Parts, parent: Parts) -> dict[str, str]:
    """The child's block prefixes (``b2_dense``) to the parent's; a block without a match leads to no layer."""
    prefixes = {}
    for part, names in child.items():
        matched = align(names, parent.get(part, ()))
        for position, name in enumerate(names):
            family = name.partition("(")[0]
            source = matched.get(position)
            prefixes[block_prefix(position, family, part)] = (
                "" if source is None else block_prefix(source, family, part)
            )
    return prefixes


def _parent_path(path: str, prefixes: Mapping[str, str]) -> str:
    for prefix, replacement in prefixes.items():
        if path.startswith(f"{prefix}_"):
            return f"{replacement}{path[len(prefix) :]}"
    return path
