"""How long the commands that read a log take, from the shell to the answer.

    python -m benchmarks.reading                        # 60, 1,000 and 10,000 trials
    python -m benchmarks.reading --sizes 1000 --browser # also the report's first paint (Chromium, selenium)

The log is simulated: a search whose trials descend from the better ones before them, with learning curves, failures
and several trainers. Printed are medians of wall seconds (and of CPU seconds, which a busy machine changes little), the
report's size, and with a browser the seconds until its first paint and until its last chart is drawn.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from msearch_core.space import architecture_hash
from msearch_core.trial import Trial, to_parquet, to_row, to_table
from msearch_core.trial_log import RunRecord, SearchRecord, TrialLog, WinnerRecord, layout, results

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
BLOCKS = {
    "convolution(filters=32,kernel=3)": 0.012,
    "residual_convolution(filters=32,kernel=3)": 0.02,
    "separable_convolution(filters=64,kernel=3)": 0.008,
    "max_pool(stride=2)": 0.0,
    "average_pool(stride=2)": -0.004,
    "dense(units=64,activation=relu,batch_norm=False)": 0.004,
    "dense(units=128,activation=relu,batch_norm=True)": -0.01,
}
FAILURES = (
    ("diverged", "the loss was not finite at step 120"),
    ("oom", "ResourceExhaustedError: out of memory while allocating a tensor of shape [64,32,28,28]"),
    ("infeasible", "150,000 parameters, where 100,000 are allowed"),
    ("failed", "</script><script>document.title='broken'</script> <img src=x onerror=alert(1)>"),
)


def simulated(size: int, trainers: int = 4, seed: int = 0) -> list[Trial]:
    """The rows of a search of that many trials."""
    rng = np.random.default_rng(seed)
    names, effects = list(BLOCKS), np.array(list(BLOCKS.values()))
    made: list[Trial] = []
    beam: list[Trial] = []
    clock = np.zeros(trainers)
    for slot in range(1, size + 1):
        parent = beam[int(rng.integers(len(beam)))] if beam and slot > 8 and rng.random() < 0.9 else None
        architecture = [*parent.architecture] if parent and parent.architecture else [names[int(rng.integers(7))]]
        block = names[int(rng.integers(len(names)))]
        if parent is None or (len(architecture) < 2 + slot // 20 and len(architecture) < 8 and rng.random() < 0.5):
            architecture.insert(int(rng.integers(len(architecture) + 1)), block)
        else:
            architecture[int(rng.integers(len(architecture)))] = block
        present = np.array([name in architecture for name in names])
        score = float(np.clip(0.9 + present @ effects + 0.004 * len(architecture) + rng.normal(0, 0.012), 0, 0.999))
        trainer = int(clock.argmin())
        begin = clock[trainer] + rng.exponential(0.4) + (60 if rng.random() < 0.01 else 0)
        seconds = float(rng.gamma(4, 1.5))
        clock[trainer] = begin + seconds
        failure = FAILURES[int(rng.integers(len(FAILURES)))] if rng.random() < 0.06 else None
        steps = 500
        made.append(
            Trial(
                uid=f"0001-{slot:06d}", search="0123456789ab", run="0001", slot=slot, attempt=1,
                kind="search" if slot > 3 else "seed",
                status=failure[0] if failure else "stopped" if rng.random() < 0.1 else "completed",  # type: ignore[arg-type]
                error=failure[1] if failure else None,
                objective=None if failure else score, objective_se=None if failure else 0.006,
                objective_name="accuracy", direction="max",
                metrics=None if failure else {"accuracy": score, "f1_macro": score, "log_loss": 2 * (1 - score)},
                curve=None if failure else tuple(score - 0.4 * np.exp(-np.arange(1, 11) / 2)),
                architecture=tuple(architecture), architecture_hash=architecture_hash(architecture), space="image",
                space_fingerprint="f" * 16, algorithm="coordinate_descent" if parent else "random", redraws=0,
                mutation={"change": "replace", "block": block} if parent else None,
                parents=(parent.uid,) if parent else (),
                hyperparameters={
                    "optimizer": str(rng.choice(["adam", "adamw", "sgd"])),
                    "dropout": float(rng.choice([0.0, 0.2, 0.4])),
                    "learning_rate": float(f"{10 ** rng.uniform(-4, -1.5):.4g}"),
                },
                seed=slot, split_seed=0, batch_size=64, steps=steps,
                cumulative_steps=steps + ((parent.cumulative_steps or 0) if parent else 0),
                parameters=None if failure else int(2000 * 1.9 ** len(architecture) * rng.uniform(0.7, 1.4)),
                model_bytes=None if failure else int(8000 * 1.9 ** len(architecture) * rng.uniform(0.7, 1.4)),
                flops=None if failure else int(1e5 * 1.7 ** len(architecture) * rng.uniform(0.7, 1.4)),
                latency_ms=None if failure else float(0.2 * len(architecture) * rng.uniform(0.7, 1.4)),
                train_seconds=seconds * 0.8, wall_seconds=seconds,
                timings={"build": 0.2, "trace": 0.4, "train": seconds * 0.8, "evaluate": 0.1},
                peak_mb=400.0, data_fingerprint="d" * 16, trainer=f"host-{1000 + trainer}-abcdef", host="host",
                started_at=BEGAN + timedelta(seconds=float(begin)),
                finished_at=BEGAN + timedelta(seconds=float(begin) + seconds),
            )
        )  # fmt: skip
        if not failure:
            beam = sorted([*beam, made[-1]], key=lambda trial: -(trial.objective or 0.0))[:8]
    return made


def fill(folder: str, size: int, *, finished: bool = True) -> TrialLog:
    """A log with a simulated search, sealed but for the last few rows; if not finished, one trial is still missing."""
    log, rows = TrialLog(folder), simulated(size)
    log.open(
        SearchRecord(
            id="0123456789ab", name="simulated", space="image", space_fingerprint="f" * 16, objective="accuracy",
            direction="max", algorithm="coordinate_descent", seed=0, split_seed=0, task="classification", settings={},
        )
    )  # fmt: skip
    log.add_run(
        RunRecord(
            run="0001", extension=1, trials=size + (not finished), minutes=None, data={}, data_fingerprint="d" * 16
        )
    )
    unsealed = min(size // 21, 200)
    sealed = rows[: size - unsealed]
    for number, start in enumerate(range(0, len(sealed), 250), 1):
        log.store.create(layout.chunk_file(number), to_parquet(to_table(sealed[start : start + 250])))
    for trial in rows[size - unsealed :]:
        log.store.create(layout.result_file(trial.uid), results.encode(to_row(trial)))
    if finished:
        best = max((trial for trial in rows if trial.objective is not None), key=lambda trial: trial.objective or 0.0)
        scores = {"accuracy": (best.objective or 0.0) - 0.004}
        log.add_winner(
            WinnerRecord(
                run="0001", trials=size, uid=best.uid, model=f"{log.url}/models/{best.uid}",
                validation=dict(best.metrics or {}), test=scores, test_openings=1,
            )
        )  # fmt: skip
    return log


def timed(*arguments: str, repeats: int = 3) -> tuple[float, float]:
    """The medians of a command's wall and CPU seconds."""
    wall, used = [], []
    for _ in range(repeats):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "msearch_core.cli", *arguments], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall.append(time.perf_counter() - began)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(wall), statistics.median(used)


