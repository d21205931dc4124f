"""What an optimizer has learned of each weight, kept beside the weights and handed on to children.

The step count begins anew in every trial. Adam's own correction for moments that began at zero therefore makes the
first steps of weights with inherited moments smaller, by 0.15 at the least and 0.6 after 500 steps, while fresh weights
take full steps: inherited layers are warmed up again, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from msearch_core.space import SearchSpace
from msearch_core.training.channels import Provenance
from msearch_core.training.flat import VECTOR, sizes, split
from msearch_core.training.places import Parts, find_places

PREFIX = "optimizer/"
"""Begins the names of an optimizer's tensors in a file of weights."""
SLOTS = ("momentum", "velocity")


def slots_of(model: Any, optimizer: Any) -> dict[str, np.ndarray]:
    """An optimizer's moments by ``optimizer/<optimizer>/<slot>/<variable path>``, as they are after the last step.

    Args:
        model: as ``build_model`` makes it.
        optimizer: built for the model's `FlatWeights`.
    """
    variables = model.trainable_variables
    return {
        f"{_prefix(optimizer, slot)}{variable.path}": value
        for slot, vector in _vectors(optimizer).items()
        for variable, value in zip(variables, split(vector.value.numpy(), variables), strict=True)
    }


def inherit_slots(
    model: Any,
    optimizer: Any,
    space: SearchSpace,
    child: Parts,
    parent: Parts,
    tensors: Mapping[str, np.ndarray],
    layers: Mapping[str, Provenance],
) -> float:
    """Give the weights of copied layers the parent's moments; morphed and fresh ones begin at zero.

    Args:
        model: the child.
        optimizer: the child's; moments of another kind of optimizer are of no use to it.
        space: where the blocks' names are looked up.
        child: the child's block names by part.
        parent: the parent's.
        tensors: what `slots_of` said of the parent, perhaps among other tensors.
        layers: where each layer's weights came from.

    Returns:
        The share of the child's trainable weights whose moments were inherited.
    """
    given: set[str] = set()
    variables = model.trainable_variables
    for slot, vector in _vectors(optimizer).items():
        prefix = _prefix(optimizer, slot)
        own = {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
        places = find_places(space, child, parent, own)
        moments = vector.value.numpy().copy()
        for variable, moment in zip(variables, split(moments, variables), strict=True):
            layer, _, name = variable.path.partition("/")
            value = places(layer).parent.get(name)
            if layers.get(layer) == "copied" and value is not None and value.shape == moment.shape:
                moment[...] = value
                given.add(variable.path)
        vector.assign(moments)
    counts: dict[str, int] = dict(zip([variable.path for variable in variables], sizes(variables), strict=True))
    return sum(counts[path] for path in given) / max(1, sum(counts.values()))


def _prefix(optimizer: Any, slot: str) -> str:
    # Its own name has a number where a process has made several.
    return f"{PREFIX}{type(optimizer).__name__.lower()}/{slot}/"


def _vectors(optimizer: Any) -> dict[str, Any]:
    """An optimizer's variables by slot, each a vector like that of `FlatWeights`."""
    by_name = {variable.name: variable for variable in optimizer.variables}
    return {slot: by_name[name] for slot in SLOTS if (name := f"{VECTOR}_{slot}") in by_name}
