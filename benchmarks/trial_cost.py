"""What a trial costs, and where its time goes: ``python -m benchmarks.trial_cost``.

    python -m benchmarks.trial_cost                        # two searches of 20 trials of 200 steps, three times each
    python -m benchmarks.trial_cost --steps 200 2000       # and of 2,000 steps
    python -m benchmarks.trial_cost --memory 500           # one trainer, so many trials: does it grow?

Each search is made by one trainer with one thread, without Prefect, which costs a trial nothing; what loading
TensorFlow costs is told apart. Told are the median CPU seconds of a trial, of all processes that took part, and trials
a minute for two such trainers, as two cores have them. Beside it stands the limit: the same models, already built and
traced in a process of their own with their data in memory, take the same steps and nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from msearch_core.config import make_config
from msearch_core.report.costs import phase_costs
from msearch_core.report.scores import decoded
from msearch_core.session import Session, join
from msearch_core.training.client import TrainingHost
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import TrialLog

SEARCHES: dict[str, dict[str, Any]] = {
    "breast_cancer": {"data": "breast_cancer"},
    "digits": {"data": "digits", "space": "image"},
}
BATCH_SIZE = 32


@dataclass(frozen=True)
class Cost:
    """What one trial has cost.

    Attributes:
        cpu: seconds of all processes together.
        wall: seconds.
        megabytes: resident memory of trainer, host and children after it.
    """

    cpu: float
    wall: float
    megabytes: float


def family() -> list[psutil.Process]:
    """This process and all that descend from it."""
    me = psutil.Process()
    return [me, *me.children(recursive=True)]


def cpu_seconds() -> float:
    """What this process and all that descend from it have used so far, those that have ended included."""
    total = 0.0
    for process in family():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # it ended just now, and its parent counts it
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def megabytes() -> float:
    """Memory that this process and all that descend from it hold, shared pages counted once."""
    total = 0.0
    for process in family():
        try:
            total += process.memory_full_info().pss if sys.platform == "linux" else process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def search(folder: Path, name: str, trials: int, steps: int, seed: int) -> Iterator[tuple[Session, Cost]]:
    """Run a search and yield what each trial has cost; the first one also what loading TensorFlow costs."""
    options = {**SEARCHES[name], "trials": trials, "steps": steps, "batch_size": BATCH_SIZE, "seed": seed}
    session = join(make_config(**options, log=str(folder / "log")))
    with TrainingHost(folder / "host.log") as host:
        used, began = cpu_seconds(), time.monotonic()
        trainer = Trainer(session, host, folder, threads=1)
        for claim in trainer.claims():
            trainer.run(claim)
            now, then = cpu_seconds(), time.monotonic()
            yield session, Cost(now - used, then - began, megabytes())
            used, began = now, then


def limits(session: Session) -> list[float]:
    """CPU seconds of each of the search's trials for its steps alone, in a process of its own."""
    where = [str(session.data), session.search.space, session.log.url]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    asked = [sys.executable, "-m", "benchmarks.trial_cost", "--limits", *where]
    told = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True, env=quiet).stdout
    return [float(line) for line in told.splitlines()]


def print_limits(folder: str, space_name: str, url: str) -> None:
    """Take the steps of each trial of a log, with its model built and traced and all data in memory."""
    from msearch_core.data.prepared import open_prepared
    from msearch_core.data.problem import fitted_space
    from msearch_core.loading import load_space
    from msearch_core.training.build import build_model
    from msearch_core.training.child import rewrite_graphs, use_threads
    from msearch_core.training.feed import make_feed
    from msearch_core.training.steps import TrainSteps, make_optimizer

    use_threads(1)
    data = open_prepared(Path(folder))
    space, train = fitted_space(load_space(space_name), data.problem), data.splits["train"]
    for row in TrialLog(url).trials().itertuples():
        steps, hyperparameters = int(row.steps), decoded(row.hyperparameters)
        rewrite_graphs(steps)
        model = build_model(data.problem, space, row.architecture, hyperparameters)
        optimizer = make_optimizer(hyperparameters, steps)
        take = TrainSteps(model, optimizer, data.problem, train, hyperparameters, BATCH_SIZE)
        feed = make_feed(train, 0, BATCH_SIZE, steps, train.x.nbytes)
        first, rest = feed.take(0, 1), feed.take(0, steps)
        take(first)
        began = time.process_time()
        take(rest)
        print(time.process_time() - began)


def measure(name: str, steps: int, trials: int, repeats: int) -> None:
    """Run a search a few times and print what its trials have cost; the first trial of each is told apart."""
    costs, alone, starts, frames = [], [], [], []
    for seed in range(repeats):
        with tempfile.TemporaryDirectory(prefix="msearch-cost-") as folder:
            first, *rest = search(Path(folder), name, trials + 1, steps, seed)
            session = first[0]
            starts.append(first[1])
            costs.append([cost for _, cost in rest])
            alone.append(limits(session)[1:])
            frames.append(session.log.trials().iloc[1:])
    medians = [statistics.median(cost.cpu for cost in each) for each in costs]
    ratios = [sum(cost.cpu for cost in each) / sum(limit) for each, limit in zip(costs, alone, strict=True)]
    minutes = [2 * 60 * len(each) / sum(cost.wall for cost in each) for each in costs]
    pure = [statistics.median(each) for each in alone]
    start = statistics.median(cost.cpu for cost in starts)
    print(f"\n{name}, {trials} trials of {steps} steps of {BATCH_SIZE} examples, {repeats} searches: median (all)")
    for what, values, digits in (
        ("CPU seconds a trial", medians, 2),
        ("of its steps alone", pure, 2),
        ("times the steps alone", ratios, 2),
        ("trials a minute, two trainers", minutes, 0),
    ):
        every = ", ".join(f"{value:.{digits}f}" for value in values)
        print(f"  {what:<32}{statistics.median(values):>8.{digits}f}   ({every})")
    print(f"  {'CPU seconds before and in the first':<32}{start:>5.1f}")
    for each in phase_costs(pd.concat(frames)).to_dict("records"):
        print(f"    {each['phase']:<12}{each['median']:>8.3f} s  {100 * each['share']:>3.0f} %")


def grow(name: str, steps: int, trials: int) -> None:
    """Print the memory of one trainer with all its processes as the trials go by."""
    print(f"\n{name}, {trials} trials of {steps} steps by one trainer: MB by fifths, median (most)")
    with tempfile.TemporaryDirectory(prefix="msearch-cost-") as folder:
        held = [cost.megabytes for _, cost in search(Path(folder), name, trials, steps, 0)]
    size = max(1, trials // 5)
    for start in range(0, trials, size):
        part = held[start : start + size]
        print(f"  {start + 1:>5} to {start + len(part):<5}{statistics.median(part):>8.0f} ({max(part):.0f})")


def main() -> None:
    """Parse the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(SEARCHES), default=list(SEARCHES))
    parser.add_argument("--steps", nargs="+", type=int, default=[200])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="TRIALS", help="watch the memory of so many trials instead")
    parser.add_argument("--limits", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.limits:
        return print_limits(*asked.limits)
    for name in asked.data:
        for steps in asked.steps:
            if asked.memory:
                grow(name, steps, asked.memory)
            else:
                measure(name, steps, asked.trials, asked.repeats)
    return None


if __name__ == "__main__":
    main()
