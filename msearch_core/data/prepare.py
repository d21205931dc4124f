"""From a data set to encoded splits, kept in a cache that all processes of a machine share."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import platformdirs

from msearch_core.data.examples import Inputs, RawData
from msearch_core.data.hashing import hash_values, mix
from msearch_core.data.prepared import PreparedData, open_prepared, save
from msearch_core.data.preprocessing import encode, learn
from msearch_core.data.problem import SPLITS, Problem, Split
from msearch_core.data.source import load
from msearch_core.data.split import assign, content_hashes, fingerprint, unit_hashes
from msearch_core.data.targets import class_names
from msearch_core.errors import UserError

__all__ = ["FORMAT", "PreparedData", "open_prepared", "prepare", "prepare_cached", "save"]

FORMAT = 1
"""Raised whenever the same data would be prepared differently, so that no older cache is used."""


def prepare(
    raw: RawData, seed: int, moved: Mapping[str, str] | None = None, like: Problem | None = None
) -> PreparedData:
    """Split the data, learn the preprocessing on train, and encode all splits.

    The result depends on what the data holds, not on the order of its rows or columns: the examples of each split are
    in the order of their hashes.

    Args:
        raw: the data.
        seed: the seed of the split.
        moved: what an earlier preparation of the same search returned, so that no example changes sides; ``None`` for
            a new search.
        like: a problem whose preprocessing and labels are used in place of what would be learned, so that a model
            that was trained on it can be scored.

    Raises:
        UserError: there are too few examples to split, nothing is left to learn from, or the labels are not those of
            the problem to be like.
    """
    labels = class_names(raw.targets) if raw.task == "classification" else ()
    targets = _encode_targets(raw, labels)
    classes = targets if labels else np.zeros(len(targets), np.int32)
    assignment = assign(unit_hashes(raw), classes, seed, held_out=raw.test is not None, moved=moved)
    order = _canonical_order(raw)
    rows = {side: order[assignment.sides[order] == number] for number, side in enumerate(SPLITS)}
    if like and like.labels != labels:
        raise UserError(f"the classes are no longer those that the model knows: {_differing(like.labels, labels)}")
    spec = like.preprocessing if like else learn(raw, rows["train"])
    splits = {
        side: Split(encode(spec, _take(raw.inputs, chosen)), targets[chosen])
        for side, chosen in rows.items()
        if side != "test" or raw.test is None
    }
    if raw.test is not None:
        chosen = _canonical_order(raw.test)
        splits["test"] = Split(encode(spec, _take(raw.test.inputs, chosen)), _encode_targets(raw.test, labels)[chosen])
    train = splits["train"]
    problem = Problem(
        task=raw.task,
        input="vector" if isinstance(raw.inputs, pd.DataFrame) else "image",
        input_shape=train.x.shape[1:],
        labels=labels,
        preprocessing=spec,
        target=raw.target,
        target_mean=0.0 if labels else float(train.y.mean(dtype=np.float64)),
        target_scale=1.0 if labels else float(train.y.std(dtype=np.float64)) or 1.0,
    )
    problem = like or problem
    return PreparedData(problem, splits, assignment.moved, fingerprint(raw))


def prepare_cached(
    data: str,
    *,
    seed: int,
    target: str | None = None,
    test: str | None = None,
    group: str | None = None,
    moved: Mapping[str, str] | None = None,
    like: Problem | None = None,
    cache: Path | None = None,
) -> Path:
    """Prepare data unless that was done before on this machine.

    Whoever finds the folder finds it whole: it is written elsewhere and renamed into place, and of several processes
    that prepare the same data, one wins and the others use its work.

    Args:
        data: as for `msearch_core.data.source.load`, like ``target``, ``test`` and ``group``.
        seed: the seed of the split.
        target: the column to predict.
        test: the source of held-out test examples.
        group: the column that says which rows belong together.
        moved: as for `prepare`.
        like: as for `prepare`.
        cache: the cache's folder; the user's own if not given.

    Returns:
        The folder, for `open_prepared`.

    Raises:
        UserError: the data cannot be used, or the cache cannot be written.
    """
    raw = load(data, target=target, test=test, group=group)
    cache = cache or platformdirs.user_cache_path("msearch") / "prepared"
    final = cache / _key(fingerprint(raw), seed, moved, like)
    if final.exists():
        return final
    prepared = prepare(raw, seed, moved, like)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=cache) as workshop:
            ready = Path(workshop) / final.name
            save(prepared, ready)
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


def _differing(old: tuple[str, ...], new: tuple[str, ...]) -> str:
    both = {"new": sorted(set(new) - set(old)), "gone": sorted(set(old) - set(new))}
    return ", ".join(f"{label!r} is {what}" for what, labels in both.items() for label in labels[:3])


def _canonical_order(raw: RawData) -> np.ndarray:
    targets = mix(hash_values(pd.Series(raw.targets)))
    return np.lexsort((targets, content_hashes(raw)))


def _encode_targets(raw: RawData, labels: tuple[str, ...]) -> np.ndarray:
    if not labels:
        return raw.targets.astype(np.float32)
    return pd.Index(labels, dtype=object).get_indexer(pd.Index(raw.targets, dtype=object)).astype(np.int32)


def _take(inputs: Inputs, rows: np.ndarray) -> Inputs:
    return inputs.iloc[rows] if isinstance(inputs, pd.DataFrame) else inputs[rows]
