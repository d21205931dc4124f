"""Whole searches without Prefect, in a row, for the benchmarks that compare ways to search.

One trainer works on each search, so what it proposes depends on nothing but the seed; all share one training host, so
that loading TensorFlow is paid once. Results are kept in a file of JSON lines: what is there is not run again.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.algorithms.history import Outcome, outcomes
from msearch_core.config import make_config
from msearch_core.session import Session, join
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.asking import NO_RESULT, ask_child
from msearch_core.training.client import TrainingHost
from msearch_core.training.spec import WinnerResult, WinnerSpec
from msearch_core.training.trainer import Trainer


@dataclass(frozen=True)
class Problem:
    """A problem and the length of a trial on it.

    Attributes:
        options: of ``msearch.search``.
        trials: of one search.
    """

    options: dict[str, Any]
    trials: int


def problems(folder: Path, speech: str | None = None) -> dict[str, Problem]:
    """Images, a table and, where a folder of recordings is given, speech.

    Args:
        folder: the table is written there.
        speech: a folder with ``train`` and ``test``, each a folder of class folders with WAV files.
    """
    table = folder / "table.csv"
    if not table.exists():
        _write_table(table)
    found = {
        "digits": Problem({"data": "digits", "space": "image", "steps": 25, "batch_size": 32}, trials=30),
        "table": Problem({"data": str(table), "target": "label", "steps": 100, "batch_size": 32}, trials=30),
    }
    if speech:
        options = {"data": f"{speech}/train", "test": f"{speech}/test", "steps": 30, "batch_size": 32}
        found["speech"] = Problem({**options, "max_flops": 20_000_000}, trials=16)
    return found


def _write_table(path: Path) -> None:
    """6,000 rows of 20 numbers in 6 classes of several clusters each, with 2 % of the labels wrong."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        6000, 20, n_informative=12, n_redundant=4, n_classes=6, n_clusters_per_class=3, flip_y=0.02, class_sep=1.2,
        random_state=1,
    )  # fmt: skip
    frame = pd.DataFrame(x.round(4), columns=[f"x{number}" for number in range(x.shape[1])])
    frame.assign(label=y).to_csv(path, index=False)


class Searches:
    """Runs searches and remembers what came of them.

    Args:
        host: trains.
        folder: for the logs.
        results: a file of JSON lines.
    """

    def __init__(self, host: TrainingHost, folder: Path, results: Path) -> None:
        self._host = host
        self._folder = folder
        self._results = results
        lines = results.read_text().splitlines() if results.exists() else []
        self._known = {each["key"]: each for each in map(json.loads, lines)}

    def session(self, key: str, until: float = math.inf, **options: Any) -> Session:
        """Run a search to its end, or open the log of one that has ended.

        Args:
            key: its name.
            until: a validation score at which it may end early; a later call without it goes on.
            **options: of ``msearch.search``.
        """
        session = join(make_config(**options, log=str(self._folder / key)))
        with tempfile.TemporaryDirectory(prefix="msearch-searches-") as scratch:
            trainer = Trainer(session, self._host, Path(scratch), threads=1)
            with trainer.heartbeat():
                for claim in trainer.claims():
                    trainer.run(claim)
                    if steps_to(in_order(session), until) is not None:
                        break
        return session

    def remember(self, key: str, **figures: Any) -> dict[str, Any]:
        """Keep a result."""
        self._known[key] = {"key": key, **figures}
        with self._results.open("a") as file:
            file.write(json.dumps(self._known[key]) + "\n")
        print(json.dumps(self._known[key]), flush=True)
        return self._known[key]

    def known(self, key: str) -> dict[str, Any] | None:
        """A result that is there already."""
        return self._known.get(key)

    def test(self, session: Session, uid: str) -> WinnerResult:
        """Score a trial on validation and test split: a search would not, but a benchmark may."""
        history = {each.uid: each for each in outcomes(session.log.table(), session.run.run)}
        with tempfile.TemporaryDirectory(prefix="msearch-tested-") as name:
            output = Path(name)
            asked = WinnerSpec(
                uid=uid,
                space=session.search.space,
                members=Artefacts(session.log.store).load_members(history[uid], history, output),
                hyperparameters=dict(history[uid].hyperparameters),
                data=str(session.data),
                threads=1,
                output=str(output),
            )
            result = ask_child(self._host, "winner", asked, output, WinnerResult)
            return result or WinnerResult(status="failed", error=NO_RESULT)


@contextmanager
def searches(folder: Path, results: Path) -> Iterator[Searches]:
    """Searches with a training host of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with TrainingHost(folder / "host.log") as host:
        yield Searches(host, folder, results)


def history_of(session: Session) -> list[Outcome]:
    """The search's trials as an algorithm sees them."""
    return outcomes(session.log.table(), session.run.run)


def in_order(session: Session) -> pd.DataFrame:
    """The search's rows in the order in which they ended."""
    return session.log.trials().sort_values("finished_at", ignore_index=True)


def steps_to(frame: pd.DataFrame, threshold: float) -> int | None:
    """Gradient steps of all trials until one first reaches a threshold, by the evaluations within trials.

    Args:
        frame: rows in the order of their ends, of an objective that is better the higher it is.
        threshold: of the validation score.

    Returns:
        The number; ``None`` if no trial reached it.
    """
    before = 0
    for curve, steps in zip(frame["curve"], frame["steps"].fillna(0), strict=True):
        scores = [] if curve is None else list(curve)
        for number, score in enumerate(scores, 1):
            if score >= threshold:
                return before + round(steps * number / len(scores))
        before += int(steps)
    return None


def seconds_to(frame: pd.DataFrame, threshold: float) -> float | None:
    """Seconds of training and of all around it in the trials until one ended at or above a threshold."""
    reached = frame.index[frame["objective"] >= threshold]
    return None if reached.empty else round(float(frame.loc[: reached[0], "wall_seconds"].sum()), 1)


def median_interval(values: Sequence[float], draws: int = 10_000) -> tuple[float, float, float]:
    """A median with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(np.asarray(values), (draws, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975], method="nearest")  # some may be infinite
    return float(np.median(values)), float(low), float(high)


def mean_error(values: Sequence[float]) -> tuple[float, float]:
    """A mean and its standard error over seeds."""
    return statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
