"""How much processor time one proposal takes after 100, 10,000 and 100,000 trials, for each algorithm.

Run from the repository's root:

    python -m benchmarks.proposals
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from msearch_core.algorithms import ALGORITHMS
from msearch_core.algorithms.history import Outcome, ranked_by_front
from msearch_core.algorithms.ranked import RankedHistory
from msearch_core.loading import load_space
from msearch_core.space import Proposal, SearchSpace

REPEATS = 5


def history_of(space: SearchSpace, count: int) -> list[Outcome]:
    """Random trials with random scores, one in twenty without."""
    rng = np.random.default_rng(0)
    return [
        Outcome(
            uid=f"0001-{slot:06d}",
            score=None if rng.random() < 0.05 else float(rng.random()),
            tie_break=0.0,
            architecture=space.random_architecture(rng),
            hyperparameters=space.random_hyperparameters(rng),
            parameters=int(rng.integers(10**6)),
            weights=None,
            cumulative_steps=1,
        )
        for slot in range(1, count + 1)
    ]


def milliseconds(name: str, history: Sequence[Outcome], space: SearchSpace) -> float:
    """The median time of a proposal with three others under way, the processor's: a machine at work is no matter."""
    rng = np.random.default_rng(1)
    pending = [Proposal(space.random_architecture(rng), space.random_hyperparameters(rng)) for _ in range(3)]
    times = []
    ALGORITHMS[name](history[:20], pending, space, rng)  # imports
    for _ in range(REPEATS):
        began = time.process_time()
        ALGORITHMS[name](history, pending, space, rng)
        times.append(time.process_time() - began)
    return 1000 * float(np.median(times))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="image_cell")
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 10_000, 100_000])
    arguments = parser.parse_args()
    space = load_space(arguments.space).for_input((32, 32, 3))
    histories = {count: RankedHistory(history_of(space, count)) for count in arguments.trials}  # as trainers have them
    print(f"{'milliseconds a proposal after':32}" + "".join(f"{count:>12,}" for count in histories))
    for name in ALGORITHMS:
        measured = [milliseconds(name, history, space) for history in histories.values()]
        print(f"{name:32}" + "".join(f"{each:12.1f}" for each in measured), flush=True)
    row = f"{ranked_by_front.__name__:32}"
    for history in histories.values():
        began = time.process_time()
        ranked_by_front(history, "parameters")
        row += f"{1000 * (time.process_time() - began):12.1f}"
    print(row)


if __name__ == "__main__":
    main()
