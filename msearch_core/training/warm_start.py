"""What a trial starts from: an earlier trial's weights, or several trials' mean, and what its optimizer knew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from msearch_core.space import SearchSpace
from msearch_core.training import checkpoints
from msearch_core.training.averaging import Source, average
from msearch_core.training.build import parts
from msearch_core.training.inherit import Inheritance, inherit
from msearch_core.training.spec import Parent, TrialSpec

CALIBRATION = 256
"""So many train examples show an inserted batch normalisation what passes through it."""


def warm_start(model: Any, space: SearchSpace, trial: TrialSpec, examples: np.ndarray) -> Inheritance | None:
    """Give a freshly built model the weights that its trial inherits.

    The mean of several trials takes the place of the first one's weights, so that all that holds for inheriting from
    a parent holds for it.

    Args:
        model: as ``build_model`` makes it.
        space: fitted to the problem.
        trial: whose weights are inherited, and how.
        examples: the encoded train split.

    Returns:
        Where each layer's weights came from; ``None`` if the trial inherits nothing.

    Raises:
        OSError: the weights are not there.
    """
    if trial.parent is None:
        return None
    weights, averaged = average([_source(space, each) for each in (trial.parent, *trial.others)])
    child, parent = parts(space, trial.architecture), parts(space, trial.parent.architecture)
    found = inherit(model, space, child, parent, weights, np.asarray(examples[:CALIBRATION]), trial.seed)
    return replace(found, averaged=averaged)


def _source(space: SearchSpace, parent: Parent) -> Source:
    blocks = parts(space, parent.architecture)[""]
    return Source(checkpoints.load(Path(parent.weights)), blocks, parent.share)
