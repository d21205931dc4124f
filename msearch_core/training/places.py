"""Which of the parent's layers each of a child's layers descends from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TypeAlias

import numpy as np

from msearch_core.space import SearchSpace
from msearch_core.training.build import block_prefix
from msearch_core.training.channels import Place

Parts: TypeAlias = Mapping[str, Sequence[str]]
"""The blocks of a model by part (`msearch_core.training.build.parts`)."""

SIZES = ("units", "filters", "kernel", "factor", "expansion")
"""Parameters that say how large a block is; blocks that differ in nothing else have the same layers."""

_LAYER_OF_HEAD = re.compile(r"(?:head|unit)(?P<number>\d*)")


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


def find_places(
    space: SearchSpace, child: Parts, parent: Parts, weights: Mapping[str, np.ndarray]
) -> Callable[[str], Place]:
    """Where each layer of a child is in its parent.

    Args:
        space: where the blocks' names are looked up.
        child: the child's block names by part (`msearch_core.training.build.parts`).
        parent: the parent's.
        weights: the parent's weights by variable path.

    Returns:
        The place of a layer or operation by its name.
    """
    by_layer: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for path, values in weights.items():
        layer, _, name = path.partition("/")
        by_layer[layer][name] = values
    blocks: dict[str, _BlockPlace] = {}
    ends: dict[str, bool] = {}
    for part, names in child.items():
        joined = ends.get("", True)
        found, ends[part] = _block_places(space, part, names, parent.get(part, ()), joined)
        blocks |= found

    def place(name: str) -> Place:
        block = next((prefix for prefix in blocks if name.startswith(f"{prefix}_")), None)
        if block is None:
            head = _LAYER_OF_HEAD.fullmatch(name)
            joined = ends.get(f"h{head['number']}_" if head["number"] else "", True) if head else True
            return Place(by_layer.get(name, {}), joined=joined)
        source, inserted, joined, identity = blocks[block]
        own = by_layer.get(f"{source}{name[len(block) :]}", {}) if source else {}
        return Place(own, inserted, joined, identity)

    return place


_BlockPlace = tuple[str | None, bool, bool, str]
"""The prefix of the parent's block, whether the block is inserted, joined, and how it can begin."""


def _block_places(
    space: SearchSpace, part: str, child: Sequence[str], parent: Sequence[str], joined: bool
) -> tuple[dict[str, _BlockPlace], bool]:
    """The places of a part's blocks, and whether what comes after the part is joined to what it was joined to."""
    matched = align(child, parent)
    found: dict[str, _BlockPlace] = {}
    reached = -1
    for position, name in enumerate(child):
        block, source = space.by_name[name], matched.get(position)
        prefix = block_prefix(position, block.family.name, part)
        if source is None:
            found[prefix] = (None, True, joined, block.family.morph)
            joined = joined and block.family.morph != "none"
            continue
        joined, reached = joined and source == reached + 1, source
        if _alike(space, name, parent[source]):
            found[prefix] = (block_prefix(source, block.family.name, part), False, joined, "none")
        else:
            found[prefix] = (None, True, joined, "none")
            joined = False
    return found, joined and reached == len(parent) - 1


def _alike(space: SearchSpace, first: str, second: str) -> bool:
    """Whether two blocks have the same layers, though perhaps of other sizes."""
    one, other = space.by_name[first], space.by_name[second]
    structures = [{key: value for key, value in each.parameters.items() if key not in SIZES} for each in (one, other)]
    return one.family == other.family and structures[0] == structures[1]


def _common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    """How many items two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
