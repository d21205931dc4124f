"""Start a child from what an earlier trial has learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msearch_core.space import SearchSpace
from msearch_core.training.channels import Provenance
from msearch_core.training.morphism import morph
from msearch_core.training.places import Parts, find_places


@dataclass(frozen=True)
class Inheritance:
    """Where a model's weights came from.

    Attributes:
        layers: by name of each layer that has weights.
        fraction: the share of the trainable parameters in layers that were copied or morphed.
        exact: whether the child begins by computing what its parent computes.
        extra: what else there is to say, for the row: ``averaged_fraction`` of the parent's weights that were the mean
            of several trials', ``optimizer_fraction`` of the child's weights whose optimizer state was inherited.
    """

    layers: dict[str, Provenance]
    fraction: float
    exact: bool
    extra: Mapping[str, float] = field(default_factory=dict)


def inherit(
    model: Any,
    space: SearchSpace,
    child: Parts,
    parent: Parts,
    weights: Mapping[str, np.ndarray],
    examples: np.ndarray,
    seed: int,
) -> Inheritance:
    """Give a child its parent's weights: morphed where that keeps the function, else by name and shape.

    Args:
        model: the child, freshly built by ``build_model``.
        space: where the blocks' names are looked up.
        child: the child's block names by part.
        parent: the parent's.
        weights: the parent's weights by variable path.
        examples: ``(batch, *input_shape)``, encoded train examples to calibrate inserted batch normalisations on.
        seed: of what is drawn.
    """
    places = find_places(space, child, parent, weights)
    layers, exact = morph(model, places, examples, np.random.default_rng(seed))
    sizes = {variable.path: math.prod(variable.shape) for variable in model.trainable_variables}
    given = sum(size for path, size in sizes.items() if layers.get(path.partition("/")[0], "fresh") != "fresh")
    return Inheritance(layers, given / sum(sizes.values()) if sizes else 0.0, exact)


def all_copied(model: Any) -> Inheritance:
    """A model that goes on with the very weights of another one."""
    return Inheritance({variable.path.partition("/")[0]: "copied" for variable in model.weights}, 1.0, exact=True)
