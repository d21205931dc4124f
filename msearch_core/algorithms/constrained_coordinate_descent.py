"""Coordinate descent over one cell that is repeated, as in Model Search (Mazzawi et al., INTERSPEECH 2019).

In a space of cells (NASNet; Zoph et al., CVPR 2018) the blocks of the cell are changed one at a time, and the tower
grows by repeating the cell, reductions included, as the number of trials allows. In a space without cells a block is
changed wherever it stands, and the tower grows by repeating one of its blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from msearch_core.algorithms import random_search
from msearch_core.algorithms.history import Outcome, best
from msearch_core.algorithms.mutation import mutate, tune
from msearch_core.space import Architecture, Proposal, SearchSpace, Value


def propose(
    history: Sequence[Outcome],
    pending: Sequence[Proposal],
    space: SearchSpace,
    rng: np.random.Generator,
    *,
    beam_size: int = 3,
    random_trials: int = 6,
    trials_per_repeat: int = 10,
    random_probability: float = 0.1,
    repeat_probability: float = 0.2,
    deepen_probability: float = 0.2,
    tune_probability: float = 0.5,
) -> Proposal:
    """Change the cell of one of the best trials, or repeat it once more.

    Args:
        history: the finished trials.
        pending: what others are trying.
        space: what may be proposed.
        rng: the only source of chance.
        beam_size: a parent is drawn from this many of the best trials.
        random_trials: so many random trials come before the first descent.
        trials_per_repeat: one more repetition is allowed with each so many trials.
        random_probability: share of proposals that ignore the history.
        repeat_probability: share of mutations that repeat once more, where it is allowed.
        deepen_probability: share of mutations that add a block to the cell or to what follows it.
        tune_probability: share of mutations that also change one hyperparameter.
    """
    beam = best(history, beam_size)
    made = len(history) + len(pending)
    if not beam or made < random_trials or rng.random() < random_probability:
        return random_search.propose(history, pending, space, rng)
    parent = beam[int(rng.integers(len(beam)))]
    drawn, under_way = rng.random(), {proposal.architecture for proposal in pending}
    more = drawn < repeat_probability and _repetitions(parent.architecture, space) < 2 + made // trials_per_repeat
    repeated = [child for child in _repeated(parent.architecture, space) if more and child not in under_way]
    if repeated:
        architecture = repeated[int(rng.integers(len(repeated)))]
        mutation: dict[str, Value] = {"change": "repeat"}
    elif repeat_probability <= drawn < repeat_probability + deepen_probability:
        architecture, mutation = mutate(parent.architecture, ("deepen", "replace"), space, rng, under_way)
    else:
        architecture, mutation = _replaced(parent.architecture, under_way, space, rng)
    unchanged = architecture == parent.architecture
    hyperparameters, tuned = tune(parent.hyperparameters, space, rng, 1.0 if unchanged else tune_probability)
    return Proposal(architecture, hyperparameters, parents=(parent.uid,), mutation=mutation | tuned)


def _repetitions(architecture: Architecture, space: SearchSpace) -> int:
    """How often the cell stands in the tower, or the most frequent block where there is no cell."""
    place = space.repeat(architecture)
    if place is not None and space.cells is not None:
        return space.cells.repeats.index(space.repeats[architecture[place]]) + 1
    return max(map(architecture.count, architecture))


def _repeated(architecture: Architecture, space: SearchSpace) -> Iterator[Architecture]:
    """The architecture with the cell, or a block, repeated once more."""
    place = space.repeat(architecture)
    for position, name in enumerate(architecture):
        if place is None:
            longer = (*architecture[:position], name, *architecture[position:])
            if space.is_valid(longer):
                yield longer
        elif position == place:
            larger = [child for child in space.replacements(architecture, place) if child[place] in space.repeats]
            times = space.repeats[name]
            more = [child for child in larger if space.repeats[child[place]] > times]
            yield from sorted(more, key=lambda child: space.repeats[child[place]])[:1]


def _replaced(
    architecture: Architecture, avoid: set[Architecture], space: SearchSpace, rng: np.random.Generator
) -> tuple[Architecture, dict[str, Value]]:
    """Replace a block wherever it stands; the architecture itself where that is not possible."""
    for position in map(int, rng.permutation(len(architecture))):
        old = architecture[position]
        new = (
            [child[position] for child in space.replacements(architecture, position)]
            if old not in space.repeats
            else []
        )
        children = (tuple(name if each == old else each for each in architecture) for name in new)
        fresh = [child for child in children if child not in avoid and space.is_valid(child)]
        if fresh:
            child = fresh[int(rng.integers(len(fresh)))]
            return child, {"change": "replace", "position": position, "block": child[position]}
    return architecture, {"change": "none"}
