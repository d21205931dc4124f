"""Search algorithms: pure functions ``propose(history, pending, space, rng) -> Proposal``.

None of them does I/O, holds state between calls or imports TensorFlow, so a decision can be replayed anywhere from
the history it saw and the generator's seed.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from msearch_core.algorithms import coordinate_descent, random_search
from msearch_core.algorithms.history import Outcome
from msearch_core.space import Proposal, SearchSpace

Algorithm = Callable[[Sequence[Outcome], Sequence[Proposal], SearchSpace, np.random.Generator], Proposal]

ALGORITHMS: Mapping[str, Algorithm] = {
    "coordinate_descent": coordinate_descent.propose,
    "random": random_search.propose,
}
DEFAULT = "coordinate_descent"
