"""Beside others: ``python -m benchmarks.peers``, after ``pip install -e '.[peers]'``.

KerasTuner (random search, Hyperband), Optuna (TPE) and msearch have the same data, splits, seconds and cores. The
peers choose among msearch's own blocks and hyperparameters (but ``l2``, which msearch adds in its own loop) and train
with ``model.fit`` for as many gradient steps a trial as msearch does, Hyperband for up to as many. Scikit-learn's
models have their default settings and take what time they need. AutoKeras has models and early stopping of its own; it
runs only where asked for, after ``pip install -e '.[autokeras]'``, since it needs an older Keras. Each run is a fresh
process, whose start counts, too. msearch begins with its space's suggestions, and one in five of its trials is an
ensemble of those before it; the peers have neither. With several ``--seconds`` a peer goes on to the last of them, and
what it has found by each counts; msearch is run for each anew. The test split is opened for the best by validation
only. Results are kept in files of JSON lines, one for each ``--seconds``: what is there is not run again, so the whole
can be done in parts. The files belong to one machine. Intervals are of 95 %, by t over seeds; what was reached on the
way are medians.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.stats import t

from benchmarks.peer_searches import METHODS, Figures, run
from benchmarks.searches import problems


def sources(folder: Path) -> dict[str, dict[str, Any]]:
    """What is to be searched, as options of ``msearch.search``."""
    table = problems(folder)["table"].options
    return {
        "digits": {"data": "digits", "space": "image"},
        "breast_cancer": {"data": "breast_cancer"},
        "table": {"data": table["data"], "target": table["target"]},
    }


def measure(options: dict[str, Any], method: str, seed: int, budgets: Sequence[float]) -> list[Figures]:
    """One search in a process of its own: what it had come to after each so many seconds.

    CPU seconds are those of all that descend from the process, too, unless it tells them itself.
    """
    began = time.time()
    asked = json.dumps([options, method, seed, [began + seconds for seconds in budgets]])
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "benchmarks.peers", "--run", asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        cpu = watched_cpu(process)
        told = process.stdout.read() if process.stdout else ""
    wall = time.time() - began
    if process.returncode:
        raise SystemExit(f"{method} on seed {seed} failed with code {process.returncode}; its own words are above")
    return [
        {
            **figures,
            "curve": [(round(when - began, 1), score) for when, score in figures.get("curve", ())],
            "cpu": round(figures.get("cpu", cpu), 1),
            "wall": round(min(wall, seconds) if seconds < budgets[-1] else wall, 1),
        }
        for figures, seconds in zip(json.loads(told.splitlines()[-1]), budgets, strict=True)
    ]


def watched_cpu(process: subprocess.Popen[str]) -> float:
    """CPU seconds of a process and all that descend from it, watched until it ends.

    What the kernel adds up for a parent leaves out children that outlive theirs, such as msearch's training processes.
    """
    used: dict[psutil.Process, float] = {}
    root = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in [root, *root.children(recursive=True), *used]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    used[each] = times.user + times.system
        time.sleep(0.25)
    return sum(used.values())


def interval(values: Sequence[float]) -> str:
    """A mean with its 95 % t interval over seeds."""
    if len(values) < 2:
        return f"{values[0]:.4f}"
    return f"{np.mean(values):.4f} ± {t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5:.4f}"


def reached(curve: Sequence[tuple[float, float]], seconds: float) -> float:
    """The best validation accuracy after so many seconds, zero before the first; NaN where none was noted."""
    return max((score for when, score in curve if when <= seconds), default=0.0 if curve else float("nan"))


class Results:
    """A file of JSON lines, one a search.

    Attributes:
        rows: by data, seed and method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
        self.rows: dict[tuple[str, int, str], Figures] = {
            (each["data"], each["seed"], each["method"]): each for each in lines
        }

    def add(self, row: Figures) -> None:
        """Keep a row, and print it without its curve."""
        self.rows[row["data"], row["seed"], row["method"]] = row
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(self._path.stem, json.dumps({name: value for name, value in row.items() if name != "curve"}), flush=True)


def print_table(rows: Sequence[Figures], seconds: float) -> None:
    """A line for each search of each set of data."""
    print(f"\n{seconds:g} seconds")
    titles = ["data", "search", "seeds", "trials", "CPU s a trial", "seconds", f"validation by {seconds / 4:g} s"]
    titles += [f"by {seconds / 2:g} s", "at the end", "test", "median test"]
    print(f"\n| {' | '.join(titles)} |\n{'| --- ' * len(titles)}|")
    for data, method in dict.fromkeys((row["data"], row["method"]) for row in rows):
        chosen = [row for row in rows if (row["data"], row["method"]) == (data, method)]
        trials = sum(row["trials"] for row in chosen)
        cells = [f"{len(chosen)}", f"{trials / len(chosen):.0f}", f"{sum(row['cpu'] for row in chosen) / trials:.2f}"]
        cells += [f"{np.mean([row['wall'] for row in chosen]):.0f}"]
        cells += [f"{np.median([reached(row['curve'], seconds / part) for row in chosen]):.4f}" for part in (4, 2)]
        cells += [interval([row[score] for row in chosen]) for score in ("validation", "test")]
        print(f"| {data} | {method} | {' | '.join(cells)} | {np.median([row['test'] for row in chosen]):.4f} |")


def main() -> None:
    """Measure what is not yet in the results, and print the table of all that is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "breast_cancer", "table"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:-1])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--seconds", nargs="+", type=float, default=[60], help="ascending")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-searches"), help="for the results")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        print(json.dumps(run(*json.loads(asked.run))))
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    options = sources(asked.folder.absolute())
    known = {seconds: Results(asked.folder / f"peers-{seconds:g}.jsonl") for seconds in asked.seconds}
    keys = list(itertools.product(asked.data, asked.seeds, asked.methods))  # methods in turn: a machine has its moods
    for data, seed, method in keys:
        missing = [seconds for seconds in asked.seconds if (data, seed, method) not in known[seconds].rows]
        # What a peer has come to on the way is what it would have come to; msearch plans for its end.
        for budgets in [[each] for each in missing] if method == "msearch" else filter(None, [missing]):
            found = measure(options[data], method, seed, budgets)
            for seconds, figures in zip(budgets, found, strict=True):
                known[seconds].add({"data": data, "method": method, "seed": seed, **figures})
    for seconds, results in known.items():
        print_table([results.rows[key] for key in keys], seconds)


if __name__ == "__main__":
    main()
