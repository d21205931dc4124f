"""Examples from memory and examples read in pieces are the same examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.data.problem import Split
from msearch_core.programs import PACKAGE_ROOT
from msearch_core.training import feed
from msearch_core.training.feed import InMemory, Streamed, batch_indices, make_feed, take_rows


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 30), st.integers(1, 30), st.integers(0, 9))
def test_batches_are_whole_shuffled_epochs_however_they_are_cut(n: int, size: int, start: int, more: int, seed: int):
    stop = start + more
    whole = batch_indices(seed, n, size, 0, stop)
    assert np.array_equal(whole[start:], batch_indices(seed, n, size, start, stop))
    stream = whole.ravel()
    for epoch in range(len(stream) // n):
        assert sorted(stream[epoch * n : (epoch + 1) * n]) == list(range(n))


@pytest.fixture
def split(tmp_path: Path) -> Split:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.integers(0, 255, (97, 4, 4, 1), np.uint8))
    y = {"größe": rng.normal(size=97).astype(np.float32), "a/b": rng.integers(0, 3, (97, 5)).astype(np.int32)}
    return Split(np.load(tmp_path / "x.npy", mmap_mode="r"), y, rng.uniform(1, 3, 97).astype(np.float32))


@pytest.mark.parametrize("start", [0, 7])
def test_streamed_batches_are_those_in_memory(split: Split, monkeypatch, start: int) -> None:
    monkeypatch.setattr(feed, "PIECE_BYTES", 16 * 8 * 3 + 1)  # three steps a piece
    seen = {}
    for kind in (InMemory, Streamed):
        source = kind(split, 5, 8, 40)
        step, batches = start, []
        while step < 40:
            stop = min(step + 2, source.end(step))
            taken = source.take(step, stop)
            for chosen in taken.chosen.numpy():
                batches.append(
                    [taken.x.numpy()[chosen], taken.weight.numpy()[chosen]]
                    + [taken.y[name].numpy()[chosen] for name in split.y]
                )
            step = stop
        seen[kind] = batches
    assert len(seen[Streamed]) == 40 - start
    for streamed, held in zip(seen[Streamed], seen[InMemory], strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(streamed, held, strict=True))


def test_a_split_is_streamed_when_it_does_not_fit(split: Split) -> None:
    assert isinstance(make_feed(split, 0, 8, 10, split.x.nbytes), InMemory)
    assert isinstance(make_feed(split, 0, 8, 10, split.x.nbytes - 1), Streamed)


def test_without_weights_all_count_the_same(split: Split) -> None:
    assert (InMemory(Split(split.x, split.y), 0, 8, 10).take(0, 1).weight.numpy() == 1).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 29), max_size=40))
def test_rows_of_any_array(rows: list[int]) -> None:
    chosen = np.array(rows, np.intp)
    array = np.arange(90).reshape(30, 3)
    assert np.array_equal(take_rows(array, chosen), array[chosen])


def test_rows_of_part_of_a_file(tmp_path: Path) -> None:
    array = np.arange(9000).reshape(3000, 3)
    np.save(tmp_path / "x.npy", array)
    np.save(tmp_path / "f.npy", np.asfortranarray(array))
    rows = np.arange(2, 1400)
    for path in ("x.npy", "f.npy"):
        opened = np.load(tmp_path / path, mmap_mode="r")
        assert np.array_equal(take_rows(opened, rows), array[rows])
        assert np.array_equal(take_rows(opened[5::2], rows[:900]), array[5::2][rows[:900]])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured with Unix' resource module")
def test_memory_is_bounded_whatever_the_size_of_the_split(tmp_path: Path) -> None:
    """Reading all of a file of 192 MB takes the pieces' memory, not the file's."""
    megabytes, example = 192, 16 << 10
    big = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (megabytes * 64, example))
    big[:, 0] = 1
    del big
    code = f"""
import resource
import numpy as np
import tensorflow as tf
from msearch_core.data.problem import Split
from msearch_core.training.feed import Streamed, PIECE_BYTES
x = np.load({str(tmp_path / "x.npy")!r}, mmap_mode="r")
split = Split(x, {{"y": np.zeros(len(x), np.int32)}})
tf.zeros(1).numpy()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, steps, step = peak(), len(x) // 64, 0
feed = Streamed(split, 0, 64, steps)
while step < steps:
    stop = feed.end(step)
    assert int(tf.reduce_sum(tf.cast(feed.take(step, stop).x[:, 0], tf.int32))) > 0
    step = stop
print(round(peak() - before))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE_ROOT, timeout=120, check=True
    )
    assert int(told.stdout) < 140
