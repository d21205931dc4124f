"""Small prepared data for the tests of training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import PreparedData, save
from msearch_core.data.problem import PADDED_CLASS, SPLITS, Problem, Split, Target

LABELS = ("down", "flat", "up")


def digits(folder: Path) -> Path:
    """Scikit-learn's digits as prepared data: 8 x 8 images."""
    return prepare_cached("digits", seed=0, cache=folder)


def line(folder: Path) -> Path:
    """A noisy linear function with a large offset, on disk."""
    save(linear(), folder / "line")
    return folder / "line"


def linear() -> PreparedData:
    """A noisy linear function with a large offset."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)).astype(np.float32)
    y = (1000 + 50 * x @ np.array([1.0, -2.0, 0.5]) + rng.normal(size=500)).astype(np.float32)
    return prepared(x, {"y": y}, Target("y", "regression", mean=float(y.mean()), scale=float(y.std())))


def two_tasks() -> PreparedData:
    """A class and a number from one vector."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6)).astype(np.float32)
    side = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
    size = (20 + 3 * x[:, 2] + rng.normal(size=600)).astype(np.float32)
    targets = (
        Target("side/of it", "classification", ("left", "right"), weight=2.0),
        Target("Größe", "regression", mean=float(size.mean()), scale=float(size.std())),
    )
    return prepared(x, {"side/of it": side, "Größe": size}, *targets)


def tags() -> PreparedData:
    """Any of three labels, each a linear function of a vector."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 3)) + rng.normal(size=3) > 0).astype(np.float32)
    return prepared(x, {"tags": y}, Target("tags", "multilabel", ("a", "b", "c")))


def sequences(time: int = 12, number: int = 600) -> PreparedData:
    """Whether a noisy sequence of 4 to 12 steps falls, stays or rises; padded to ``time`` steps."""
    x, _, slope = _walks(time, number)
    return prepared(x, {"trend": slope.astype(np.int32) + 1}, Target("trend", "classification", LABELS))


def steps(time: int = 12, number: int = 600) -> PreparedData:
    """Whether the sum so far is positive, at each step, and the sum itself."""
    x, lengths, _ = _walks(time, number)
    true = np.arange(time) < lengths[:, np.newaxis]
    total = np.cumsum(np.nan_to_num(x[:, :, 1]), axis=1)
    y = {
        "sign": np.where(true, total > 0, PADDED_CLASS).astype(np.int32),
        "sum": np.where(true, total, np.nan).astype(np.float32),
    }
    targets = (
        Target("sign", "classification", ("minus", "plus"), per_step=True),
        Target("sum", "regression", per_step=True, scale=float(np.nanstd(y["sum"]))),
    )
    return prepared(x, y, *targets)


def one_target(data: PreparedData, name: str) -> PreparedData:
    """The same data with one of its targets."""
    target = next(each for each in data.problem.targets if each.name == name)
    splits = {side: Split(split.x, {name: split.y[name]}, split.weight) for side, split in data.splits.items()}
    problem = Problem(data.problem.input, data.problem.input_shape, data.problem.preprocessing, (target,))
    return PreparedData(problem, splits, {}, name)


def prepared(
    x: np.ndarray, y: Mapping[str, np.ndarray], *targets: Target, weight: np.ndarray | None = None
) -> PreparedData:
    """Three splits of encoded examples, every third example in each."""
    kind = {2: "vector", 3: "sequence", 4: "image"}[x.ndim]
    spec: dict[str, Any] = {"kind": {"vector": "table"}.get(kind, kind)}
    if kind != "image":
        number = {"kind": "number", "mean": 0.0, "deviation": 1.0, "indicator": False}
        spec["columns"] = [{"name": f"x{each}", "input": f"input_x{each}", **number} for each in range(x.shape[-1])]
        spec["time"] = x.shape[1]
    else:
        spec |= {"mean": [float(x.mean())], "variance": [float(x.var())], "dtype": str(x.dtype)}
    splits = {
        side: Split(
            np.ascontiguousarray(x[start::3]),
            {name: np.ascontiguousarray(values[start::3]) for name, values in y.items()},
            None if weight is None else np.ascontiguousarray(weight[start::3]),
        )
        for start, side in enumerate(SPLITS)
    }
    return PreparedData(Problem(kind, x.shape[1:], spec, targets), splits, {}, "made up")


def _walks(time: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 13, number)
    slope = rng.integers(-1, 2, number)
    noise = rng.normal(size=(number, 12, 2))
    x = np.full((number, time, 2), np.nan, np.float32)
    x[:, :12] = noise + np.stack([slope[:, np.newaxis] * np.linspace(-2, 2, 12), 0 * noise[:, :, 1]], axis=-1)
    x[np.arange(time) >= lengths[:, np.newaxis]] = np.nan
    return x, lengths, slope
