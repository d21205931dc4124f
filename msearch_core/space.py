"""What may be searched: blocks, architectures made of them, hyperparameters, and what makes an architecture valid.

Plain Python: listing a space or drawing from it needs neither TensorFlow nor Prefect. A block holds a function that
composes Keras layers; Keras is imported only when that function is called.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import itertools
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Value: TypeAlias = str | int | float | bool
Architecture: TypeAlias = tuple[str, ...]

VECTOR = "vector"
IMAGE = "image"
SEQUENCE = "sequence"


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

    @property
    def stride(self) -> int:
        """By how much the block divides height and width; 1 if it keeps them."""
        return int(self.parameters.get("stride", 1))

    def build(self, inputs: Any, name: str) -> Any:
        """Apply the block to a Keras tensor.

        Args:
            inputs: a ``KerasTensor`` of the kind that the family takes: ``(batch, features)`` for a vector,
                ``(batch, height, width, channels)`` for an image.
            name: the prefix of every layer name that the block makes.

        Returns:
            A ``KerasTensor`` of the kind that the family gives.
        """
        return self.family.function(inputs, name, **self.parameters)


@dataclass(frozen=True)
class BlockFamily:
    """A block function whose parameters are still open. Calling it fixes them and gives a ``Block``.

    Attributes:
        function: ``function(inputs, name, **parameters) -> outputs`` on Keras tensors.
        takes: the kind of tensor the block needs, ``"vector"`` or ``"image"``.
        gives: the kind of tensor it returns.
    """

    function: Callable[..., Any]
    takes: str
    gives: str

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
        inspect.signature(self.function).bind(None, "", **parameters)
        return Block(self, parameters)

    def variants(self, **choices: Iterable[Value]) -> list[Block]:
        """Every combination of the given parameter choices, as blocks."""
        return [
            self(**dict(zip(choices, values, strict=True)))
            for values in itertools.product(*map(tuple, choices.values()))
        ]


def block(takes: str = VECTOR, gives: str | None = None) -> Callable[[Callable[..., Any]], BlockFamily]:
    """Turn a function that composes Keras layers into a block family.

    Args:
        takes: the kind of tensor the function needs, ``"vector"`` or ``"image"``.
        gives: the kind it returns; the same as it takes unless said otherwise.
    """
    return lambda function: BlockFamily(function, takes, gives or takes)


@dataclass(frozen=True)
class Choice:
    """A hyperparameter with a few allowed values, each as likely."""

    options: tuple[Value, ...]

    def sample(self, rng: np.random.Generator) -> Value:
        """Draw one of the options."""
        return self.options[int(rng.integers(len(self.options)))]

    def contains(self, value: Value) -> bool:
        """Whether the value is one of the options."""
        return value in self.options


@dataclass(frozen=True)
class Uniform:
    """A real hyperparameter between ``low`` and ``high``, uniform on a linear or logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def sample(self, rng: np.random.Generator) -> Value:
        """Draw a value, rounded to four significant digits so that it reads well in a row."""
        if self.log:
            value = float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        else:
            value = float(rng.uniform(self.low, self.high))
        return float(f"{value:.4g}")

    def contains(self, value: Value) -> bool:
        """Whether the value is a number within the bounds."""
        return isinstance(value, int | float) and self.low <= value <= self.high


Distribution: TypeAlias = Choice | Uniform


@dataclass(frozen=True)
class Proposal:
    """What to try next: the output of an algorithm and the input of a trial.

    Attributes:
        architecture: names of blocks, from input to output.
        hyperparameters: by name; how the architecture is trained.
        kind: ``seed`` for a suggestion, ``search`` for an algorithm's own proposal.
        parents: uids of the trials it descends from; weights are inherited from the first.
        mutation: how it differs from its parent, for a person to read.
        algorithm: the name of the algorithm that made it.
    """

    architecture: Architecture
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    kind: str = "search"
    parents: tuple[str, ...] = ()
    mutation: Mapping[str, Any] | None = None
    algorithm: str | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Proposal:
        """The proposal back from ``dataclasses.asdict`` by way of JSON."""
        lists = {name: tuple(record.get(name) or ()) for name in ("architecture", "parents")}
        return cls(**{**record, **lists})

    @cached_property
    def key(self) -> str:
        """A hash of what is tried; two proposals with one key would be the same trial."""
        return _digest([self.kind, self.architecture, dict(sorted(self.hyperparameters.items())), self.parents])


