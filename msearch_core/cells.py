"""Towers that repeat one cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msearch_core.block import Block
from msearch_core.proposal import Architecture


@dataclass(frozen=True)
class Cells:
    """A tower that repeats a cell (NASNet; Zoph et al., CVPR 2018).

    An architecture of such a space is the blocks of one cell, then how often the cell is repeated, written
    ``repeat(times=3)``, then the blocks that follow once. The blocks of the cell keep the kind and the size of the
    data, so that it can be repeated.

    Attributes:
        repeats: how many cells there may be.
        reduction: the block that stands between groups of cells and makes the image or sequence smaller.
        every: how many cells there are between two reductions.
    """

    repeats: tuple[int, ...]
    reduction: Block
    every: int = 1

    def reductions(self, times: int) -> int:
        """How many reductions stand between so many cells; none follows the last."""
        return (times - 1) // self.every

    def build(self, cell: Sequence[str], times: int) -> Architecture:
        """The blocks of all cells and the reductions between them."""
        names: list[str] = []
        for number in range(times):
            if number and number % self.every == 0:
                names.append(self.reduction.name)
            names.extend(cell)
        return tuple(names)
