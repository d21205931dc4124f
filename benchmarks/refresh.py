"""What it is worth to start from what is known when data has grown: ``python -m benchmarks.refresh``.

A search on the first data, a refresh on the grown data, and beside it a search from nothing on the grown data. Told is
how many trials and seconds the refresh and the search from nothing take until a trial reaches the old score, what was
promoted, and how long a refresh takes that finds nothing new.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from msearch_core.trial_log import TrialLog


def msearch(*arguments: str, folder: Path) -> tuple[str, float]:
    """Run a command; returns what it printed and how long it took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "msearch_core.cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.strip(), time.monotonic() - began


def write_digits(path: Path, count: int) -> str:
    """The first so many of scikit-learn's digits."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    np.savez(path, x=digits.images[:count, ..., np.newaxis].astype(np.uint8), y=digits.target[:count])
    return str(path)


def regained(frame: pd.DataFrame, score: float) -> dict[str, Any]:
    """Trials and seconds until one reaches a score, counted from the first one's start."""
    made = frame[frame["kind"] != "rescore"].sort_values("finished_at", ignore_index=True)
    reached = made.index[made["objective"] >= score]
    best = round(float(made["objective"].max()), 4)
    if reached.empty:
        return {"trials": None, "seconds": None, "best": best}
    seconds = (made.loc[reached[0], "finished_at"] - made["started_at"].min()).total_seconds()
    return {"trials": int(reached[0]) + 1, "seconds": round(seconds, 1), "best": best}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", help="data at first; part of scikit-learn's digits if not given")
    parser.add_argument("--grown", help="the data when it has grown")
    parser.add_argument("--options", type=json.loads, default={}, help="further options of the search, in JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="msearch-refresh-") as name:
        folder = Path(name)
        first = asked.first or write_digits(folder / "first.npz", 500)
        grown = asked.grown or write_digits(folder / "grown.npz", 1797)
        data = folder / f"data{Path(first).suffix}"

        def bring(source: str) -> None:
            if Path(source).is_dir():
                shutil.copytree(source, data, dirs_exist_ok=True)
            else:
                shutil.copy(source, data)

        options = {"trials": 10, "steps": 300, "trainers": 2, "keep": 3, **asked.options}
        search = {**options, "data": str(data), "log": str(folder / "log")}
        (folder / "search.json").write_text(json.dumps(search))
        bring(first)
        msearch("refresh", "search.json", folder=folder)
        bring(grown)
        said, seconds = msearch("refresh", "search.json", folder=folder)
        _, quiet = msearch("refresh", "search.json", folder=folder)
        (folder / "nothing.json").write_text(json.dumps({**search, "log": str(folder / "nothing")}))
        msearch("refresh", "nothing.json", folder=folder)
        log = TrialLog(str(folder / "log"))
        frame = log.trials()
        score = float(frame.loc[frame["run"] == "0001", "objective"].max())
        print(
            json.dumps(
                {
                    "old_score": round(score, 4),
                    "rescored": log.refreshes()[-1].rescored,
                    "refresh": regained(frame[frame["run"] == "0002"], score),
                    "from_nothing": regained(TrialLog(str(folder / "nothing")).trials(), score),
                    "promotion": said,
                    "refresh_seconds": round(seconds, 1),
                    "nothing_new_seconds": round(quiet, 1),
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
