"""Every kind of problem, beside two models of scikit-learn on the same split.

    python -m benchmarks.problems                       # searches of 20 trials, seeds 0 to 2
    python -m benchmarks.problems --problems multilabel --seeds 0 --trials 5

Each search is whole: from a file through ``msearch_core.search`` to the winner's test score. The models
learn from the train split's encoded examples and are scored on the test split; the search chooses by validation.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from msearch_core.data.options import DataOptions
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import PreparedData, open_prepared
from msearch_core.data.problem import Target
from msearch_core.objectives import find_objective

Features = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Example:
    """A problem.

    Attributes:
        make: writes the data into a folder and says how it is to be read.
        score: what is compared, more is better.
        features: what a linear model sees of encoded examples: ``(n, features)``, or ``(n, time, features)``.
    """

    make: Callable[[Path], DataOptions]
    score: str
    features: Features


def baseline(data: PreparedData, example: Example, forest: bool = False) -> float:
    """The test score of a linear model for each target, logistic or ridge regression; or of a random forest."""
    train, test = data.splits["train"], data.splits["test"]
    seen, asked = example.features(train.x), example.features(test.x)
    outputs = {}
    for target in data.problem.targets:
        y, model = train.y[target.name], _model(target, forest)
        if target.per_step:
            true = y >= 0 if target.task == "classification" else ~np.isnan(y)
            answers = _fitted(model, target, seen[true], y[true], asked.reshape(-1, asked.shape[-1]))
            outputs[target.name] = answers.reshape((*asked.shape[:2], *answers.shape[1:]))
        else:
            outputs[target.name] = _fitted(model, target, seen, y, asked)
    return find_objective(data.problem, example.score).score(test.y, outputs)


def _model(target: Target, forest: bool) -> Any:
    if target.task == "regression":
        return RandomForestRegressor(200, random_state=0) if forest else Ridge()
    model = RandomForestClassifier(200, random_state=0) if forest else LogisticRegression(max_iter=2000)
    return OneVsRestClassifier(model) if target.task == "multilabel" else model


def _fitted(model: Any, target: Target, seen: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    model.fit(seen, y)
    answers = model.predict(asked) if target.task == "regression" else model.predict_proba(asked)
    return np.asarray(answers, np.float32)


def whole(x: np.ndarray) -> np.ndarray:
    """The encoded example itself."""
    return np.asarray(x)


def summary(x: np.ndarray) -> np.ndarray:
    """A sequence padded with zeros, its length, and each feature's mean, deviation, extremes and mean change."""
    length = (~np.isnan(x[:, :, 0])).sum(axis=1, keepdims=True)
    statistic = [f(x, axis=1) for f in (np.nanmean, np.nanstd, np.nanmin, np.nanmax)]
    change = np.nanmean(np.abs(np.diff(x, axis=1)), axis=1)
    return np.concatenate([np.nan_to_num(x).reshape(len(x), -1), length / x.shape[1], *statistic, change], axis=1)


def window(x: np.ndarray, reach: int = 3) -> np.ndarray:
    """Each step together with its neighbours."""
    filled = np.pad(np.nan_to_num(x), [(0, 0), (reach, reach), (0, 0)])
    return np.concatenate([filled[:, shift : shift + x.shape[1]] for shift in range(2 * reach + 1)], axis=2)


def diabetes(_folder: Path) -> DataOptions:
    """The progression of a disease (Efron et al. 2004): 442 rows."""
    return DataOptions("diabetes")


def flats(folder: Path) -> DataOptions:
    """Made-up rents: numbers, categories with prices of their own, dates, truth values, and some of them missing."""
    rng = np.random.default_rng(0)
    count = 1500
    towns = np.array([f"town {number}" for number in range(12)])
    town, storey = rng.integers(12, size=count), rng.choice(["ground", "middle", "top"], count)
    level = rng.uniform(5, 18, 12)
    area = rng.gamma(6, 12, count)
    balcony = rng.random(count) < 0.4
    rent = level[town] * area ** np.where(storey == "top", 1.02, 0.98) + 60 * balcony * (storey != "ground")
    table = pd.DataFrame(
        {
            "town": towns[town],
            "storey": np.where(rng.random(count) < 0.05, "", storey),
            "area": np.where(rng.random(count) < 0.05, np.nan, area),
            "balcony": balcony,
            "since": pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(3000, size=count), unit="D"),
            "rent": rent * rng.lognormal(0, 0.05, count),
        }
    )
    table.to_csv(folder / "flats.csv", index=False)
    return DataOptions(str(folder / "flats.csv"), target=("rent",))


