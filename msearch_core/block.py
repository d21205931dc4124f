"""Blocks: functions that compose Keras layers, with their parameters fixed.

Plain Python: Keras is imported only when such a function is called.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from msearch_core.distributions import Value

VECTOR = "vector"
IMAGE = "image"
SEQUENCE = "sequence"

Morph: TypeAlias = Literal["exact", "zero_residual", "beside", "none"]


@dataclass(frozen=True)
class Block:
    """One building block with its parameters fixed.

    Attributes:
        family: the function and shape kinds that this block shares with its siblings.
        parameters: the keyword arguments of the family's function.
    """

    family: BlockFamily
    parameters: Mapping[str, Value]

    @cached_property
    def name(self) -> str:
        """The block as it stands in an architecture, for example ``dense(units=64)``."""
        return f"{self.family.name}({','.join(f'{key}={value}' for key, value in self.parameters.items())})"

    @cached_property
    def stride(self) -> int:
        """By how much the block divides height and width, or the time steps; 1 if it keeps them."""
        own = inspect.signature(self.family.function).parameters.get("stride")
        return int(self.parameters.get("stride", own.default if own else 1))

    def build(self, inputs: Any, name: str) -> Any:
        """Apply the block to a Keras tensor.

        Args:
            inputs: a tensor of the kind that the family takes: a ``KerasTensor`` ``(batch, features)`` for a vector or
                ``(batch, height, width, channels)`` for an image, a ``Masked`` for a sequence.
            name: the prefix of every layer name that the block makes.

        Returns:
            A tensor of the kind that the family gives.
        """
        return self.family.function(inputs, name, **self.parameters)


@dataclass(frozen=True)
class BlockFamily:
    """A block function whose parameters are still open. Calling it fixes them and gives a ``Block``.

    Attributes:
        function: ``function(inputs, name, **parameters) -> outputs`` on Keras tensors.
        takes: the kind of tensor the block needs, ``"vector"``, ``"image"`` or ``"sequence"``.
        gives: the kind of tensor it returns.
        morph: how a new block of the family can leave a trained model as it was. ``"exact"``: with the input's width
            its weights can be set to compute the identity on what is not negative. ``"zero_residual"``: so it does
            once the weights of the layers whose names go on with ``project`` are zero. ``"beside"``: it only puts
            features of its own beside its input. ``"none"``: it cannot.
    """

    function: Callable[..., Any]
    takes: str
    gives: str
    morph: Morph = "none"

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def __call__(self, **parameters: Value) -> Block:
        """Fix the parameters.

        Raises:
            TypeError: a parameter is missing or unknown to the function.
        """
        try:
            inspect.signature(self.function).bind(None, "", **parameters)
        except TypeError as error:
            raise TypeError(f"the block {self.name}: {error}") from None
        return Block(self, parameters)

    def variants(self, **choices: Iterable[Value]) -> list[Block]:
        """Every combination of the given parameter choices, as blocks."""
        return [
            self(**dict(zip(choices, values, strict=True)))
            for values in itertools.product(*map(tuple, choices.values()))
        ]


def block(
    takes: str = VECTOR, gives: str | None = None, morph: Morph = "none"
) -> Callable[[Callable[..., Any]], BlockFamily]:
    """Turn a function that composes Keras layers into a block family.

    Args:
        takes: the kind of tensor the function needs, ``"vector"``, ``"image"`` or ``"sequence"``.
        gives: the kind it returns; the same as it takes unless said otherwise.
        morph: how it can be put into a trained model, ``"exact"``, ``"zero_residual"``, ``"beside"`` or ``"none"``.
    """
    return lambda function: BlockFamily(function, takes, gives or takes, morph)
