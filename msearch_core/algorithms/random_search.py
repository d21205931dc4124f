"""Random search (Bergstra and Bengio, JMLR 2012)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms.history import Outcome
from msearch_core.space import Proposal, SearchSpace


def propose(
    history: Sequence[Outcome], pending: Sequence[Proposal], space: SearchSpace, rng: np.random.Generator
) -> Proposal:
    """Draw an architecture of uniformly random depth, and each hyperparameter from its distribution."""
    del history, pending
    return Proposal(space.random_architecture(rng), space.random_hyperparameters(rng))
