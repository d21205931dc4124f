"""From a data set to encoded splits, kept in a cache that all processes of a machine share."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import platformdirs

from msearch_core.data.examples import Inputs, RawData, RawTarget
from msearch_core.data.hashing import hash_examples, hash_keys, mix
from msearch_core.data.likeness import check_inputs, known_targets
from msearch_core.data.options import DataOptions
from msearch_core.data.prepared import PreparedData, inputs_file, open_prepared, save
from msearch_core.data.preprocessing import encode_batches, image_moments, input_shape, learn
from msearch_core.data.problem import PADDED_CLASS, SPLITS, Problem, Split, Target
from msearch_core.data.sequences import Sequences, padded
from msearch_core.data.source import load
from msearch_core.data.split import assign, classes_of, fingerprint, target_hashes, unit_hashes
from msearch_core.errors import UserError
from msearch_core.space import IMAGE, SEQUENCE, VECTOR

__all__ = ["FORMAT", "PreparedData", "open_prepared", "prepare", "prepare_cached", "save"]

FORMAT = 5
"""Raised whenever the same data would be prepared differently, so that no older cache is used."""


def prepare(
    raw: RawData,
    seed: int,
    moved: Mapping[str, str] | None = None,
    folder: Path | None = None,
    *,
    like: Problem | None = None,
) -> PreparedData:
    """Split the data, learn the preprocessing on train, and encode all splits.

    The result depends on what the data holds, not on the order of its rows or columns: the examples of each split are
    in the order of their hashes.

    Args:
        raw: the data.
        seed: the seed of the split.
        moved: what an earlier preparation of the same search returned, so that no example changes sides; ``None`` for
            a new search.
        folder: where the encoded inputs are written to as they are made, so that they need not fit into the memory;
            in memory if not given.
        like: a problem whose preprocessing is used in place of what would be learned, so that a model
            that was trained on it can be scored.

    Raises:
        UserError: there are too few examples to split, those of a side all weigh nothing, nothing is left to learn
            from, or the labels are not those of the problem to be like.
    """
    rows, moved = _sides(raw, seed, moved)
    _check_weights(raw, rows)
    targets = tuple(_target(target, rows["train"], raw) for target in raw.targets)
    if like:
        targets = known_targets(like, targets)
        check_inputs(like, raw.inputs)
    spec = dict(like.preprocessing) if like else learn(raw.inputs, rows["train"])
    if raw.ignored and not like:
        spec["dropped"] = {**spec.get("dropped", {}), **raw.ignored}
    shape = input_shape(spec, raw.inputs)
    encoded = _encode(raw.inputs, spec, rows, folder)
    parts = {side: (raw, chosen) for side, chosen in rows.items()}
    if raw.test is not None:
        parts["test"] = (raw.test, _canonical_order(raw.test))
        encoded |= _encode(raw.test.inputs, spec, {"test": parts["test"][1]}, folder)
    if spec["kind"] == "image" and not like:
        spec |= image_moments(lambda start, stop: _rows(encoded["train"], start, stop), len(rows["train"]))
    unit = 1.0 if raw.weight is None else float(raw.weight[rows["train"]].mean()) or 1.0
    splits = {
        side: Split(
            encoded[side],
            {target.name: _values(target, part.inputs, chosen, shape) for target in part.targets},
            None if part.weight is None else (part.weight[chosen] / unit).astype(np.float32),
            None if part.groups is None else _groups(part.groups, chosen),
        )
        for side, (part, chosen) in parts.items()
    }
    kind = {"table": VECTOR, "image": IMAGE}.get(spec["kind"], SEQUENCE)
    return PreparedData(Problem(kind, shape, spec, targets), splits, moved, fingerprint(raw))


def rows_of(raw: RawData, side: str, seed: int, moved: Mapping[str, str] | None = None) -> tuple[RawData, np.ndarray]:
    """Where the examples of a side were before they were prepared.

    Args:
        raw: the data.
        side: ``train``, ``validation`` or ``test``.
        seed: as for `prepare`.
        moved: as for `prepare`.

    Returns:
        The data that they are in (``raw``, or its test data), and their numbers there ``(examples,)``, in the order
        that the prepared split has.
    """
    if side == "test" and raw.test is not None:
        return raw.test, _canonical_order(raw.test)
    return raw, _sides(raw, seed, moved)[0][side]


def prepare_cached(
    source: DataOptions | str,
    *,
    seed: int,
    moved: Mapping[str, str] | None = None,
    like: Problem | None = None,
    cache: Path | None = None,
) -> Path:
    """Prepare data unless that was done before on this machine.

    Whoever finds the folder finds it whole: it is written elsewhere and renamed into place, and of several processes
    that prepare the same data, one wins and the others use its work.

    Memory: encoded images and sounds are read, decoded and written a few hundred at a time, whatever their number;
    tables, sequences and arrays are held once. What is encoded is written to disk as it is made.

    Args:
        source: as for `msearch_core.data.source.load`.
        seed: the seed of the split.
        moved: as for `prepare`.
        like: as for `prepare`.
        cache: the cache's folder; the user's own if not given.

    Returns:
        The folder, for `open_prepared`.

    Raises:
        UserError: the data cannot be used, or the cache cannot be written.
    """
    raw = load(source)
    cache = cache or platformdirs.user_cache_path("msearch") / "prepared"
    final = cache / _key(fingerprint(raw), seed, moved, like)
    try:
        if final.exists():
            return final
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=cache) as workshop:
            ready = Path(workshop) / final.name
            ready.mkdir()
            save(prepare(raw, seed, moved, ready, like=like), ready)
            try:
                ready.rename(final)
            except OSError:
                if not final.exists():
                    raise
    except OSError as error:
        raise UserError(
            f"cannot write prepared data to {str(cache)!r}: {error.strerror}; free some space or set XDG_CACHE_HOME"
        ) from None
    return final


def _key(data_fingerprint: str, seed: int, moved: Mapping[str, str] | None, like: Problem | None = None) -> str:
    parts: list[object] = [FORMAT, data_fingerprint, seed, None if moved is None else sorted(moved.items())]
    text = json.dumps([*parts, asdict(like)] if like else parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sides(raw: RawData, seed: int, moved: Mapping[str, str] | None) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """The numbers of the examples on each side, in the order of their hashes, and which sides were moved to."""
    assignment = assign(unit_hashes(raw), classes_of(raw), seed, held_out=raw.test is not None, moved=moved)
    order = _canonical_order(raw)
    rows = {side: order[assignment.sides[order] == number] for number, side in enumerate(SPLITS)}
    if raw.test is not None:
        del rows["test"]
    return rows, assignment.moved


def _groups(keys: pd.Series, rows: np.ndarray) -> np.ndarray:
    """Numbers of the groups of some examples; one without a key is a group of its own."""
    hashes = hash_keys(keys)[rows]
    numbers = np.unique(hashes, return_inverse=True)[1]
    alone = hashes == 0
    numbers[alone] = len(rows) + np.arange(alone.sum())
    return numbers


def _check_weights(raw: RawData, rows: Mapping[str, np.ndarray]) -> None:
    """See that no side is without weight, since there is neither a loss nor a score of such."""
    for side, chosen in rows.items():
        if raw.weight is not None and not raw.weight[chosen].any():
            raise UserError(
                f"all {len(chosen)} examples that the split puts into {side} have a weight of 0; "
                "give more examples a weight, or leave those without one out of the data"
            )


def _canonical_order(raw: RawData) -> np.ndarray:
    return np.lexsort((mix(target_hashes(raw)), hash_examples(raw.inputs)))


def _encode(
    inputs: Inputs, spec: Mapping[str, Any], rows: Mapping[str, np.ndarray], folder: Path | None
) -> dict[str, np.ndarray]:
    """Encode examples a batch at a time, each into its place on its side.

    Args:
        inputs: ``n`` examples.
        spec: what was learned.
        rows: the examples of each side, in the order that they shall have there.
        folder: where the sides are written; in memory if not given.

    Returns:
        The encoded inputs of each side.
    """
    side_of, place_of = np.full(len(inputs), -1), np.zeros(len(inputs), np.int64)
    for number, chosen in enumerate(rows.values()):
        side_of[chosen], place_of[chosen] = number, np.arange(len(chosen))
    encoded: dict[str, np.ndarray] = {}
    start = 0
    for batch in encode_batches(spec, inputs):
        sides, places = (each[start : start + len(batch)] for each in (side_of, place_of))
        for number, (side, chosen) in enumerate(rows.items()):
            if side not in encoded:
                encoded[side] = _room(side, (len(chosen), *batch.shape[1:]), batch.dtype, folder)
            mine = sides == number
            _rows(encoded[side], writable=True)[places[mine]] = batch[mine]
        start += len(batch)
    return encoded


def _room(side: str, shape: tuple[int, ...], dtype: np.dtype[Any], folder: Path | None) -> np.ndarray:
    if folder is None:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(inputs_file(folder, side), mode="w+", dtype=dtype, shape=shape)


def _rows(array: np.ndarray, start: int = 0, stop: int | None = None, *, writable: bool = False) -> np.ndarray:
    """Some rows of an array. A file is mapped anew, since pages that were touched count as memory until unmapped."""
    if isinstance(array, np.memmap) and array.filename is not None:
        array = np.load(array.filename, mmap_mode="r+" if writable else "r", allow_pickle=False)
    return array[start:stop]


def _target(target: RawTarget, train: np.ndarray, raw: RawData) -> Target:
    """The target, with what was learned of it on train."""
    values = target.values[_chosen(target, raw.inputs, train)]
    numbers = target.task == "regression"
    weights: tuple[float, ...] = ()
    if raw.balance and target.task == "classification":
        counts = np.bincount(values, minlength=len(target.labels))
        # Inverse to the frequency, and 1 on average over the examples.
        share = np.where(counts > 0, len(values) / (np.maximum(counts, 1) * (counts > 0).sum()), 1.0)
        weights = tuple(float(each) for each in share)
    return Target(
        name=target.name,
        task=target.task,
        labels=target.labels,
        per_step=target.per_step,
        weight=target.weight,
        mean=float(values.astype(np.float32).mean(dtype=np.float64)) if numbers else 0.0,
        scale=(float(values.astype(np.float32).std(dtype=np.float64)) or 1.0) if numbers else 1.0,
        class_weights=weights,
    )


def _values(target: RawTarget, inputs: Inputs, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The target's values of some examples, as a `Split` holds them."""
    values: np.ndarray = target.values[_chosen(target, inputs, rows)]
    if target.task == "regression":
        values = values.astype(np.float32)
    if not (target.per_step and isinstance(inputs, Sequences)):
        return values
    return padded(values, inputs.lengths[rows], shape[0], PADDED_CLASS if target.labels else np.nan)


def _chosen(target: RawTarget, inputs: Inputs, rows: np.ndarray) -> np.ndarray:
    """The numbers of the values that some examples have, in the order of these."""
    return inputs.step_numbers(rows) if target.per_step and isinstance(inputs, Sequences) else rows
