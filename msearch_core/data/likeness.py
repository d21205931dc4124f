"""Whether a model that was trained on other data can be asked about this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from msearch_core.data.audio import Clips
from msearch_core.data.examples import Inputs
from msearch_core.data.images import Pictures
from msearch_core.data.preprocessing import input_shape
from msearch_core.data.problem import Problem, Target
from msearch_core.data.sequences import Sequences
from msearch_core.data.tables import missing_columns
from msearch_core.errors import UserError


def known_targets(known: Problem, found: Sequence[Target]) -> tuple[Target, ...]:
    """The targets as a model knows them, with the weights that they and their classes have now.

    Args:
        known: the problem that the model was trained on.
        found: the targets of the data at hand.

    Raises:
        UserError: they are others, or mean something else.
    """
    old, new = ([target.name for target in targets] for targets in (known.targets, found))
    if old != new:
        raise UserError(f"the targets are {', '.join(new)}, and the model knows {', '.join(old)}")
    return tuple(_known(*pair) for pair in zip(known.targets, found, strict=True))


def check_inputs(known: Problem, inputs: Inputs) -> None:
    """Refuse inputs of another kind or shape than a model takes, or such that lack columns.

    Raises:
        UserError: they are.
    """
    spec, kind = known.preprocessing, _kind(inputs)
    if kind != spec["kind"]:
        raise UserError(f"the inputs are of the kind {kind}, and the model takes {spec['kind']}")
    if kind != "image":
        if isinstance(inputs, pd.DataFrame | Sequences):
            columns = inputs.columns if isinstance(inputs, pd.DataFrame) else inputs.steps.columns
            wanted = [each["name"] for each in spec["columns"]]
            missing_columns(wanted, columns, "the data", "put it back, or search without it in another --log")
        if isinstance(inputs, Clips) and inputs.rate != (rate := spec["sample_rate"]):
            raise UserError(f"the sounds have {inputs.rate} samples a second, and the model takes {rate}")
        return
    shape = input_shape(spec, inputs)
    if shape != known.input_shape:
        raise UserError(f"the images are of the shape {shape}, and the model takes {known.input_shape}")
    if isinstance(inputs, np.ndarray | Pictures) and str(inputs.dtype) != spec["dtype"]:
        raise UserError(f"the images hold {inputs.dtype}, and the model takes {spec['dtype']}")


def _known(old: Target, new: Target) -> Target:
    if (old.task, old.per_step) != (new.task, new.per_step):
        raise UserError(f"{old.name!r} is a {new.task} now, and the model knows it as a {old.task}")
    if old.labels != new.labels:
        both = {"new": sorted(set(new.labels) - set(old.labels)), "gone": sorted(set(old.labels) - set(new.labels))}
        differing = [f"{label!r} is {what}" for what, labels in both.items() for label in labels[:3]]
        raise UserError(f"the classes are no longer those that the model knows: {', '.join(differing)}")
    return replace(old, weight=new.weight, class_weights=new.class_weights)


def _kind(inputs: Inputs) -> str:
    if isinstance(inputs, pd.DataFrame):
        return "table"
    if isinstance(inputs, Sequences):
        return "sequence"
    return "audio" if isinstance(inputs, Clips) else "image"
