"""Search spaces whose blocks do nothing and made-up scores: a search over them takes milliseconds a trial."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from msearch_core.algorithms import ALGORITHMS
from msearch_core.algorithms.history import Outcome
from msearch_core.space import IMAGE, SEQUENCE, VECTOR, Cells, Choice, Proposal, SearchSpace, Uniform, block


@block()
def plain(inputs: Any, name: str, *, units: int) -> Any:
    """Stands for a block of vectors."""
    return inputs


@block()
def other(inputs: Any, name: str, *, units: int) -> Any:
    """Stands for another one."""
    return inputs


@block(takes=IMAGE)
def picture(inputs: Any, name: str, *, filters: int, stride: int = 1) -> Any:
    """Stands for a convolution."""
    return inputs


@block(takes=IMAGE, gives=VECTOR)
def flat(inputs: Any, name: str, *, filters: int) -> Any:
    """Stands for what leads from an image to a vector."""
    return inputs


@block(takes=IMAGE, gives=SEQUENCE)
def frames(inputs: Any, name: str) -> Any:
    """Stands for what makes a sequence of a spectrogram."""
    return inputs


@block(takes=SEQUENCE)
def recurrent(inputs: Any, name: str, *, units: int, stride: int = 1) -> Any:
    """Stands for a recurrent layer or a convolution over time."""
    return inputs


@block(takes=SEQUENCE, gives=VECTOR)
def last(inputs: Any, name: str) -> Any:
    """Stands for what leads from a sequence to a vector."""
    return inputs


HYPERPARAMETERS = {
    "optimizer": Choice(("adam", "sgd", "rmsprop")),
    "learning_rate": Uniform(1e-4, 1e-1, log=True),
    "dropout": Uniform(0.0, 0.5),
}
VECTORS = (*plain.variants(units=(8, 16, 32, 64, 128)), *other.variants(units=(8, 16, 32, 64, 128)))
IMAGES = (*picture.variants(filters=(8, 16, 32)), *picture.variants(filters=(16, 32), stride=(2,)))
FLAT = flat.variants(filters=(8, 16))
SPACES = {
    "vectors": SearchSpace("vectors", blocks=VECTORS, hyperparameters=HYPERPARAMETERS, max_depth=5),
    "images": SearchSpace(
        "images",
        blocks=(*IMAGES, *FLAT, *VECTORS[:4]),
        hyperparameters=HYPERPARAMETERS,
        input=IMAGE,
        min_depth=2,
        max_depth=6,
        input_shape=(8, 12, 1),
    ),
    "cells": SearchSpace(
        "cells",
        blocks=(*picture.variants(filters=(4, 8, 16, 32, 64)), *FLAT, *VECTORS[:2]),
        hyperparameters=HYPERPARAMETERS,
        input=IMAGE,
        min_depth=3,
        max_depth=7,
        input_shape=(16, 16, 3),
        cells=Cells(repeats=(1, 2, 3, 4, 6), reduction=picture(filters=32, stride=2), every=2),
    ),
    "spectrograms": SearchSpace(
        "spectrograms",
        blocks=(*IMAGES, *FLAT, frames(), *recurrent.variants(units=(8, 16), stride=(1, 2)), last(), *VECTORS[:2]),
        hyperparameters=HYPERPARAMETERS,
        input=IMAGE,
        max_depth=6,
        input_shape=(9, 6, 1),
    ),
    "labels": SearchSpace(
        "labels",
        blocks=recurrent.variants(units=(8, 16, 32)),  # type: ignore[arg-type]
        hyperparameters=HYPERPARAMETERS,
        input=SEQUENCE,
        output=SEQUENCE,
        max_depth=3,
        input_shape=(20, 4),
    ),
    "heads": SearchSpace(
        "heads",
        blocks=VECTORS[:6],
        hyperparameters=HYPERPARAMETERS,
        max_depth=3,
        heads=("price", "a/b"),
        head_blocks=VECTORS[3:8],
        max_head_depth=2,
    ),
    "one block": SearchSpace("one block", blocks=VECTORS[:1], hyperparameters={}, max_depth=1),
    "huge": SearchSpace(
        "huge", blocks=tuple(plain.variants(units=range(500))), hyperparameters=HYPERPARAMETERS, max_depth=30
    ),
}

Score = Callable[[Proposal], float | None]


def landscape(space: SearchSpace, seed: int, noise: float = 0.1, failing: float = 0.08) -> Score:
    """A score made of the worth of each block and of each pair of neighbours, a best depth, and hyperparameters.

    Each part is random but fixed by the seed; so is which architectures fail.
    """
    rng = np.random.default_rng(seed)
    names = [*space.by_name, *space.repeats]
    worth = dict(zip(names, rng.normal(size=len(names)), strict=True))
    pairs = rng.normal(size=(len(names), len(names)))
    place = {name: number for number, name in enumerate(names)}
    depth = int(rng.integers(2, space.max_depth + 1))
    wanted = {
        name: rng.random()
        if isinstance(each, Uniform)
        else dict(zip(each.options, rng.random(len(each.options)), strict=True))
        for name, each in space.hyperparameters.items()
    }

    def score(proposal: Proposal) -> float | None:
        blocks = proposal.architecture
        if (sum(map(ord, "".join(blocks))) * 7919 + seed) % 100 < 100 * failing:
            return None
        neighbours = list(itertools.pairwise(blocks))
        total = sum(worth[name] for name in blocks) / len(blocks) ** 0.5
        total += 0.5 * sum(pairs[place[a], place[b]] for a, b in neighbours) / max(1, len(neighbours)) ** 0.5
        total -= 0.3 * abs(len(blocks) - depth)
        for name, each in space.hyperparameters.items():
            value = proposal.hyperparameters[name]
            if isinstance(each, Uniform):
                total -= 3.0 * (each.to_unit(value) - wanted[name]) ** 2
            else:
                total += wanted[name][value]
        return float(total + noise * rng.normal())

    return score


def search(name: str, space: SearchSpace, seed: int, trials: int = 60, **options: float) -> list[Outcome]:
    """The history of a search by one trainer."""
    score, history = landscape(space, seed), list[Outcome]()
    for slot in range(1, trials + 1):
        proposal = ALGORITHMS[name](history, [], space, np.random.default_rng([seed, slot]), **options)
        history.append(outcome(slot, score(proposal), proposal))
    return history


def outcome(slot: int, score: float | None, proposal: Proposal) -> Outcome:
    """A finished trial."""
    return Outcome(f"0001-{slot:06d}", score, 0.0, proposal.architecture, proposal.hyperparameters, 1, None, 1)


def best_score(history: list[Outcome]) -> float:
    """The greatest score in a history."""
    return max(each.score for each in history if each.score is not None)
