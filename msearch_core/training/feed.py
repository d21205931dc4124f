"""Where the training loop's examples come from: tensors that hold the whole split, or pieces read while it trains.

Both give the same examples in the same order, so that a trial ends with the same weights either way.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from msearch_core.data.problem import Split

PIECE_BYTES = 16 << 20
"""How much of it is read at a time. Three pieces are held: one trained on, one waiting, one being read."""
_ROWS_A_MAPPING = 1024


@dataclass(frozen=True)
class Batches:
    """The steps to take next.

    Attributes:
        x: encoded examples, among them those that are learned from.
        y: their targets by name.
        weight: their weights, ``float32``.
        chosen: ``int32 (steps, batch)``, which of the examples each step learns from.
    """

    x: Any
    y: Mapping[str, Any]
    weight: Any
    chosen: Any


class Feed(Protocol):
    """Gives the batches of a trial in order."""

    def end(self, step: int, /) -> int:
        """The last step to which `take` can go from ``step``."""

    def take(self, start: int, stop: int) -> Batches:
        """What the steps from ``start`` to before ``stop`` learn from."""


def make_feed(train: Split, seed: int, batch_size: int, steps: int, in_memory_bytes: int) -> Feed:
    """A feed from memory if the split fits in, else one that reads.

    Args:
        train: the examples; arrays may be memory-mapped.
        seed: of their order.
        batch_size: examples a step.
        steps: gradient steps in all.
        in_memory_bytes: how large the inputs may be.
    """
    kind = InMemory if train.x.nbytes <= in_memory_bytes else Streamed
    return kind(train, seed, batch_size, steps)


def batch_indices(seed: int, examples: int, batch_size: int, start: int, stop: int) -> np.ndarray:
    """The examples that steps ``start`` to ``stop`` learn from: ``int32 (stop - start, batch_size)``.

    One endless stream of shuffled epochs is cut into batches, so any part of it can be drawn by itself.
    """
    first, last = start * batch_size, stop * batch_size
    epochs = range(first // examples, -(-last // examples))
    stream = np.concatenate([np.random.default_rng([seed, epoch]).permutation(examples) for epoch in epochs])
    offset = first - epochs.start * examples
    return stream[offset : offset + last - first].astype(np.int32).reshape(stop - start, batch_size)


class InMemory:
    """Holds the whole split as tensors."""

    def __init__(self, train: Split, seed: int, batch_size: int, steps: int) -> None:
        self._x = tf.constant(train.x)
        self._y = {name: tf.constant(values) for name, values in train.y.items()}
        self._weight = tf.constant(_weights(train))
        self._examples, self._seed, self._batch_size, self._steps = len(train), seed, batch_size, steps

    def end(self, _step: int, /) -> int:
        """Every step can be reached."""
        return self._steps

    def take(self, start: int, stop: int) -> Batches:
        """The whole split, and which of it."""
        chosen = batch_indices(self._seed, self._examples, self._batch_size, start, stop)
        return Batches(self._x, self._y, self._weight, tf.constant(chosen))


class Streamed:
    """Reads pieces of a few steps each; ``tf.data`` reads the next ones while one is trained on."""

    def __init__(self, train: Split, seed: int, batch_size: int, steps: int) -> None:
        self._train, self._seed, self._batch_size = train, seed, batch_size
        self._weight = _weights(train)
        self._piece_steps = max(1, PIECE_BYTES * len(train) // (train.x.nbytes * batch_size))
        self._steps = steps
        self._number = -1
        self._next = -1
        self._reader: Iterator[Any] = iter(())
        self._piece: Any = None

    def end(self, step: int, /) -> int:
        """The end of the piece that the step is in."""
        return min((step // self._piece_steps + 1) * self._piece_steps, self._steps)

    def take(self, start: int, stop: int) -> Batches:
        """The piece, and which of its examples."""
        number = start // self._piece_steps
        if number != self._number:
            if number != self._next:
                self._reader = iter(self._dataset(number))
            self._piece, self._number, self._next = next(self._reader), number, number + 1
        x, *y, weight, chosen = self._piece
        first = number * self._piece_steps
        return Batches(x, dict(zip(self._train.y, y, strict=True)), weight, chosen[start - first : stop - first])

    def _dataset(self, first: int) -> Any:
        train = self._train
        kinds = [train.x, *train.y.values(), self._weight, np.zeros((0, 0), np.int32)]
        shapes = [*((None, *array.shape[1:]) for array in kinds[:-1]), (None, self._batch_size)]

        def read(number: Any) -> Any:
            piece = tf.numpy_function(self._read, [number], [tf.as_dtype(array.dtype) for array in kinds])
            return tuple(tf.ensure_shape(part, shape) for part, shape in zip(piece, shapes, strict=True))

        options = tf.data.Options()
        # Threads of its own, so that it reads while the training steps keep the others busy.
        options.threading.private_threadpool_size = 2
        pieces = -(-self._steps // self._piece_steps)
        return tf.data.Dataset.range(first, pieces).map(read).prefetch(1).with_options(options)

    def _read(self, number: np.int64) -> tuple[np.ndarray, ...]:
        start = int(number) * self._piece_steps
        stop = min(start + self._piece_steps, self._steps)
        wanted = batch_indices(self._seed, len(self._train), self._batch_size, start, stop)
        # In the order of the file, which disks like better than the order of the batches.
        rows, chosen = np.unique(wanted, return_inverse=True)
        y = (values[rows] for values in self._train.y.values())
        return take_rows(self._train.x, rows), *y, self._weight[rows], chosen.astype(np.int32).reshape(wanted.shape)


def take_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an array, of a memory-mapped one without keeping the pages that they were on in memory.

    Each touched page, and its neighbours, belongs to the process until its mapping goes, so each thousand rows get a
    mapping of their own.
    """
    # What a mapping was made for is known of the whole file's array alone, not of a part of it.
    if not (isinstance(array, np.memmap) and array.filename and array.flags.c_contiguous and _is_whole(array)):
        return np.asarray(array[rows])
    parts = [np.empty((0, *array.shape[1:]), array.dtype)]
    for start in range(0, len(rows), _ROWS_A_MAPPING):
        fresh = np.memmap(array.filename, array.dtype, "r", array.offset, array.shape)
        parts.append(np.asarray(fresh[rows[start : start + _ROWS_A_MAPPING]]))
    return np.concatenate(parts)


def _is_whole(array: Any) -> bool:
    return isinstance(array.base, mmap.mmap)


def _weights(train: Split) -> np.ndarray:
    return np.ones(len(train), np.float32) if train.weight is None else np.asarray(train.weight, np.float32)