def architecture_hash(architecture: Sequence[str]) -> str:
    """Sixteen hexadecimal digits that name an architecture."""
    return _digest(list(architecture))


@dataclass(frozen=True)
class SearchSpace:
    """The blocks and hyperparameters that may be combined, and the rules for combining them.

    An architecture is valid when its blocks are known, its depth is within bounds, each block takes the kind of
    tensor that the block before it gives, the last one gives ``output``, and no block shrinks an image below two
    pixels a side.

    Attributes:
        name: what the user calls the space.
        blocks: the blocks to choose from.
        hyperparameters: distributions by name. The trainer understands ``optimizer`` (adam, adamw, sgd, rmsprop),
            ``learning_rate``, ``decay`` (none, cosine), ``dropout`` (rate), ``l2`` (factor), ``clip_norm``.
        input: the kind of tensor that the data gives.
        output: the kind of tensor that the head needs.
        min_depth: the least number of blocks.
        max_depth: the greatest number of blocks.
        suggestions: architectures worth trying first.
        input_shape: the data's shape without the batch, once known: ``(features,)``, ``(height, width, channels)`` or
            ``(time, features)``.
        heads: the names of the targets, where there are several.
    """

    name: str
    blocks: tuple[Block, ...]
    hyperparameters: Mapping[str, Distribution]
    input: str = VECTOR
    output: str = VECTOR
    min_depth: int = 1
    max_depth: int = 5
    suggestions: tuple[Architecture, ...] = ()
    input_shape: tuple[int, ...] | None = None
    heads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.by_name) != len(self.blocks):
            raise ValueError(f"the space {self.name!r} holds the same block twice")
        if not self.depths:
            raise ValueError(f"the space {self.name!r} holds no valid architecture")

    @cached_property
    def by_name(self) -> Mapping[str, Block]:
        """The blocks by the name they have in an architecture."""
        return {block.name: block for block in self.blocks}

    def for_input(self, shape: Sequence[int]) -> SearchSpace:
        """The same space for data of this shape, without the batch."""
        return replace(self, input_shape=tuple(shape))

    def resolve(self, architecture: Sequence[str]) -> list[Block]:
        """The blocks of an architecture.

        Raises:
            KeyError: a name is not in the space.
        """
        return [self.by_name[name] for name in architecture]

    def why_invalid(self, architecture: Sequence[str]) -> str | None:
        """Say what is wrong with an architecture, or ``None`` if it is valid."""
        for name in architecture:
            if name not in self.by_name:
                return f"{name!r} is not a block of the space {self.name!r}"
        if not self.min_depth <= len(architecture) <= self.max_depth:
            return f"{len(architecture)} blocks, where {self.min_depth} to {self.max_depth} are allowed"
        kind, side = self.input, self._side
        for item in self.resolve(architecture):
            if not self._fits(item, kind, side):
                return f"{item.name} cannot follow on {kind} data" + (f" of {side} pixels" if kind == IMAGE else "")
            kind, side = item.family.gives, -(-side // item.stride)
        return None if kind == self.output else f"ends in {kind}, not in {self.output}"

    def is_valid(self, architecture: Sequence[str]) -> bool:
        """Whether the architecture may be built."""
        return self.why_invalid(architecture) is None

    def replacements(self, architecture: Sequence[str], position: int) -> list[Architecture]:
        """Every valid architecture that differs from this one in the block at ``position`` alone."""
        before, after = tuple(architecture[:position]), tuple(architecture[position + 1 :])
        candidates = ((*before, name, *after) for name in self.by_name if name != architecture[position])
        return [candidate for candidate in candidates if self.is_valid(candidate)]

    def insertions(self, architecture: Sequence[str], position: int) -> list[Architecture]:
        """Every valid architecture with one more block, put in before ``position``."""
        before, after = tuple(architecture[:position]), tuple(architecture[position:])
        candidates = ((*before, name, *after) for name in self.by_name)
        return [candidate for candidate in candidates if self.is_valid(candidate)]

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The numbers of blocks with which there is a valid architecture."""
        allowed = range(self.min_depth, self.max_depth + 1)
        return tuple(depth for depth in allowed if self._can_end(self.input, self._side, depth))

    def random_architecture(self, rng: np.random.Generator) -> Architecture:
        """Draw a valid architecture of uniformly random depth."""
        return self._walk(rng, self.depths[int(rng.integers(len(self.depths)))])

    def random_hyperparameters(self, rng: np.random.Generator) -> dict[str, Value]:
        """Draw a value for each hyperparameter."""
        return {name: distribution.sample(rng) for name, distribution in self.hyperparameters.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what an architecture of this space means, block code included."""
        return _digest(
            [
                self.name,
                [(item.name, _source(item.family.function)) for item in self.blocks],
                {name: repr(distribution) for name, distribution in sorted(self.hyperparameters.items())},
                [self.input, self.output, self.min_depth, self.max_depth, self.suggestions],
            ]
        )

    @cached_property
    def _side(self) -> int:
        """The image's shorter side; without a shape, so large that no stride matters."""
        return min(self.input_shape[:2]) if self.input_shape and self.input == IMAGE else 1 << 30

    @staticmethod
    def _fits(item: Block, kind: str, side: int) -> bool:
        return item.family.takes == kind and (item.stride == 1 or side >= 2 * item.stride)

    @cached_property
    def _reachable(self) -> dict[tuple[str, int, int], bool]:
        return {}

    def _can_end(self, kind: str, side: int, depth: int) -> bool:
        """Whether ``depth`` more blocks can lead from this kind of tensor to ``output``."""
        if depth == 0:
            return kind == self.output
        found = self._reachable.get((kind, side, depth))
        if found is None:
            found = any(
                self._can_end(item.family.gives, -(-side // item.stride), depth - 1)
                for item in self.blocks
                if self._fits(item, kind, side)
            )
            self._reachable[kind, side, depth] = found
        return found

    def _walk(self, rng: np.random.Generator, depth: int) -> Architecture:
        """Choose each block among those after which ``output`` can still be reached."""
        chosen: list[str] = []
        kind, side = self.input, self._side
        for remaining in range(depth - 1, -1, -1):
            candidates = [
                item
                for item in self.blocks
                if self._fits(item, kind, side) and self._can_end(item.family.gives, -(-side // item.stride), remaining)
            ]
            item = candidates[int(rng.integers(len(candidates)))]
            kind, side = item.family.gives, -(-side // item.stride)
            chosen.append(item.name)
        return tuple(chosen)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _source(function: Callable[..., Any]) -> list[str]:
    """The code of a function, and the functions and constants of its own package that it uses.

    Comments, docstrings and layout are left out, so that only a change of meaning changes it.
    """
    package = function.__module__.partition(".")[0]
    waiting, seen, sources = [function], {function}, set()
    while waiting:
        each = waiting.pop()
        sources.add(_without_layout(inspect.getsource(each)))
        for name in each.__code__.co_names:
            used = each.__globals__.get(name)
            if isinstance(used, str | int | float | tuple):
                sources.add(f"{name} = {used!r}")
            elif inspect.isfunction(used) and used.__module__.partition(".")[0] == package and used not in seen:
                seen.add(used)
                waiting.append(used)
    return sorted(sources)


def _without_layout(source: str) -> str:
    tree = ast.parse(textwrap.dedent(source))
    definition = tree.body[0]
    if isinstance(definition, ast.FunctionDef) and ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    return ast.unparse(tree)
