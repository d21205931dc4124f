"""The average of what several trials have learned, tensor by tensor. Needs NumPy only.

Two networks that were trained apart have no tensors in common but their names: the channels of one are those of the
other in another order, and the mean of both is neither (Entezari et al., ICLR 2022). Networks that were trained on
from the same weights can be averaged (model soups: Wortsman et al., ICML 2022). So a tensor counts only where the
blocks before it are the same, and where its block's kernels still point the same way as the first trial's; weights
that stem from different beginnings are at right angles.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

ALIKE = 0.5
"""The least cosine of two kernels that are taken for the same features."""

_BLOCK = re.compile(r"b(?P<position>\d+)_")


@dataclass(frozen=True)
class Source:
    """A trial whose weights are averaged.

    Attributes:
        weights: by variable path.
        blocks: the names of the tower's blocks (`msearch_core.training.build.parts`).
        share: how much it counts; shares that do not sum to one are scaled.
    """

    weights: Mapping[str, np.ndarray]
    blocks: Sequence[str]
    share: float


def average(sources: Sequence[Source]) -> tuple[dict[str, np.ndarray], float]:
    """The weighted mean of several trials' weights, in the form of the first one's.

    Every tensor is the mean over those sources in which it means the same, by their shares, which are scaled to sum to
    one for each tensor: no weight shrinks, however few take part. Batch-norm statistics are averaged like the rest;
    the mean of variances leaves out how far apart the means are, which the first training steps make up for.

    Args:
        sources: at least one; the first counts everywhere.

    Returns:
        The weights by variable path, and the share of the numbers in them that come from more than one source.
    """
    first, *others = sources
    depths = [_alike_until(first, other) for other in others]
    mean: dict[str, np.ndarray] = {}
    shared = 0
    for path, own in first.weights.items():
        stage = _stage(path, first)
        taking = [first, *(other for other, depth in zip(others, depths, strict=True) if depth > stage)]
        shares = np.array([each.share for each in taking], np.float64)
        shares = shares / shares.sum() if shares.sum() > 0 else np.full(len(taking), 1 / len(taking))
        if len(taking) == 1 or not np.issubdtype(own.dtype, np.floating):
            mean[path] = own
            continue
        shared += own.size
        stacked = np.stack([np.asarray(each.weights[path], np.float64) for each in taking])
        mean[path] = np.tensordot(shares, stacked, axes=1).astype(own.dtype)
    return mean, shared / max(1, sum(each.size for each in first.weights.values()))


def _stage(path: str, source: Source) -> int:
    """The position of the block that a tensor belongs to; heads come after the last."""
    found = _BLOCK.match(path)
    return int(found["position"]) if found else len(source.blocks)


def _alike_until(first: Source, other: Source) -> int:
    """So many stages from the input on mean the same in both, the heads being the last one."""
    stages = [_by_stage(each) for each in (first, other)]
    equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first.blocks, other.blocks, strict=False)))
    whole = equal == len(first.blocks) == len(other.blocks)
    reach = range(equal + 1 if whole else equal)
    return sum(1 for _ in takewhile(lambda stage: _are_alike(stages[0][stage], stages[1][stage]), reach))


def _by_stage(source: Source) -> Mapping[int, dict[str, np.ndarray]]:
    stages: defaultdict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for path, values in source.weights.items():
        stages[_stage(path, source)][path] = values
    return stages


def _are_alike(first: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    """Whether two blocks have the same tensors and their kernels point the same way."""
    if {path: each.shape for path, each in first.items()} != {path: each.shape for path, each in other.items()}:
        return False
    kernels = [path for path in first if path.endswith("kernel")]
    if not kernels:
        return True
    one, two = (np.concatenate([each[path].ravel().astype(np.float64) for path in kernels]) for each in (first, other))
    return bool(one @ two >= ALIKE * np.linalg.norm(one) * np.linalg.norm(two))
