"""What may be searched: architectures made of blocks, hyperparameters, and what makes an architecture valid.

Plain Python: listing a space or drawing from it needs neither TensorFlow nor Prefect.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np

from msearch_core.block import IMAGE, SEQUENCE, VECTOR, Block, BlockFamily, block
from msearch_core.cells import Cells
from msearch_core.distributions import Choice, Distribution, Uniform, Value
from msearch_core.fingerprint import digest, source
from msearch_core.proposal import Architecture, Proposal, architecture_hash

__all__ = [
    "IMAGE",
    "SEQUENCE",
    "VECTOR",
    "Architecture",
    "Block",
    "BlockFamily",
    "Cells",
    "Choice",
    "Distribution",
    "Proposal",
    "SearchSpace",
    "Uniform",
    "Value",
    "architecture_hash",
    "block",
]

HYPERPARAMETERS: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("adam", "adamw", "sgd", "rmsprop"),
    "decay": ("none", "cosine"),
    **dict.fromkeys(("learning_rate", "dropout", "l2", "clip_norm", "label_smoothing"), ()),
    **dict.fromkeys(("noise", "flip", "shift", "step_dropout", "feature_dropout"), ()),
}
"""What the trainer understands: by name the words that it may be, none where it is a number."""
UNKNOWN_SIZE = 1 << 30
"""Stands for a size before the data is known: so large that no stride matters."""


class _Item(NamedTuple):
    """All that decides where a name may stand; names of equal items are interchangeable.

    Attributes:
        part: 0 in the tower, the head's number from 1 on in a head.
        takes: kind of tensor.
        gives: kind of tensor.
        stride: by how much it divides sizes.
        times: how often it repeats the cell before it; 0 for a block.
    """

    part: int
    takes: str
    gives: str
    stride: int
    times: int = 0


class _State(NamedTuple):
    """What the next item meets.

    Attributes:
        kind: of the tensor.
        sizes: height and width of an image, time steps of a sequence.
        part: as in ``_Item``.
        cell: ``empty`` before the cell, ``open`` within it, ``closed`` after its ``repeat`` or where there is none.
    """

    kind: str
    sizes: tuple[int, ...]
    part: int
    cell: Literal["empty", "open", "closed"]

    def __str__(self) -> str:
        size = min(self.sizes, default=UNKNOWN_SIZE)
        of = f" of {size} {'pixels' if self.kind == IMAGE else 'steps'}" if size < UNKNOWN_SIZE else ""
        return f"{self.kind} data{of}" + ("" if self.cell == "closed" else " within a cell")


@dataclass(frozen=True)
class SearchSpace:
    """The blocks and hyperparameters that may be combined, and the rules for combining them.

    An architecture is valid when its blocks are known, its depth is within bounds, each block takes the kind of
    tensor that the block before it gives, the last one gives ``output``, and no block shrinks an image or a sequence
    below two pixels a side or two time steps. With several targets, blocks of their heads may follow those of the
    tower, in the order of the targets, each named ``<target>/<block>``.

    Attributes:
        name: what the user calls the space.
        blocks: the blocks to choose from.
        hyperparameters: distributions by name. The trainer understands ``optimizer`` (adam, adamw, sgd, rmsprop),
            ``learning_rate``, ``decay`` (none, cosine), ``dropout`` (rate), ``l2`` (factor), ``clip_norm``,
            ``label_smoothing``; ``noise`` (standard deviation), ``flip`` (0 or 1) and ``shift`` (share of a side) of
            pictures, ``step_dropout`` and ``feature_dropout`` (rates) of sequences. Others are refused.
        input: the kind of tensor that the data gives.
        output: the kind of tensor that the heads need. For ``sequence``, a label for each time step, no block may
            have a stride.
        min_depth: the least number of items in the tower: blocks, and the ``repeat`` of a space of cells.
        max_depth: the greatest number of them.
        suggestions: architectures worth trying first.
        input_shape: the data's shape without the batch, once known: ``(features,)``, ``(height, width, channels)`` or
            ``(time, features)``.
        heads: the names of the targets, where there are several.
        head_blocks: the blocks that a head may have of its own; they take and give ``output``.
        max_head_depth: the greatest number of them in a head.
        cells: how the tower repeats a cell; ``None`` if each block stands once.

    Raises:
        ValueError: a hyperparameter is none that the trainer understands, or no architecture is valid.
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
    head_blocks: tuple[Block, ...] = ()
    max_head_depth: int = 1
    cells: Cells | None = None

    def __post_init__(self) -> None:
        for name, distribution in self.hyperparameters.items():
            if reason := _why_unusable(name, distribution):
                raise ValueError(f"the space {self.name!r}: {reason}")
        if len({block.name for block in self.blocks}) != len(self.blocks):
            raise ValueError(f"the space {self.name!r} holds the same block twice")
        for item in self.head_blocks:
            if not item.family.takes == item.family.gives == self.output or item.stride != 1:
                raise ValueError(f"{item.name} cannot be a block of a head, which takes and gives {self.output} data")
        if self.output == SEQUENCE and (strided := [item.name for item in self.blocks if item.stride != 1]):
            raise ValueError(f"the space {self.name!r} labels each time step, and {strided[0]} has a stride")
        if not self.depths:
            raise ValueError(f"the space {self.name!r} holds no valid architecture")

    @cached_property
    def by_name(self) -> Mapping[str, Block]:
        """All blocks, those of heads and the reduction between cells included, by name."""
        reduction = (self.cells.reduction,) if self.cells else ()
        return {block.name: block for block in (*self.blocks, *self.head_blocks, *reduction)}

    @property
    def max_length(self) -> int:
        """The greatest number of items in an architecture, heads included."""
        return self.max_depth + len(self.heads) * (self.max_head_depth if self.head_blocks else 0)

    def for_input(self, shape: Sequence[int]) -> SearchSpace:
        """The same space for data of this shape, without the batch."""
        return replace(self, input_shape=tuple(shape))

    def resolve(self, names: Sequence[str]) -> list[Block]:
        """Blocks by their names.

        Raises:
            KeyError: a name is not in the space.
        """
        return [self.by_name[name] for name in names]

    def tower(self, architecture: Sequence[str]) -> Architecture:
        """The items of an architecture that all targets share."""
        return tuple(name for name in architecture if name not in self._items or self._items[name].part == 0)

    def head(self, architecture: Sequence[str], target: str) -> Architecture:
        """The block names of one target's own head."""
        part = self.heads.index(target) + 1
        own = (name for name in architecture if name in self._items and self._items[name].part == part)
        return tuple(name.removeprefix(f"{target}/") for name in own)

    @cached_property
    def repeats(self) -> Mapping[str, int]:
        """The items that repeat the cell before them, with how often."""
        return {f"repeat(times={times})": times for times in self.cells.repeats} if self.cells else {}

    def repeat(self, architecture: Sequence[str]) -> int | None:
        """The position at which an architecture says how often its cell is repeated, or ``None``."""
        return next((place for place, name in enumerate(architecture) if name in self.repeats), None)

    def expand(self, architecture: Sequence[str]) -> Architecture:
        """What is built: the cell repeated with reductions in between; the architecture itself if there is no cell."""
        place = self.repeat(architecture)
        if self.cells is None or place is None:
            return tuple(architecture)
        built = self.cells.build(architecture[:place], self.repeats[architecture[place]])
        return (*built, *architecture[place + 1 :])

    def why_invalid(self, architecture: Sequence[str]) -> str | None:
        """Say what is wrong with an architecture, or ``None`` if it is valid."""
        state: _State | None = self._start
        length = [0] * (1 + len(self.heads))
        for name in architecture:
            item = self._items.get(name)
            if item is None:
                return f"{name!r} is not a block of the space {self.name!r}"
            before, state = state, self._step(state, item)  # type: ignore[arg-type]
            if state is None:
                return f"{name} cannot follow on {before}"
            length[item.part] += 1
        if not self.min_depth <= length[0] <= self.max_depth:
            return f"{length[0]} blocks, where {self.min_depth} to {self.max_depth} are allowed"
        if max(length[1:], default=0) > self.max_head_depth:
            return f"{max(length[1:])} blocks in a head, where up to {self.max_head_depth} are allowed"
        if state is not None and not self._may_end(state):
            return (
                f"ends in {state.kind}, not in {self.output}" if state.cell == "closed" else "says no repeat(times=...)"
            )
        return None

    def is_valid(self, architecture: Sequence[str]) -> bool:
        """Whether the architecture may be built."""
        return self.why_invalid(architecture) is None

    def replacements(self, architecture: Sequence[str], position: int) -> list[Architecture]:
        """Every valid architecture that differs from this one in the item at ``position`` alone."""
        before, after = tuple(architecture[:position]), tuple(architecture[position + 1 :])
        names = self._names_between(before, after)
        return [(*before, name, *after) for name in names if name != architecture[position]]

    def insertions(self, architecture: Sequence[str], position: int) -> list[Architecture]:
        """Every valid architecture with one more item, put in before ``position``."""
        before, after = tuple(architecture[:position]), tuple(architecture[position:])
        return [(*before, name, *after) for name in self._names_between(before, after)]

    def removals(self, architecture: Sequence[str]) -> list[Architecture]:
        """Every valid architecture with one item less."""
        shorter = ((*architecture[:place], *architecture[place + 1 :]) for place in range(len(architecture)))
        return [candidate for candidate in dict.fromkeys(shorter) if self.is_valid(candidate)]

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The numbers of items with which there is a valid tower."""
        allowed = range(self.min_depth, self.max_depth + 1)
        return tuple(depth for depth in allowed if self._can_end(self._start, depth))

    def random_architecture(self, rng: np.random.Generator) -> Architecture:
        """Draw a valid architecture, the tower and each head of uniformly random depth."""
        chosen: list[str] = []
        state = self._start
        for remaining in range(self.depths[int(rng.integers(len(self.depths)))] - 1, -1, -1):
            names = self._next_names(state, remaining)
            chosen.append(names[int(rng.integers(len(names)))])
            state = self._step(state, self._items[chosen[-1]])  # type: ignore[assignment]
        for head in self.heads if self.head_blocks else ():
            drawn = rng.integers(len(self.head_blocks), size=int(rng.integers(self.max_head_depth + 1)))
            chosen.extend(f"{head}/{self.head_blocks[int(number)].name}" for number in drawn)
        return tuple(chosen)

    def random_hyperparameters(self, rng: np.random.Generator) -> dict[str, Value]:
        """Draw a value for each hyperparameter."""
        return {name: distribution.sample(rng) for name, distribution in self.hyperparameters.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what an architecture of this space means, block code included."""
        return digest(
            [
                self.name,
                [(item.name, source(item.family.function)) for item in self.by_name.values()],
                {name: repr(distribution) for name, distribution in sorted(self.hyperparameters.items())},
                [self.input, self.output, self.min_depth, self.max_depth, self.suggestions],
                [[item.name for item in self.head_blocks], self.max_head_depth],
                [self.cells.repeats, self.cells.reduction.name, self.cells.every] if self.cells else [],
            ]
        )

    @cached_property
    def _start(self) -> _State:
        sizes = self.input_shape[:-1] if self.input_shape and self.input != VECTOR else ()
        return _State(self.input, _fitted(sizes, self.input), 0, "empty" if self.cells else "closed")

    @cached_property
    def _items(self) -> Mapping[str, _Item]:
        """Every name that an architecture may hold."""
        heads = enumerate(self.heads, 1)
        return {
            **{each.name: _Item(0, each.family.takes, each.family.gives, each.stride) for each in self.blocks},
            **{name: _Item(0, self.input, self.input, 1, times) for name, times in self.repeats.items()},
            **{
                f"{head}/{each.name}": _Item(part, self.output, self.output, 1)
                for part, head in heads
                for each in self.head_blocks
            },
        }

    @cached_property
    def _alike(self) -> Mapping[_Item, tuple[str, ...]]:
        """Names that are interchangeable: one of them says whether all are valid in a place."""
        names: dict[_Item, list[str]] = defaultdict(list)
        for name, item in self._items.items():
            names[item].append(name)
        return {item: tuple(each) for item, each in names.items()}

    def _step(self, state: _State, item: _Item) -> _State | None:
        """The state after an item, or ``None`` if the item cannot follow."""
        if item.part != state.part:
            if item.part < state.part or not self._may_end(state):
                return None
            state = state._replace(part=item.part)
        if item.times and self.cells:
            return self._reduced(state, self.cells, item.times) if state.cell == "open" else None
        if item.takes != state.kind:
            return None
        if state.cell != "closed":
            return state._replace(cell="open") if item.gives == item.takes and item.stride == 1 else None
        return _strided(state, item.gives, item.stride)

    @staticmethod
    def _reduced(state: _State, cells: Cells, times: int) -> _State | None:
        following: _State | None = state._replace(cell="closed")
        for _ in range(cells.reductions(times)):
            following = following and _strided(following, following.kind, cells.reduction.stride)
        return following

    def _may_end(self, state: _State) -> bool:
        return state.kind == self.output and state.cell == "closed"

    @cached_property
    def _names_between(self) -> Callable[[Architecture, Architecture], tuple[str, ...]]:
        """The names that can stand between two parts of an architecture."""

        @lru_cache(maxsize=4096)
        def between(before: tuple[_Item, ...], after: tuple[_Item, ...]) -> tuple[str, ...]:
            first, last = [[self._alike[item][0] for item in part] for part in (before, after)]
            fitting = (names for names in self._alike.values() if self.is_valid((*first, names[0], *last)))
            return tuple(name for names in fitting for name in names)

        items = self._items.__getitem__
        return lambda before, after: between(tuple(map(items, before)), tuple(map(items, after)))

    @cached_property
    def _can_end(self) -> Callable[[_State, int], bool]:
        """Whether so many more items can lead from a state to the tower's end."""

        @cache
        def can_end(state: _State, remaining: int) -> bool:
            if remaining == 0:
                return self._may_end(state)
            following = (self._step(state, item) for item in self._alike if item.part == 0)
            return any(each is not None and can_end(each, remaining - 1) for each in following)

        return can_end

    @cached_property
    def _next_names(self) -> Callable[[_State, int], tuple[str, ...]]:
        """The names of the tower that can follow on a state, with so many more to come."""

        @cache
        def next_names(state: _State, remaining: int) -> tuple[str, ...]:
            following = ((names, self._step(state, item)) for item, names in self._alike.items() if item.part == 0)
            fitting = (names for names, each in following if each is not None and self._can_end(each, remaining))
            return tuple(name for names in fitting for name in names)

        return next_names


