"""Who descends from whom, what that cost, and where each trial stands in the family tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from msearch_core.report.scores import best_first, listed

MAX_SIBLINGS = 5
"""How many children of one trial are chosen for themselves where there are too many nodes."""
PER_ROW = 16
"""How many trials without relatives stand in a row."""
SEPARATION = 2
"""Rows left free above them."""
MAX_NODES = 120
"""A tree of more nodes is not read but admired, so the rest is left out and counted."""


def parents_of(frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The parents of each trial, by uid."""
    pairs = zip(frame["uid"], frame["parents"], strict=True)
    return {uid: tuple(map(str, listed(parents))) for uid, parents in pairs}


def ancestors(uid: str, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """All that a trial descends from, nearest first, each once; those that are on record no more are named too."""
    found: dict[str, None] = {}
    waiting = list(parents.get(uid, ()))
    while waiting:
        each = waiting.pop(0)
        if each not in found and each != uid:
            found[each] = None
            waiting += parents.get(each, ())
    return list(found)


def line(uid: str, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """The line of first parents, whose weights were inherited, from the trial itself back to its root."""
    found = [uid]
    while (above := parents.get(found[-1])) and above[0] not in found:
        found.append(above[0])
    return found


@dataclass(frozen=True)
class Node:
    """A trial's place in the tree.

    Attributes:
        uid: the trial.
        column: how many first parents lie above it; trials without relatives are spread over the width.
        row: its place across, from 0.
        parent: the first parent, if it is shown.
        hidden: how many of its children are left out.
    """

    uid: str
    column: float
    row: float
    parent: str | None
    hidden: int


def tree(frame: pd.DataFrame, limit: int = MAX_NODES) -> list[Node]:
    """Lay out the family tree: generations one way, families the other, no two nodes in one place.

    A parent stands in the middle of its children. Trials without relatives are packed together below
    the rest. Where there are too many, the best trials are chosen, a few of each family, with all they descend from.

    Args:
        frame: rows of the log.
        limit: the greatest number of nodes, exceeded only to complete the line of the last one chosen.
    """
    parents = parents_of(frame)
    shown = _chosen(frame, parents, limit)
    children: defaultdict[str | None, list[str]] = defaultdict(list)
    hidden: defaultdict[str, int] = defaultdict(int)
    for uid in sorted(parents):
        first = next(iter(parents[uid]), None)
        if uid in shown:
            children[first if first in shown else None].append(uid)
        elif first is not None:
            hidden[first] += 1
    roots = children.pop(None, [])
    placed, below = _place([uid for uid in roots if children.get(uid)], children)
    width = max((column for column, _ in placed.values()), default=0.0) or 1.0
    single = [uid for uid in roots if not children.get(uid)]
    below += SEPARATION if placed else 0
    for index, uid in enumerate(single):
        placed[uid] = (index % PER_ROW * width / (PER_ROW - 1), below + index // PER_ROW)
    above = {child: uid for uid, family in children.items() for child in family if uid is not None}
    return [Node(uid, x, y, above.get(uid), hidden[uid]) for uid, (x, y) in placed.items()]


def _chosen(frame: pd.DataFrame, parents: Mapping[str, Sequence[str]], limit: int) -> set[str]:
    if len(frame) <= limit:
        return set(parents)
    shown: set[str] = set()
    siblings: defaultdict[str, int] = defaultdict(int)
    for uid in best_first(frame)["uid"]:
        if len(shown) >= limit:
            break
        above = next(iter(parents[uid]), "")
        siblings[above] += 1
        if siblings[above] <= MAX_SIBLINGS:
            shown.update(each for each in line(uid, parents) if each in parents)
    return shown


def _place(
    roots: Sequence[str], children: Mapping[str | None, Sequence[str]]
) -> tuple[dict[str, tuple[float, float]], float]:
    """Generation and row of each node below the roots, and the first row that is free."""
    placed: dict[str, tuple[float, float]] = {}
    generations: dict[str, int] = {}
    free = 0.0
    waiting = [(uid, 0, False) for uid in reversed(roots)]
    while waiting:  # children first; a loop, since lines may be longer than Python's stack
        uid, generation, is_done = waiting.pop()
        family = children.get(uid, ())
        if is_done:
            rows = [placed[child][1] for child in family]
            placed[uid] = (generation, (rows[0] + rows[-1]) / 2)
        elif uid in generations:
            continue
        elif family:
            generations[uid] = generation
            waiting.append((uid, generation, True))
            waiting += [(child, generation + 1, False) for child in reversed(family)]
        else:
            generations[uid] = generation
            placed[uid] = (generation, free)
            free += 1
    return placed, free
