"""Which blocks help: what each adds to the score, and how sure one may be."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from msearch_core.report.scores import is_maximised, listed, scored

MIN_TRIALS = 20
TRIALS_PER_FEATURE = 2
MIN_PRESENT = 3
MAX_TRIALS = 5_000
RESAMPLES = 200
PENALTY = 1.0
DEPTH = "one more block"


def family(block: str) -> str:
    """The block's name without its parameters."""
    return block.partition("(")[0]


def block_effects(frame: pd.DataFrame, *, by_family: bool = False, seed: int = 0) -> pd.DataFrame | None:
    """The change of the score that goes with each block, and with one block more, the others held equal.

    Ensembles are left out: their scores are those of several architectures.

    A ridge regression of the score on which blocks are there and how many there are, with bootstrap intervals over
    trials. It tells what went together in this search, which need not be a cause: the search itself chose the trials.

    Args:
        frame: trials of one run.
        by_family: whether blocks that differ in their parameters alone are one.
        seed: of the resampling.

    Returns:
        One row an effect, best first: ``block``, ``effect`` in units of the objective, the 95 % interval ``low`` to
        ``high``, and ``trials``, the number with that block. ``None`` where there are too few trials to tell.
    """
    used = of_one_architecture(scored(frame))
    if len(used) > MAX_TRIALS:
        used = used.sample(MAX_TRIALS, random_state=seed)
    present = [
        {family(block) if by_family else block for block in map(str, listed(each))} for each in used["architecture"]
    ]
    depth = np.array([len(listed(each)) for each in used["architecture"]], float)
    names = _common(present)
    if len(used) < max(MIN_TRIALS, TRIALS_PER_FEATURE * (len(names) + 1)) or not names:
        return None
    features = np.column_stack([[name in each for each in present] for name in names]).astype(float)
    columns, labels = (np.column_stack([features, depth]), [*names, DEPTH]) if np.ptp(depth) else (features, names)
    score = used["objective"].to_numpy(float)
    effects = _fit(columns, score, np.ones(len(score)))
    rng = np.random.default_rng(seed)
    draws = [
        _fit(columns, score, rng.multinomial(len(score), np.full(len(score), 1 / len(score))).astype(float))
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    counts = [*features.sum(axis=0).astype(int), len(used)][: len(labels)]
    table = pd.DataFrame({"block": labels, "effect": effects, "low": low, "high": high, "trials": counts})
    return table.sort_values("effect", ascending=not is_maximised(frame), kind="stable").reset_index(drop=True)


def of_one_architecture(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials whose score is that of their own blocks: no ensembles."""
    has_blocks = frame["architecture"].map(lambda blocks: len(listed(blocks)) > 0)
    return frame[has_blocks.astype(bool) & (frame["kind"] != "ensemble")]


def _common(present: Iterable[set[str]]) -> list[str]:
    """The blocks that enough trials have and enough lack."""
    sets = list(present)
    counts = {name: sum(name in each for each in sets) for name in set().union(*sets)}
    return sorted(name for name, count in counts.items() if MIN_PRESENT <= count <= len(sets) - MIN_PRESENT)


def _fit(features: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ridge regression with a free intercept, in closed form: scikit-learn's takes seconds to import."""
    centred = features - np.average(features, axis=0, weights=weights)
    products = (centred * weights[:, None]).T
    gram = products @ centred + PENALTY * np.eye(features.shape[1])
    return np.linalg.solve(gram, products @ (score - np.average(score, weights=weights)))