def painted(page: Path) -> tuple[float, float]:
    """Seconds until the browser first paints the page, and until the last chart is drawn."""
    from tests.browsing import chromium

    with chromium() as browser:
        browser.get(page.as_uri())
        while not browser.execute_script("return document.documentElement.dataset.ready"):
            time.sleep(0.02)
        began: Any = browser.execute_script("return performance.getEntriesByType('paint')[0].startTime")
        ended: Any = browser.execute_script("return Number(document.documentElement.dataset.ready)")
    return float(began) / 1000, float(ended) / 1000


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[60, 1_000, 10_000])
    parser.add_argument("--browser", action="store_true", help="also open the report in a headless Chromium")
    options = parser.parse_args()
    columns = ("trials", "compare", "by block", "report", "page MB", *(("paint", "charts") if options.browser else ()))
    print(f"{'':>8}" + "".join(f"{name:>14}" for name in columns))
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            url = fill(f"{folder}/log", size).url
            page = Path(folder, "report.html")
            found = [
                timed("trials", url),
                timed("compare", url),
                timed("compare", url, "--by", "block"),
                timed("report", url, "--out", str(page)),
            ]
            cells = [f"{wall:.2f} ({used:.2f})" for wall, used in found]
            others = [
                page.stat().st_size / 1e6,
                *(painted(page) if options.browser else ()),
            ]
        cells += [f"{value:.2f}" for value in others]
        print(f"{size:>8,}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
