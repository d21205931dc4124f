"""Small prepared data for the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import PreparedData, save
from msearch_core.data.problem import SPLITS, Problem, Split


def digits(folder: Path) -> Path:
    """Scikit-learn's digits as prepared data: 8 x 8 images."""
    return prepare_cached("digits", seed=0, cache=folder)


def line(folder: Path) -> Path:
    """A noisy linear function with a large offset as prepared data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)).astype(np.float32)
    y = (1000 + 50 * x @ np.array([1.0, -2.0, 0.5]) + rng.normal(size=500)).astype(np.float32)
    problem = Problem("regression", "vector", (3,), (), {"kind": "table"}, None, float(y.mean()), float(y.std()))
    splits = {split: Split(x[start::5], y[start::5]) for start, split in enumerate(SPLITS)}
    save(PreparedData(problem, splits, {}, "line"), folder / "line")
    return folder / "line"