def shapes(folder: Path) -> DataOptions:
    """Cylinder, bell and funnel (Saito 1994): a plateau, a rise or a fall somewhere in 30 to 100 steps of noise."""
    rng = np.random.default_rng(0)
    rows = []
    for kind in rng.choice(["cylinder", "bell", "funnel"], 900):
        length = int(rng.integers(30, 101))
        start, width = int(rng.integers(2, length // 3)), int(rng.integers(length // 4, length // 2))
        ramp = {"cylinder": np.ones(width), "bell": np.linspace(0, 1, width), "funnel": np.linspace(1, 0, width)}
        signal = rng.normal(size=length)
        signal[start : start + width] += (6 + rng.normal()) * ramp[str(kind)]
        rows.append({"signal": signal.astype(np.float32), "shape": kind})
    pd.DataFrame(rows).to_parquet(folder / "shapes.parquet")
    return DataOptions(str(folder / "shapes.parquet"), target=("shape",))


def tags(folder: Path) -> DataOptions:
    """Scikit-learn's made-up documents of several topics each."""
    x, y = datasets.make_multilabel_classification(
        1500, n_features=20, n_classes=5, allow_unlabeled=False, random_state=0
    )
    names = np.array(["arts", "music", "politics", "science", "sports"])
    table = pd.DataFrame(x, columns=[f"word {number}" for number in range(20)])
    table["topics"] = ["|".join(names[row == 1]) for row in y]
    table.to_csv(folder / "topics.csv", index=False)
    return DataOptions(str(folder / "topics.csv"), target=("topics",), task={"topics": "multilabel"})


def states(folder: Path) -> DataOptions:
    """Which of two hidden states, of the same mean but another rhythm, a noisy signal of 20 to 60 steps is in."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(500):
        length = int(rng.integers(20, 61))
        state = np.cumsum(rng.random(length) < 0.08) % 2
        phase = np.cumsum(np.where(state == 1, 2.2, 0.5)) + rng.uniform(0, 6.3)
        signal = np.sin(phase) + 0.3 * rng.normal(size=length)
        names = np.where(state == 1, "fast", "slow")
        rows.append({"signal": signal.astype(np.float32), "state": names.tolist()})
    pd.DataFrame(rows).to_parquet(folder / "states.parquet")
    return DataOptions(str(folder / "states.parquet"), target=("state",))


def wine(folder: Path) -> DataOptions:
    """The cultivar and the alcohol of 178 wines, from twelve other measurements."""
    table = datasets.load_wine(as_frame=True).frame
    table["cultivar"] = table.pop("target").map({0: "a", 1: "b", 2: "c"})
    table.to_csv(folder / "wine.csv", index=False)
    return DataOptions(str(folder / "wine.csv"), target=("cultivar", "alcohol"))


EXAMPLES = {
    "regression": Example(diabetes, "r2", whole),
    "regression_with_categories": Example(flats, "r2", whole),
    "sequences": Example(shapes, "accuracy", summary),
    "multilabel": Example(tags, "f1_micro", whole),
    "sequence_labels": Example(states, "accuracy", window),
    "two_tasks": Example(wine, "mean_score", whole),
}


def run(example: Example, seed: int, trials: int, trainers: int) -> tuple[float, float, float, float]:
    """Search once; the winner's test score, those of a linear model and of a forest, and the search's seconds."""
    import msearch_core

    with tempfile.TemporaryDirectory() as folder:
        options = example.make(Path(folder))
        began = time.monotonic()
        found = msearch_core.search(
            options.data,
            target=list(options.target) or None,
            task=[f"{name}={task}" for name, task in options.task.items()] or None,
            log=f"{folder}/log",
            seed=seed,
            trials=trials,
            trainers=trainers,
            objective=example.score,
        )
        seconds = time.monotonic() - began
        data = open_prepared(prepare_cached(options, seed=seed))
        return found.winner.test[example.score], baseline(data, example), baseline(data, example, forest=True), seconds


def main() -> None:
    """Parse the options, run the searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(EXAMPLES), choices=list(EXAMPLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--trainers", type=int, default=2)
    options = parser.parse_args()
    print(f"{'problem':<28}{'score':<12}{'searched':>10}{'linear':>9}{'forest':>9}{'seconds':>9}   seeds")
    for name in options.problems:
        example = EXAMPLES[name]
        found = [run(example, seed, options.trials, options.trainers) for seed in options.seeds]
        searched, linear, forest, seconds = (statistics.mean(column) for column in zip(*found, strict=True))
        seeds = " ".join(f"{score:.3f}" for score, *_ in found)
        scores = f"{searched:>10.4f}{linear:>9.4f}{forest:>9.4f}"
        print(f"{name:<28}{example.score:<12}{scores}{seconds:>9.1f}   {seeds}", flush=True)


if __name__ == "__main__":
    main()
