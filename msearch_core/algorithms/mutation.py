"""Small changes to an architecture or to hyperparameters: what the algorithms have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from msearch_core.space import Architecture, SearchSpace, Value

CROSSOVER_TRIES = 10


def mutate(
    parent: Architecture,
    kinds: Sequence[str],
    space: SearchSpace,
    rng: np.random.Generator,
    avoid: Collection[Architecture] = (),
) -> tuple[Architecture, dict[str, Value]]:
    """Change an architecture in one random place.

    Args:
        parent: what to change.
        kinds: ``deepen``, ``replace`` or ``shorten``, in the order in which they are tried.
        space: says what is valid.
        rng: draws the place and the block.
        avoid: what must not come out.

    Returns:
        The child and how it differs; the parent itself where no place allows any of the kinds.
    """
    for kind in kinds:
        for position, children in _children(parent, kind, space, rng):
            fresh = [child for child in children if child not in avoid]
            if fresh:
                child = fresh[int(rng.integers(len(fresh)))]
                block = parent[position] if kind == "shorten" else child[position]
                return child, {"change": kind, "position": position, "block": block}
    return parent, {"change": "none"}


def train_on() -> dict[str, Value]:
    """How a child differs that keeps its parent's architecture on purpose."""
    return {"change": "train on"}


def draw_kinds(length: int, allowed: int, deepen: float, shorten: float, rng: np.random.Generator) -> tuple[str, ...]:
    """The kinds of mutation to try: a longer, a shorter or an equally long child, and the last where others fail.

    Args:
        length: how many items the parent has.
        allowed: how many the child may have.
        deepen: the probability of a longer child.
        shorten: the probability of a shorter child.
        rng: draws the kind.
    """
    drawn = rng.random()
    if drawn < deepen:
        return ("deepen", "replace") if length < allowed else ("replace",)
    return ("shorten", "replace") if drawn < deepen + shorten else ("replace",)


def tune(
    parent: Mapping[str, Value], space: SearchSpace, rng: np.random.Generator, probability: float = 1.0
) -> tuple[dict[str, Value], dict[str, Value]]:
    """The parent's hyperparameters with at most one changed, and which one it was.

    Half of the changes are steps to a value nearby, the others draws from the whole distribution.
    """
    values = {
        name: parent[name] if name in parent else each.sample(rng) for name, each in space.hyperparameters.items()
    }
    if not values or rng.random() >= probability:
        return values, {}
    name = sorted(space.hyperparameters)[int(rng.integers(len(space.hyperparameters)))]
    distribution = space.hyperparameters[name]
    values[name] = distribution.mutate(values[name], rng) if rng.random() < 0.5 else distribution.sample(rng)
    return values, {"hyperparameter": name}


def cross(
    first: Architecture, second: Architecture, space: SearchSpace, rng: np.random.Generator
) -> Architecture | None:
    """The beginning of one architecture and the end of another, or ``None`` where no cut that was tried is valid."""
    for _ in range(CROSSOVER_TRIES):
        child = (*first[: int(rng.integers(len(first) + 1))], *second[int(rng.integers(len(second) + 1)) :])
        if child not in (first, second) and space.is_valid(child):
            return child
    return None


def cross_values(first: Mapping[str, Value], second: Mapping[str, Value], rng: np.random.Generator) -> dict[str, Value]:
    """Each hyperparameter from either parent."""
    return {name: value if rng.random() < 0.5 else second.get(name, value) for name, value in first.items()}


def neighbours(architecture: Architecture, space: SearchSpace) -> list[Architecture]:
    """Every valid architecture with one item replaced, added or removed."""
    places = range(len(architecture))
    found = [child for place in places for child in space.replacements(architecture, place)]
    found += [child for place in (*places, len(places)) for child in space.insertions(architecture, place)]
    return list(dict.fromkeys([*found, *space.removals(architecture)]))


def _children(
    parent: Architecture, kind: str, space: SearchSpace, rng: np.random.Generator
) -> Iterator[tuple[int, list[Architecture]]]:
    for position in map(int, rng.permutation(len(parent) + (kind == "deepen"))):
        if kind == "deepen":
            yield position, space.insertions(parent, position)
        elif kind == "replace":
            yield position, space.replacements(parent, position)
        else:
            shorter = (*parent[:position], *parent[position + 1 :])
            yield position, [shorter] if space.is_valid(shorter) else []
