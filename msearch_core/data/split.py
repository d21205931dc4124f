"""Which examples train, validate and test.

A side depends only on the hash of the example's content (or group key) and the seed, so no example moves when the data
grows, and exact duplicates share a side. Classes too small for that are topped up: the few moves are returned, to be
stored with the search and given back when the data has grown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from msearch_core.data.audio import Clips
from msearch_core.data.columns import column_kind
from msearch_core.data.examples import Inputs, RawData, RawTarget
from msearch_core.data.hashing import (
    HashColumn,
    hash_examples,
    hash_keys,
    hash_spellings,
    hash_steps,
    hash_values,
    mix,
    spells_numbers,
)
from msearch_core.data.problem import SPLITS
from msearch_core.data.sequences import Sequences
from msearch_core.errors import UserError

TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.2
VALIDATION_FRACTION_OF_REST = 0.25
TRAIN, VALIDATION, TEST = range(len(SPLITS))


@dataclass(frozen=True)
class Assignment:
    """The side of each example.

    Attributes:
        sides: ``int8 (n,)``, indices into `SPLITS`.
        moved: the sides that do not follow from hash and seed, or must not follow from them later on, by the example's
            content or group hash in 16 hexadecimal digits. Store it, and give it back when the data has grown.
    """

    sides: np.ndarray
    moved: Mapping[str, str]


def unit_hashes(raw: RawData) -> np.ndarray:
    """The hash of what must share a side: the group where there is one, else the inputs' content.

    The targets are no part of it, so that a relabelled duplicate is one still.

    Returns:
        ``uint64 (n,)``.
    """
    content = hash_examples(raw.inputs)
    if raw.groups is None:
        return content
    groups = hash_keys(raw.groups)
    return np.where(groups == 0, content, groups)


def assign(
    units: np.ndarray, classes: np.ndarray, seed: int, *, held_out: bool = False, moved: Mapping[str, str] | None = None
) -> Assignment:
    """Give each example a side: 60 % train, 20 % validation, 20 % test; 75 and 25 % where the test is held out.

    A class with as many different units as there are sides is on each of them; with two, it is in train and validation;
    with one, in train. Where the hash does not give that, units move, as far as they can without taking from another
    class (groups hold several). The units of a class that is not on each side are all written into ``moved``, so that
    they stay where they are when more arrive.

    Args:
        units: ``uint64 (n,)``; equal units share a side.
        classes: integers ``(n,)``; all zero for a regression.
        seed: chooses one of the possible splits.
        held_out: whether the test examples come from elsewhere, so that none are to be taken from here.
        moved: what an earlier assignment with the same seed returned; ``None`` for the first assignment.

    Raises:
        UserError: there are too few different units to have some on each side.
    """
    distinct, unit_of = np.unique(units, return_inverse=True)
    rank = mix(distinct ^ mix(np.array([seed % 2**64], np.uint64)))
    sides = _hashed_sides(rank, held_out)
    number_of_sides = 2 if held_out else 3
    names = [f"{unit:016x}" for unit in distinct] if moved else []
    pinned = np.zeros(len(distinct), bool)
    for index, name in enumerate(names):
        side = (moved or {}).get(name)
        if side in SPLITS[:number_of_sides]:
            sides[index], pinned[index] = SPLITS.index(side), True
    pairs = np.unique(np.unique(classes, return_inverse=True)[1].astype(np.int64) * len(distinct) + unit_of)
    changed = _top_up(sides, pinned, rank, *np.divmod(pairs, len(distinct)), number_of_sides, growing=moved is not None)
    _check_none_empty(sides, number_of_sides)
    new = {f"{distinct[unit]:016x}": SPLITS[sides[unit]] for unit in sorted(changed)}
    return Assignment(sides[unit_of], {**(moved or {}), **new})


def classes_of(raw: RawData) -> np.ndarray:
    """The class of each example that the split is to be fair to: of the first target that is a classification.

    Returns:
        ``int32 (n,)``; all zero where there is no such target.
    """
    classified = [target for target in raw.targets if target.task == "classification" and not target.per_step]
    return classified[0].values if classified else np.zeros(len(raw.inputs), np.int32)


def target_hashes(raw: RawData, hash_column: HashColumn = hash_values) -> np.ndarray:
    """The hash of each example's targets.

    Args:
        raw: the data.
        hash_column: what is looked at in labels and numbers.

    Returns:
        ``uint64 (n,)``.
    """
    total = np.zeros(len(raw.inputs), np.uint64)
    for number, target in enumerate(raw.targets):
        total += np.uint64(2 * number + 1) * mix(_hash_target(raw, target, hash_column))
    return total


def fingerprint(raw: RawData) -> str:
    """Sixteen hexadecimal digits that identify the data: inputs, targets, groups and test, whatever the order of rows.

    Args:
        raw: the data.
    """
    digest = hashlib.sha256()
    for part in (raw, raw.test):
        if part is None:
            continue
        examples = mix(hash_examples(part.inputs)) + np.uint64(3) * target_hashes(part)
        if part.groups is not None:
            examples += np.uint64(5) * mix(hash_keys(part.groups))
        if part.weight is not None:
            examples += np.uint64(7) * mix(hash_values(pd.Series(part.weight)))
        if (spellings := _spellings(part)) is not None:
            examples += np.uint64(11) * mix(spellings)
        digest.update(json.dumps([_form(part.inputs), *_meaning(part), len(examples)]).encode())
        digest.update(np.sort(mix(examples)).astype("<u8").tobytes())
    return digest.hexdigest()[:16]


def _spellings(raw: RawData) -> np.ndarray | None:
    """The hash of how each example spells categories and labels; ``None`` where all are spelt plainly.

    No part of what decides the side, so that a corrected spelling moves no row.
    """
    table = raw.inputs.steps if isinstance(raw.inputs, Sequences) else raw.inputs
    columns = [values for _, values in table.items()] if isinstance(table, pd.DataFrame) else []
    labels = [pd.Series(target.labels, dtype=object) for target in raw.targets]
    if not any(hash_spellings(values).any() for values in [*columns, *labels]):
        return None
    return mix(hash_examples(raw.inputs, hash_spellings)) + np.uint64(3) * target_hashes(raw, hash_spellings)


def _hash_target(raw: RawData, target: RawTarget, hash_column: HashColumn) -> np.ndarray:
    if target.task == "classification":
        hashes = hash_column(pd.Series(target.labels, dtype=object))[target.values]
    elif target.task == "multilabel":
        names = hash_column(pd.Series(target.labels, dtype=object))
        hashes = np.where(target.values > 0, mix(names), np.uint64(0)).sum(axis=1, dtype=np.uint64)
    else:
        hashes = hash_column(pd.Series(target.values))
    return hash_steps(hashes, raw.inputs.lengths) if isinstance(raw.inputs, Sequences) and target.per_step else hashes


def _form(inputs: Inputs) -> list[object]:
    if isinstance(inputs, pd.DataFrame):
        return _columns(inputs)
    if isinstance(inputs, Sequences):
        return ["sequence", *_columns(inputs.steps)]
    if isinstance(inputs, Clips):
        return ["audio", inputs.rate]
    return [*inputs.shape[1:], str(inputs.dtype)]


def _columns(table: pd.DataFrame) -> list[object]:
    """The names of columns, and those that are prepared in another way than the numbers whose hashes they have."""
    texts = table.select_dtypes(exclude=["number", "bool", "datetime", "datetimetz"])
    spelt = [
        str(name) for name, values in texts.items() if spells_numbers(values) and column_kind(values) == "category"
    ]
    return [*sorted(map(str, table)), *([{"spelt": sorted(spelt)}] if spelt else [])]


def _meaning(raw: RawData) -> list[object]:
    """What the targets mean, in a form that has not changed since there was but one."""
    meaning: list[object] = [part for target in raw.targets for part in (target.task, target.name)]
    weights = [target.weight for target in raw.targets]
    if raw.balance or set(weights) != {1.0}:
        meaning.append({"balance": raw.balance, "weights": weights})
    return meaning


def _hashed_sides(rank: np.ndarray, held_out: bool) -> np.ndarray:
    position = rank / 2.0**64
    if held_out:
        return np.where(position < VALIDATION_FRACTION_OF_REST, VALIDATION, TRAIN).astype(np.int8)
    held = np.where(position < TEST_FRACTION, TEST, VALIDATION)
    return np.where(position < TEST_FRACTION + VALIDATION_FRACTION, held, TRAIN).astype(np.int8)


def _top_up(
    sides: np.ndarray,
    pinned: np.ndarray,
    rank: np.ndarray,
    pair_class: np.ndarray,
    pair_unit: np.ndarray,
    number_of_sides: int,
    growing: bool,
) -> set[int]:
    """Move units, in ``sides`` itself, until each class is on each side it has units for; return those to remember.

    ``pair_class`` and ``pair_unit`` list each class with each of its units once, ordered by class.
    """
    counts = np.zeros((pair_class[-1] + 1, number_of_sides), np.int64)
    np.add.at(counts, (pair_class, sides[pair_unit]), 1)
    sizes = counts.sum(axis=1, keepdims=True)
    wanted = np.arange(number_of_sides) < sizes
    incomplete = (counts == 0).any(axis=1)
    by_unit = np.argsort(pair_unit, kind="stable")
    changed: set[int] = set()
    for index in np.flatnonzero(incomplete):
        members = pair_unit[slice(*np.searchsorted(pair_class, [index, index + 1]))]
        for side in np.flatnonzero(wanted[index] & (counts[index] == 0)):
            # Rather from a side that the class need not be on, then from train; the rank makes the choice arbitrary.
            order = sorted(members, key=lambda unit: (wanted[index, sides[unit]], sides[unit] != TRAIN, rank[unit]))
            for unit in order:
                sharing = pair_class[by_unit[slice(*np.searchsorted(pair_unit, [unit, unit + 1], sorter=by_unit))]]
                source = sides[unit]
                robbed = (wanted[sharing, source] & (counts[sharing, source] < 2)).any()
                # Old units of classes that were incomplete before are pinned; those of complete ones are not.
                perhaps_old = growing and not incomplete[sharing].all()
                if pinned[unit] or robbed or perhaps_old:
                    continue
                sides[unit] = side
                counts[sharing, source] -= 1
                counts[sharing, side] += 1
                changed.add(int(unit))
                break
        if (counts[index] == 0).any():
            changed.update(int(unit) for unit in members)
    return changed


def _check_none_empty(sides: np.ndarray, number_of_sides: int) -> None:
    empty = [SPLITS[side] for side in range(number_of_sides) if not (sides == side).any()]
    if empty:
        raise UserError(
            f"too few different examples or groups: {len(sides)} cannot be split so that {' and '.join(empty)} "
            "and the rest each get some; give more data"
        )
