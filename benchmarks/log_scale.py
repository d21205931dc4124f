"""Many trainers on one log, training replaced by a table: does a trial cost the same when the log is long?

    python -m benchmarks.log_scale --trials 100000 --trainers 64      # 45 minutes on 2 cores
    python -m benchmarks.log_scale --trials 5000 --trainers 16
    python -m benchmarks.log_scale --filled 98000 --trials 100000 --trainers 16    # only the end of a long search

Every trainer is a process that proposes, claims, appends, seals and beats as a real one does. A line is printed each
time the log has grown by a tenth: trials on record, trials a second, CPU milliseconds a trial of all trainers, and the
memory of the largest trainer. Each trainer reads each row, one by one mostly, so that with trials that take no time
the cost of a trial grows with the number of trainers; the question is whether it grows with the log. The first line
of a log that was filled before includes that each trainer reads it.
"""

from __future__ import annotations

import argparse
import dataclasses
import signal
import tempfile
import time
from functools import lru_cache

import numpy as np
import psutil

from benchmarks.log import fill, row
from benchmarks.log_faults import FORK, read_plainly, run_record, running, search_record, train_instantly
from msearch_core.algorithms import ALGORITHMS
from msearch_core.loading import load_space
from msearch_core.space import SearchSpace
from msearch_core.trial import Trial
from msearch_core.trial_log import TrialLog


@lru_cache(maxsize=1)
def table_space() -> SearchSpace:
    """What is searched."""
    return load_space("tabular").for_input((4,))


def row_of_table(slot: int) -> Trial:
    """A row as these trainers make it: of their own space, of a trial without weights."""
    space, rng = table_space(), np.random.default_rng(slot)
    return dataclasses.replace(
        row(slot),
        objective=float(rng.random()),
        architecture=space.random_architecture(rng),
        hyperparameters=space.random_hyperparameters(rng),
        curve=None,
        weights=None,
        predictions=None,
    )


def main() -> None:
    """Run the trainers and print how they fare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--trainers", type=int, default=64)
    parser.add_argument("--filled", type=int, default=0, help="trials on record before the trainers start")
    parser.add_argument("--algorithm", choices=sorted(ALGORITHMS), default="coordinate_descent")
    parser.add_argument("--url", help="where to make the log; a temporary folder if not given")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        log = TrialLog(options.url or folder)
        log.open(search_record(options.algorithm))
        log.add_run(run_record(options.trials))
        fill(log, options.filled, row_of_table)
        board = log.board(run_record(options.trials), ("uid", "run"))
        board.look()
        workers = [
            FORK.Process(target=train_instantly, args=(log.url, options.trials), daemon=True)
            for _ in range(options.trainers)
        ]
        print(f"{'trials':>10}{'a second':>12}{'CPU ms each':>14}{'memory MB':>12}")
        with running(list(workers)):
            processes = [psutil.Process(worker.pid) for worker in workers]
            used: dict[int, float] = {}
            began, done, spent = time.monotonic(), board.done, 0.0
            while not board.is_over:
                time.sleep(1)
                board.look()
                if board.done - done >= (options.trials - options.filled) / 10 or board.is_over:
                    now, memory = time.monotonic(), 0
                    for process in processes:
                        try:
                            times = process.cpu_times()
                            used[process.pid] = times.user + times.system
                            memory = max(memory, process.memory_info().rss)
                        except psutil.Error:
                            continue
                    new, cpu = board.done - done, sum(used.values())  # of those that have ended, as last seen
                    print(
                        f"{board.done:>10,}{new / (now - began):>12.0f}{1000 * (cpu - spent) / new:>14.1f}"
                        f"{memory / 1e6:>12.0f}",
                        flush=True,
                    )
                    began, done, spent = now, board.done, cpu
        log.seal()
        slots = read_plainly(log.url)["slot"]
        print(f"{len(slots):,} rows, {slots.nunique():,} slots")


if __name__ == "__main__":
    main()