def _why_unusable(name: str, distribution: object) -> str | None:
    """What is wrong with a hyperparameter, or ``None`` if the trainer understands it."""
    if name not in HYPERPARAMETERS:
        return f"there is no hyperparameter {name!r}; expected some of {', '.join(HYPERPARAMETERS)}"
    if not isinstance(distribution, Distribution):
        return f"{name} is {distribution!r}; expected a Choice or a Uniform"
    words = HYPERPARAMETERS[name]
    options = distribution.options if isinstance(distribution, Choice) else (distribution.low,)
    for option in options:
        if option not in words if words else isinstance(option, str):
            return f"{name} may be {option!r}; expected {' or '.join(words) or 'numbers'}"
    return None


def _fitted(sizes: Sequence[int], kind: str) -> tuple[int, ...]:
    """As many sizes as a tensor of this kind has."""
    wanted = {VECTOR: 0, SEQUENCE: 1, IMAGE: 2}[kind]
    return (*sizes, *[UNKNOWN_SIZE] * wanted)[:wanted]


def _strided(state: _State, gives: str, stride: int) -> _State | None:
    if stride == 1:
        return state if gives == state.kind else state._replace(kind=gives, sizes=_fitted(state.sizes, gives))
    if any(size < 2 * stride for size in state.sizes):
        return None
    sizes = [UNKNOWN_SIZE if size == UNKNOWN_SIZE else math.ceil(size / stride) for size in state.sizes]
    return state._replace(kind=gives, sizes=_fitted(sizes, gives))
