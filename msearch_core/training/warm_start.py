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
from msearch_core.training.slots import PREFIX, inherit_slots
from msearch_core.training.spec import Parent, TrialSpec

CALIBRATION = 256
"""So many train examples show an inserted batch normalisation what passes through it."""


def warm_start(
    model: Any, optimizer: Any, space: SearchSpace, trial: TrialSpec, examples: np.ndarray
) -> tuple[Inheritance | None, list[str]]:
    """Give a freshly built model the weights that its trial inherits, and its optimizer what it inherits of them.

    The mean of several trials takes the place of the first one's weights, so that all that holds for inheriting from
    a parent holds for it. An optimizer's state is the first one's.

    Args:
        model: as ``build_model`` makes it.
        optimizer: built for the model.
        space: fitted to the problem.
        trial: whose weights are inherited, and how.
        examples: the encoded train split.

    Returns:
        Where each layer's weights came from, ``None`` if the trial inherits nothing; and what could not be read, so
        that the trial begins from nothing.
    """
    if trial.parent is None:
        return None, []
    try:
        sources = [_source(space, each) for each in (trial.parent, *trial.others)]
    except checkpoints.UnreadableError as error:
        return None, [f"the weights of its parent were not inherited: {error}"]
    weights, averaged = average(sources)
    child, parent = parts(space, trial.architecture), parts(space, trial.parent.architecture)
    found = inherit(model, space, child, parent, weights, np.asarray(examples[:CALIBRATION]), trial.seed)
    extra = {"averaged_fraction": averaged} if trial.others else {}
    if trial.optimizer_state == "inherit":
        tensors = checkpoints.load(Path(trial.parent.weights))
        given = inherit_slots(model, optimizer, space, child, parent, tensors, found.layers)
        extra["optimizer_fraction"] = given
    return replace(found, extra=extra), []


def _source(space: SearchSpace, parent: Parent) -> Source:
    tensors = checkpoints.load(Path(parent.weights))
    weights = {path: each for path, each in tensors.items() if not path.startswith(PREFIX)}
    return Source(weights, parts(space, parent.architecture)[""], parent.share)
