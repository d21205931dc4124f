"""Hyperparameters: what values one may have, how they are drawn, and which are near each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Value: TypeAlias = str | int | float | bool

STEP = 0.15
"""Standard deviation of a mutation, where the whole range is one."""


@dataclass(frozen=True)
class Choice:
    """A hyperparameter with a few allowed values, each as likely.

    Raises:
        ValueError: there are none, or a text stands where several values should.
    """

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        given: object = self.options  # whatever the annotation says
        if isinstance(given, str) or not given:
            raise ValueError(f"Choice({given!r}) has no options; expected a tuple such as ('adam', 'sgd')")

    def sample(self, rng: np.random.Generator) -> Value:
        """Draw one of the options."""
        return self.options[int(rng.integers(len(self.options)))]

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Draw one of the other options, if there are others."""
        others = [option for option in self.options if option != value]
        return others[int(rng.integers(len(others)))] if others else value

    def contains(self, value: Value) -> bool:
        """Whether the value is one of the options."""
        return value in self.options


@dataclass(frozen=True)
class Uniform:
    """A real hyperparameter between ``low`` and ``high``, uniform on a linear or logarithmic scale.

    Raises:
        ValueError: the bounds are reversed or no finite numbers, or not positive on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"Uniform({self.low}, {self.high}) is no range; expected low <= high, both finite")
        if self.log and self.low <= 0:
            raise ValueError(f"Uniform({self.low}, {self.high}, log=True) has no logarithm; expected low > 0")

    def sample(self, rng: np.random.Generator) -> Value:
        """Draw a value, rounded to four significant digits so that it reads well in a row."""
        return self.from_unit(float(rng.random()))

    def mutate(self, value: Value, rng: np.random.Generator) -> Value:
        """Draw a value nearby, within the bounds."""
        return self.from_unit(float(np.clip(self.to_unit(value) + STEP * rng.standard_normal(), 0.0, 1.0)))

    def contains(self, value: Value) -> bool:
        """Whether the value is a number within the bounds."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def from_unit(self, unit: float) -> float:
        """The value at a place between 0 (``low``) and 1 (``high``) of the scale, to four significant digits."""
        low, high = self._scale(self.low), self._scale(self.high)
        value = low + unit * (high - low)
        value = float(np.exp(value)) if self.log else value
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def to_unit(self, value: Value) -> float:
        """Where a value lies on the scale, between 0 (``low``) and 1 (``high``)."""
        low, high = self._scale(self.low), self._scale(self.high)
        return (self._scale(float(value)) - low) / (high - low) if high > low else 0.5

    def _scale(self, value: float) -> float:
        return float(np.log(value)) if self.log else value


Distribution: TypeAlias = Choice | Uniform
