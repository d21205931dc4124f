"""How good, how fast and how soon: whole searches as a user starts them, one after the other.

    python benchmarks/first_search.py                       # digits and breast_cancer, seeds 0 to 2
    python benchmarks/first_search.py --seeds 3 4 5 --data digits
    python benchmarks/first_search.py --cold                # each with an empty cache, as on a new machine

Each search is a fresh process with a log of its own. Printed for each: the winner's validation and test score,
seconds until the first trial was on record and until the command returned, trials, and CPU seconds of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OPTIONS = {
    "digits": ["--space", "image"],
    "breast_cancer": [],
    "wine": [],
    "iris": [],
    "diabetes": [],
}


def run(data: str, seed: int, trials: int, trainers: int, cold: bool, extra: list[str]) -> dict[str, float]:
    """Run one search and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "msearch_core.cli", "search", data, "--log", str(log), "--seed", str(seed)]
        command += ["--trials", str(trials), "--trainers", str(trainers), *OPTIONS.get(data, []), *extra]
        environment = {**os.environ, **({"XDG_CACHE_HOME": f"{folder}/cache"} if cold else {})}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        with open(Path(folder) / "out", "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
            first = float("nan")
            while process.poll() is None:
                if first != first and any(log.glob("results/*/*.parquet")):
                    first = time.monotonic() - began
                time.sleep(0.05)
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode:
            raise SystemExit((Path(folder) / "out").read_text())
        winner = json.loads((log / "winners" / "1.json").read_text())
        objective = "accuracy" if "accuracy" in winner["test"] else "rmse"
        return {
            "validation": winner["validation"][objective],
            "test": winner["test"][objective],
            "first": first,
            "wall": wall,
            "trials": len(list(log.glob("results/*/*.parquet"))),
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        }


def main() -> None:
    """Parse the options, run the searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "breast_cancer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--trainers", type=int, default=2)
    parser.add_argument("--cold", action="store_true", help="an empty cache for each search")
    options, extra = parser.parse_known_args()
    print(f"{'data':<16}{'seed':>5}{'validation':>12}{'test':>9}{'first':>8}{'wall':>8}{'cpu':>8}{'trials':>8}")
    for data in options.data:
        tests = []
        for seed in options.seeds:
            found = run(data, seed, options.trials, options.trainers, options.cold, extra)
            tests.append(found["test"])
            print(
                f"{data:<16}{seed:>5}{found['validation']:>12.4f}{found['test']:>9.4f}{found['first']:>7.1f}s"
                f"{found['wall']:>7.1f}s{found['cpu']:>7.1f}s{found['trials']:>8.0f}",
                flush=True,
            )
        print(f"{data:<16} mean test {statistics.mean(tests):.4f}")


if __name__ == "__main__":
    main()
