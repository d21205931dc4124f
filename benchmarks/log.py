"""What the trial log costs as it grows, beside Optuna's storages.

    python benchmarks/log.py                         # 1,000, 10,000 and 100,000 trials
    python benchmarks/log.py --sizes 1000 --optuna   # with Optuna's JournalStorage and SQLite (pip install optuna)

For each size a log is filled as a search leaves it at its worst moment, just before a seal. Printed are medians of
wall milliseconds: to append a row; to read the whole log with a fresh reader, all columns into a DataFrame (cold) and
as a trainer reads it (trainer); to read one new row (new); plain ``pandas.read_parquet`` (pandas); then the size of
``trials/`` and the process' peak memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from msearch_core.algorithms.history import COLUMNS
from msearch_core.trial import SCHEMA, Trial, to_parquet, to_row, to_table
from msearch_core.trial_log import RunRecord, TrialLog, layout, results, sealing

REPEATS = 3


def row(slot: int) -> Trial:
    """A row as large as a real one."""
    return Trial(
        uid=f"0001-{slot:06d}",
        search="0123456789ab",
        run="0001",
        slot=slot,
        attempt=1,
        kind="search",
        status="completed",
        objective=0.9 + slot % 97 / 1000,
        objective_se=0.01,
        objective_name="accuracy",
        direction="max",
        metrics={"accuracy": 0.9, "balanced_accuracy": 0.9, "f1_macro": 0.9, "log_loss": 0.3},
        curve=tuple(0.9 + step / 100 for step in range(10)),
        architecture=(
            "convolution(filters=32,kernel=3)",
            "max_pool(stride=2)",
            "flatten()",
            f"dense(units={slot % 7})",
        ),
        architecture_hash=f"{slot:016x}",
        space="image",
        space_fingerprint="f" * 16,
        algorithm="coordinate_descent",
        history={"chunks": 30, "results": [], "pending": [f"0001-{slot - 1:06d}"]},
        redraws=0,
        mutation={"change": "replace", "position": 2, "block": "flatten()"},
        parents=(f"0001-{slot // 2:06d}",),
        hyperparameters={"optimizer": "adam", "learning_rate": 0.001 * slot, "dropout": 0.1, "l2": 0.0},
        seed=slot,
        split_seed=0,
        batch_size=64,
        steps=500,
        cumulative_steps=1000,
        inherited_fraction=0.9,
        inheritance={f"b{index}_convolution": "copied" for index in range(8)},
        parameters=100_000,
        model_bytes=400_000,
        latency_ms=0.5,
        train_seconds=3.0,
        wall_seconds=4.0,
        timings={"build": 0.1, "trace": 0.3, "train": 3.0, "evaluate": 0.2, "publish": 0.01},
        peak_mb=400.0,
        data_fingerprint="d" * 16,
        weights=f"weights/0001-{slot:06d}.1.safetensors",
        predictions=f"predictions/0001-{slot:06d}.1.npy",
        trainer="host-1234-abcdef",
        host="host",
        versions={"keras": "3", "tensorflow": "2", "numpy": "2", "python": "3.11", "msearch": "0.1.0"},
    )


def fill(log: TrialLog, size: int, row: Callable[[int], Trial] = row) -> None:
    """Leave the log as a search of that many trials does just before it would seal again."""
    log.store.create(layout.CARRIER, to_parquet(SCHEMA.empty_table()))
    done = chunk = 0
    while (waiting := sealing.chunk_size(done) - 1) < size - done:
        count = min(sealing.chunk_size(done), size - done - waiting)
        chunk += 1
        log.store.create(layout.chunk_file(chunk), to_parquet(to_table(map(row, range(done + 1, done + count + 1)))))
        done += count
    for slot in range(done + 1, size + 1):
        log.store.create(layout.result_file(f"0001-{slot:06d}"), results.encode(to_row(row(slot))))


def timed(operation: Callable[[], Any], repeats: int = REPEATS) -> float:
    """The median of several times, in milliseconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        operation()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def measure(folder: str, size: int) -> dict[str, float]:
    """Measure a filled log; runs in a process of its own, so that the peak of memory is its own."""
    record = RunRecord(run="0001", extension=1, trials=size + 1000, minutes=None, data={}, data_fingerprint="d")
    log = TrialLog(folder)
    log.add_run(record)
    cold = timed(lambda: TrialLog(folder).trials())
    plain = timed(lambda: pd.read_parquet(f"{folder}/trials"))
    trainer = timed(lambda: TrialLog(folder).board(record, COLUMNS).look())
    board = log.board(record, COLUMNS)
    board.look()
    news, appends = [], []
    log.seal()
    for slot in range(size + 1, size + 31):
        appends.append(timed(partial(log.append, row(slot)), 1))
        news.append(timed(board.look, 1))
    return {
        "append": statistics.median(appends),
        "cold": cold,
        "trainer": trainer,
        "new": statistics.median(news),
        "pandas": plain,
        "megabytes": sum(path.stat().st_size for path in Path(folder, "trials").iterdir()) / 1e6,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def optuna_storages(size: int) -> dict[str, dict[str, float]]:
    """The same of Optuna: append a finished trial, load all of them cold."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("journal", "sqlite"):

            def storage(name: str = name) -> Any:
                if name == "journal":
                    return optuna.storages.JournalStorage(JournalFileBackend(f"{folder}/journal"))
                return f"sqlite:///{folder}/optuna.db"

            study = optuna.create_study(storage=storage(), study_name="s")
            distributions = {f"p{index}": optuna.distributions.FloatDistribution(0, 1) for index in range(8)}
            made = [
                optuna.trial.create_trial(
                    params=dict.fromkeys(distributions, 0.5), distributions=distributions, value=slot / size
                )
                for slot in range(size)
            ]
            appends = [timed(partial(study.add_trial, trial), 1) for trial in made]
            cold = timed(lambda: optuna.load_study(storage=storage(), study_name="s").trials_dataframe(), 1)
            found[name] = {"append": statistics.median(appends[-100:]), "cold": cold}
    return found


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--optuna", action="store_true", help="also Optuna's storages, up to 10,000 trials")
    options = parser.parse_args()
    columns = ("append", "cold", "trainer", "new", "pandas", "megabytes", "peak")
    units = ("ms", "ms", "ms", "ms", "ms", "MB", "MB")
    print(f"{'log':<22}" + "".join(f"{f'{name} {unit}':>14}" for name, unit in zip(columns, units, strict=True)))
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            fill(TrialLog(folder), size)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(measure, (folder, size))
        print(f"{f'msearch {size:,}':<22}" + "".join(f"{found[name]:>14.1f}" for name in columns), flush=True)
        if options.optuna and size <= 10_000:
            for name, values in optuna_storages(size).items():
                print(f"{f'optuna {name} {size:,}':<22}{values['append']:>14.1f}{values['cold']:>14.1f}", flush=True)


if __name__ == "__main__":
    main()
