"""What it is worth that a child starts from its parent's weights: ``python -m benchmarks.inheritance``.

For each problem three cold searches with seeds of their own fix a threshold: the median of their best validation
scores. Then searches with and without inheritance run with each seed, and told is how many gradient steps of
the whole search, those of ancestors included since they are trials of it too, pass until any trial first reaches the
threshold. They end there, or after twice the trials of a pilot; a cold search that has not come there by then
counts with all of its steps, which favours it.

The architectures of each inheriting search are then trained once more from nothing, and the rank correlation of the two
scores tells how far inherited scores order architectures as cold ones do.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from benchmarks.searches import (
    Problem,
    Searches,
    history_of,
    in_order,
    median_interval,
    problems,
    searches,
    seconds_to,
    steps_to,
)

PILOTS = (1000, 1001, 1002)
"""The seeds of the searches that fix the threshold; no other search has them."""
COLD = {"inheritance": "none", "algorithm_options": {"train_on_probability": 0.0}}
"""Without inheritance, to train a model on would be to train it again."""
ARMS: dict[str, dict[str, Any]] = {"inherited": {}, "cold": COLD}


def threshold(run: Searches, name: str, problem: Problem) -> float:
    """What a cold search ends with, at the median."""
    best = []
    for seed in PILOTS:
        key = f"{name}-pilot-{seed}"
        options = {**problem.options, "trials": problem.trials, "seed": seed, **COLD}
        known = run.known(key) or run.remember(
            key, best=float(in_order(run.session(key, **options))["objective"].max())
        )
        best.append(known["best"])
    return statistics.median(best)


def measure(run: Searches, name: str, problem: Problem, arm: str, seed: int, score: float) -> dict[str, Any]:
    """Steps and seconds that one search takes to the threshold."""
    key = f"{name}-{arm}-{seed}"
    if known := run.known(key):
        return known
    options = {**problem.options, "trials": 2 * problem.trials, "seed": seed, **ARMS[arm]}
    frame = in_order(run.session(key, score, **options))
    figures = {
        "steps": steps_to(frame, score),
        "seconds": seconds_to(frame, score),
        "all_steps": int(frame["steps"].sum()),
        "best": round(float(frame["objective"].max()), 4),
    }
    return run.remember(key, **figures)


def correlate(run: Searches, name: str, problem: Problem, seed: int) -> dict[str, Any]:
    """Train the architectures of an inheriting search from nothing and compare the two orders."""
    key = f"{name}-ranks-{seed}"
    if known := run.known(key):
        return known
    options = {**problem.options, "seed": seed}
    session = run.session(f"{name}-inherited-{seed}", **options, trials=2 * problem.trials)
    inherited = {each.architecture: each.score for each in history_of(session) if each.score is not None}
    suggest = [list(architecture) for architecture in inherited]
    again = run.session(f"{name}-again-{seed}", **options, trials=len(suggest), suggest=suggest, **COLD)
    cold = {each.architecture: each.score for each in history_of(again) if each.score is not None}
    both = [each for each in inherited if each in cold]
    ranks = spearmanr([inherited[each] for each in both], [cold[each] for each in both])
    return run.remember(key, spearman=round(float(ranks.statistic), 3), architectures=len(both))


def main() -> None:
    """Measure what is not yet in the results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "table"], help="digits, table, speech")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--speech", help="a folder with train and test, each a folder of class folders with WAV files")
    parser.add_argument("--ranks", action="store_true", help="also compare the order of scores")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-searches"), help="for the logs and the results")
    asked = parser.parse_args()
    with searches(asked.folder, asked.folder / "inheritance.jsonl") as run:
        for name in asked.data:
            problem = problems(asked.folder, asked.speech)[name]
            score = threshold(run, name, problem)
            ratios = []
            for seed in asked.seeds:
                inherited, cold = (measure(run, name, problem, arm, seed, score) for arm in ARMS)
                reached = inherited["steps"]
                if reached or cold["steps"]:  # where neither came there, nothing can be said
                    ratios.append(reached / (cold["steps"] or cold["all_steps"]) if reached else float("inf"))
            correlations = [correlate(run, name, problem, seed)["spearman"] for seed in asked.seeds if asked.ranks]
            middle, low, high = median_interval(ratios) if ratios else (float("nan"),) * 3
            print(
                f"{name}: threshold {score:.4f}; inherited / cold steps {middle:.2f} ({low:.2f} to {high:.2f})", end=""
            )
            print(f"; by seed {[round(each, 2) for each in ratios]}; rank correlations {correlations}")


if __name__ == "__main__":
    main()
