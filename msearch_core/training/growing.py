"""A tower that is trained together with what was found before it, which stays as it is.

What the frozen models say of each example is computed once, in logits, and travels with the targets. The tower learns
what to add: ``logits = frozen weight * frozen + tower weight * tower``. In a *residual* ensemble both weights are one
and the tower's last layer begins at zero, so that it learns what the others leave over (gradient boosting: Friedman
2001); in an *adaptive* one the weights are learned with the tower, beginning as the mean of all members (AdaNet:
Cortes et al., ICML 2017). Frozen logits are those of the plain examples, also where the tower sees augmented ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from msearch_core.data.problem import Problem, Split
from msearch_core.space import SearchSpace
from msearch_core.training import checkpoints
from msearch_core.training.build import HEAD
from msearch_core.training.ensemble import add_up, load_members
from msearch_core.training.loop import Outputs, as_outputs, make_predict
from msearch_core.training.losses import Loss, make_loss
from msearch_core.training.spec import Base

FROZEN = "frozen logits of "
"""Precedes a target's name in the key of what the frozen models say of it."""


class GrowingModel(keras.Model):  # type: ignore[misc]
    """A tower in training, with the weights of the sum that it is part of.

    It serves the training loop only: what is kept is the tower and two numbers, from which `build_ensemble` makes a
    model of Keras' own layers.

    Args:
        tower: as ``build_model`` makes it.
        problem: the targets.
        mixture: by what the frozen logits and the tower's are multiplied at first.
        learned: whether training changes that.

    Attributes:
        mixture: the same as a variable, ``float32 (2,)``.
    """

    def __init__(self, tower: Any, problem: Problem, mixture: tuple[float, float], learned: bool) -> None:
        super().__init__(name="growing")
        self.tower = tower
        self._problem = problem
        self.mixture = self.add_weight(shape=(2,), initializer="ones", trainable=learned, name="mixture")
        self.mixture.assign(mixture)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """What the tower says, without the frozen models."""
        return self.tower(inputs, training=training)

    def together(self, frozen: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The sum of frozen and own logits, by target."""
        mixture = [self.mixture.value[0], self.mixture.value[1]]
        return {
            target.name: add_up([frozen[target.name], outputs[target.name]], mixture, target)
            for target in self._problem.targets
        }


@dataclass(frozen=True)
class Growth:
    """A tower and all that its training needs besides.

    Attributes:
        model: what is trained.
        train: the train split with the frozen logits beside its targets.
        loss: of the sum of logits.
        predict: says what frozen models and tower say together of the validation split's ``x``.
        base: the frozen models and how the tower grows beside them.
    """

    model: GrowingModel
    train: Split
    loss: Loss
    predict: Callable[[np.ndarray], Outputs]
    base: Base

    def begin(self) -> None:
        """What comes last before training, after the tower has inherited: a residual tower begins by adding nothing."""
        if self.base.growth == "residual":
            for layer in self.model.tower.layers:
                if layer.name.startswith(HEAD):
                    layer.set_weights([np.zeros(each.shape, np.float32) for each in layer.weights])

    @property
    def mixture(self) -> tuple[float, float]:
        """By what the frozen logits and the tower's are multiplied."""
        frozen, own = self.model.mixture.value.numpy().tolist()
        return frozen, own


def grow(
    base: Base,
    tower: Any,
    problem: Problem,
    space: SearchSpace,
    splits: Mapping[str, Split],
    label_smoothing: float = 0.0,
) -> Growth:
    """Let a tower grow beside frozen models.

    Args:
        base: the frozen models.
        tower: as ``build_model`` makes it.
        problem: the targets.
        space: fitted to the problem.
        splits: ``train``, what is learned from, and ``validation``, what is evaluated on.
        label_smoothing: as in `make_loss`.

    Raises:
        OSError: the weights of a frozen model are not there.
    """
    frozen = frozen_logits(base, problem, space, splits)
    count = len(base.members)
    adaptive = base.growth == "adaptive"
    model = GrowingModel(tower, problem, (count / (count + 1), 1 / (count + 1)) if adaptive else (1.0, 1.0), adaptive)
    labels = make_loss(problem, label_smoothing)
    train = splits["train"]
    beside = {f"{FROZEN}{name}": each for name, each in frozen["train"].items()}
    alone = make_predict(tower, problem, train.x.dtype, logits=True)

    def loss(y: Mapping[str, Any], outputs: Mapping[str, Any], weight: Any) -> Any:
        said = {target.name: y[f"{FROZEN}{target.name}"] for target in problem.targets}
        return labels(y, model.together(said, outputs), weight)

    def predict(x: np.ndarray) -> Outputs:
        together = as_outputs(problem, model.together(frozen["validation"], alone(x)))
        return {name: each.numpy() for name, each in together.items()}

    return Growth(model, dataclasses.replace(train, y={**train.y, **beside}), loss, predict, base)


def frozen_logits(base: Base, problem: Problem, space: SearchSpace, splits: Mapping[str, Split]) -> dict[str, Outputs]:
    """What frozen models say of each split, by target in logits, computed once and kept in a file.

    Raises:
        OSError: a model's weights are not there.
    """

    def compute() -> dict[str, np.ndarray]:
        model = load_members(problem, space, base.members)
        said = make_predict(model, problem, splits["train"].x.dtype, logits=True)
        return {f"{side}/{name}": each for side, split in splits.items() for name, each in said(split.x).items()}

    kept = checkpoints.load_or_make(Path(base.outputs), compute)
    return {
        side: {target.name: kept[f"{side}/{target.name}"] for target in problem.targets}
        for side in ("train", "validation")
    }
