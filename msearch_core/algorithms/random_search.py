"""Random search (Bergstra and Bengio, JMLR 2012)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms.history import Outcome
from msearch_core.space import Proposal, SearchSpace

TRIES = 20
"""In a small space, how often to draw again what others are trying."""


def propose(
    history: Sequence[Outcome], pending: Sequence[Proposal], space: SearchSpace, rng: np.random.Generator
) -> Proposal:
    """Draw an architecture of uniformly random depth, and each hyperparameter from its distribution."""
    del history
    for _ in range(TRIES):
        drawn = Proposal(space.random_architecture(rng), space.random_hyperparameters(rng))
        if all(
            (drawn.architecture, drawn.hyperparameters) != (each.architecture, each.hyperparameters) for each in pending
        ):
            break
    return drawn
