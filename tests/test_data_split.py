"""The promises of a split: nothing moves as data grows, duplicates and groups share a side, no class is left out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.data.examples import RawData, RawTarget
from msearch_core.data.hashing import hash_examples, hash_keys, hash_values, mix
from msearch_core.data.options import DataOptions
from msearch_core.data.sequences import Sequences
from msearch_core.data.source import load
from msearch_core.data.split import assign, fingerprint, unit_hashes
from msearch_core.errors import UserError

Rows = list[tuple[int, int]]


def rows_of() -> st.SearchStrategy[Rows]:
    """Rows of (content, class), duplicates of one another with the same class or another one among them."""
    return st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=40)


def columns(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    return mix(np.array([key for key, _ in rows], np.uint64)), np.array([label for _, label in rows])


# A class of its own that is on every side, so that no split is empty whatever else is drawn.
ANCHOR: Rows = [(1000 + key, 99) for key in range(3)]


@settings(max_examples=500)
@given(rows=rows_of(), more=rows_of(), seed=st.integers(0, 2**40), held_out=st.booleans())
def test_growth_moves_no_row(rows: Rows, more: Rows, seed: int, held_out: bool) -> None:
    before = assign(*columns(ANCHOR + rows), seed, held_out=held_out)
    after = assign(*columns(ANCHOR + rows + more), seed, held_out=held_out, moved=before.moved)
    np.testing.assert_array_equal(after.sides[: len(ANCHOR + rows)], before.sides)
    assert before.moved.items() <= after.moved.items()


@given(seed=st.integers(0, 2**40), key=st.integers(0, 29))
def test_a_new_label_on_an_old_row_does_not_move_it(seed: int, key: int) -> None:
    rows = [(key, 0) for key in range(30)]
    before = assign(*columns(rows), seed)
    after = assign(*columns([*rows, (key, 1)]), seed, moved=before.moved)
    np.testing.assert_array_equal(after.sides[:30], before.sides)


@given(rows=rows_of(), seed=st.integers(0, 2**40))
def test_the_same_data_splits_the_same_again(rows: Rows, seed: int) -> None:
    first = assign(*columns(ANCHOR + rows), seed)
    again = assign(*columns(ANCHOR + rows), seed, moved=first.moved)
    np.testing.assert_array_equal(again.sides, first.sides)
    assert again.moved == first.moved


@given(rows=rows_of(), seed=st.integers(0, 2**40), held_out=st.booleans())
def test_equal_units_share_a_side(rows: Rows, seed: int, held_out: bool) -> None:
    units, classes = columns(ANCHOR + rows)
    sides = assign(units, classes, seed, held_out=held_out).sides
    assert all(len(set(sides[units == unit])) == 1 for unit in units)


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8), seed=st.integers(0, 2**40), held_out=st.booleans())
def test_every_class_is_everywhere(sizes: list[int], seed: int, held_out: bool) -> None:
    rows = [(key * 100 + label, label) for label, size in enumerate([3, *sizes]) for key in range(size)]
    units, classes = columns(rows)
    sides = assign(units, classes, seed, held_out=held_out).sides
    expected = [0, 1] if held_out else [0, 1, 2]
    for label, size in enumerate([3, *sizes]):
        assert sorted(set(sides[classes == label])) == expected[:size]


@given(seed=st.integers(0, 2**40), first=st.integers(1, 3), second=st.integers(0, 3), held_out=st.booleans())
def test_a_class_that_grows_one_by_one_ends_up_everywhere_without_a_move(
    seed: int, first: int, second: int, held_out: bool
) -> None:
    rows = [(key, 7) for key in range(first + second)]
    before = assign(*columns(ANCHOR + rows[:first]), seed, held_out=held_out)
    after = assign(*columns(ANCHOR + rows), seed, held_out=held_out, moved=before.moved)
    np.testing.assert_array_equal(after.sides[: 3 + first], before.sides)
    expected = ([0, 1] if held_out else [0, 1, 2])[: first + second]
    assert set(after.sides[3:]) >= set(expected)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 200)), min_size=30, max_size=80), st.integers(0, 99))
def test_groups_never_straddle(rows: list[tuple[int, int]], seed: int) -> None:
    table = pd.DataFrame({"x": [value for _, value in rows]})
    groups = pd.Series([f"person {group}" for group, _ in rows])
    raw = RawData(table, (), groups=groups)
    try:
        sides = assign(unit_hashes(raw), table["x"].to_numpy() % 2, seed).sides
    except UserError:
        assert groups.nunique() < 6
        return
    assert pd.Series(sides).groupby(groups).nunique().max() == 1


def test_a_missing_group_key_is_a_group_of_its_own() -> None:
    raw = RawData(pd.DataFrame({"x": range(4)}), (), groups=pd.Series(["a", None, None, "a"], dtype=object))
    assert len(set(unit_hashes(raw))) == 3


@pytest.mark.parametrize(
    ("held_out", "expected"), [(False, (0.6, 0.2, 0.2)), (True, (0.75, 0.25, 0.0))], ids=["own test", "held-out test"]
)
def test_fractions_are_near_those_asked(held_out: bool, expected: tuple[float, ...]) -> None:
    for seed in range(3):
        sides = assign(mix(np.arange(20_000, dtype=np.uint64)), np.zeros(20_000), seed, held_out=held_out).sides
        np.testing.assert_allclose(np.bincount(sides, minlength=3) / 20_000, expected, atol=0.012)


def test_seeds_give_different_splits_and_one_seed_the_same() -> None:
    units, classes = mix(np.arange(1000, dtype=np.uint64)), np.zeros(1000)
    sides = [assign(units, classes, seed).sides for seed in (0, 0, 1)]
    np.testing.assert_array_equal(sides[0], sides[1])
    assert 0.4 < np.mean(sides[0] == sides[2]) < 0.5  # 0.6² + 0.2² + 0.2² = 0.44 for independent splits


def test_too_few_different_rows_are_refused() -> None:
    with pytest.raises(UserError, match="too few different examples"):
        assign(np.array([1, 1, 2, 2], np.uint64), np.array([0, 0, 1, 1]), 0)


def test_only_moved_rows_are_remembered() -> None:
    assert assign(mix(np.arange(1000, dtype=np.uint64)), np.arange(1000) % 2, 0).moved == {}


@pytest.mark.parametrize(
    "same",
    [
        [1, 1.0, "1", np.float32(1), True, "1.0", "true"],
        [0.1, "0.1", "1e-1"],
        [None, np.nan, pd.NA, pd.NaT],
        [0.0, -0.0, False, "False"],
    ],
    ids=["one", "tenth", "missing", "zero"],
)
def test_a_value_has_one_hash_whatever_its_type(same: list[Any]) -> None:
    alone = [int(hash_values(pd.Series([each]))[0]) for each in same]
    among_texts = [int(hash_values(pd.Series([each, "text"], dtype=object))[0]) for each in same]
    assert set(alone + among_texts) == {alone[0]}


def test_types_that_change_as_a_file_grows_change_no_hash() -> None:
    whole = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.array([True, False])})
    grown = pd.DataFrame({"a": [1, 2, np.nan], "b": ["x", "y", 3], "c": [True, False, "?"], "new": [None, None, 5]})
    np.testing.assert_array_equal(hash_examples(whole), hash_examples(grown)[:2])


def test_the_order_of_columns_does_not_matter_but_their_names_do() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [2, 1]})
    np.testing.assert_array_equal(hash_examples(table), hash_examples(table[["b", "a"]]))
    assert set(hash_examples(table)).isdisjoint(hash_examples(table.rename(columns={"a": "c"})))
    assert len(set(hash_examples(table))) == 2


HASH_A_TABLE = """
import numpy as np, pandas as pd
from msearch_core.data.hashing import hash_examples
table = pd.DataFrame({"n": [1.5, None], "t": ["é", "z"], "d": pd.to_datetime(["2026-05-31", None])})
print(*hash_examples(table), *hash_examples(np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)))
"""


def test_hashes_are_the_same_in_every_process() -> None:
    """These very numbers decide which rows of stored searches are test rows: they may never change."""
    command = [sys.executable, "-c", HASH_A_TABLE]
    hashes = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "1"}).stdout
    assert hashes.split() == EXPECTED_HASHES


EXPECTED_HASHES = ["8404709207012106840", "7931898165990513655", "11009417550903347706", "16868647369657737666"]


def test_numbers_and_dates_keep_the_hashes_of_stored_searches() -> None:
    numbers = pd.Series([-7, 0.1, 2.0**33 - 1, 98765432109.5, 1e20])
    assert [*map(int, hash_values(numbers))] == [
        16734467769412237589,
        13962482895565609606,
        2262335098122428963,
        5042166821885836132,
        7237120479838743030,
    ]
    dates = pd.to_datetime(pd.Series(["2026-05-31T12:34:56.789"]))
    assert [*map(int, hash_values(dates))] == [7097861534409162266]


@given(st.sets(st.integers(1 - 2**53, 2**53 - 1), min_size=1))
def test_whole_numbers_have_a_hash_each_whatever_their_type(numbers: set[int]) -> None:
    whole = pd.Series(sorted(numbers), dtype="int64")
    hashes = hash_values(whole)
    assert len(set(hashes)) == len(numbers)
    for kind in ("Int64", "float64", "str", object):
        np.testing.assert_array_equal(hash_values(whole.astype(kind)), hashes)


@given(st.integers(-(2**63), 2**63 - 20))
def test_neighbouring_groups_are_two_whatever_their_type(first: int) -> None:
    keys = pd.Series(range(first, first + 20), dtype="int64")
    hashes = hash_keys(keys)
    assert len(set(hashes)) == 20
    for kind in ("Int64", "str", object):
        np.testing.assert_array_equal(hash_keys(keys.astype(kind)), hashes)


def test_a_first_missing_group_moves_no_long_one(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": range(20), "y": [0, 1] * 10, "who": np.arange(10**18, 10**18 + 20)})
    grown = table.assign(who=table["who"].astype("Int64").where(table["x"] < 19))
    table.to_csv(tmp_path / "whole.csv", index=False)
    grown.to_csv(tmp_path / "grown.csv", index=False)
    table.to_parquet(tmp_path / "whole.parquet")
    grown.to_parquet(tmp_path / "grown.parquet")
    units = [unit_hashes(load(DataOptions(str(path), ("y",), group="who")))[:19] for path in tmp_path.iterdir()]
    assert len(set(units[0])) == 19
    for each in units[1:]:
        np.testing.assert_array_equal(each, units[0])


def table_data(values: list[int], order: list[int] | None = None, **changes: Any) -> RawData:
    order = list(range(len(values))) if order is None else order
    table = pd.DataFrame({"a": values, "b": [f"t{value % 3}" for value in values]}).iloc[order].reset_index(drop=True)
    target = RawTarget("y", "classification", np.array([value % 2 for value in values], np.int32)[order], ("0", "1"))
    return RawData(**{"inputs": table, "targets": (target,), **changes})


@given(st.lists(st.integers(0, 30), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_the_fingerprint_ignores_the_order_of_rows(values: list[int], random: Any) -> None:
    order = random.sample(range(len(values)), len(values))
    assert fingerprint(table_data(values)) == fingerprint(table_data(values, order))


def test_the_fingerprint_sees_every_change() -> None:
    values = [1, 2, 3, 4, 5, 6]
    data = table_data(values)
    (target,) = data.targets
    others = [
        table_data([*values, 6]),
        table_data([1, 2, 3, 4, 5, 8]),
        table_data(values, targets=(replace(target, values=target.values[::-1]),)),
        table_data(values, targets=(replace(target, name="other"),)),
        table_data(values, targets=(replace(target, weight=2.0),)),
        table_data(values, targets=(target, replace(target, name="other"))),
        table_data(values, balance=True),
        table_data(values, weight=np.array([1, 2, 1, 1, 1, 1], np.float32)),
        table_data(values, groups=pd.Series([1, 1, 2, 2, 3, 3])),
        table_data(values, groups=pd.Series([1, 1, 2, 2, 3, 4])),
        table_data(values, test=data),
        table_data(values, inputs=pd.DataFrame(data.inputs).rename(columns={"a": "c"})),
    ]
    prints = [fingerprint(each) for each in (data, *others)]
    assert prints[0] == "18efe11378687df8"  # as in the records of stored searches
    assert len(set(prints)) == len(prints)
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in prints)


@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_the_fingerprint_tells_numbers_from_texts_that_spell_them(kind: str) -> None:
    """They have the same hashes, so that none moves, but are prepared in another way."""
    table = pd.DataFrame({"a": [1, 2, None], "b": list("xyz")})
    spelt = table.assign(a=pd.Series(["1", "2", None], dtype=kind))
    np.testing.assert_array_equal(hash_examples(table), hash_examples(spelt))
    lengths = np.array([2, 1])
    for one, other in [(table, spelt), (Sequences(lengths, table), Sequences(lengths, spelt))]:
        assert fingerprint(RawData(one, ())) != fingerprint(RawData(other, ()))


@pytest.mark.parametrize(("wrong", "right"), [("01234", "1234"), ("true", "1"), ("1e3", "1000"), ("1,5", "1.5")])
def test_the_fingerprint_sees_a_corrected_spelling_that_moves_no_row(wrong: str, right: str) -> None:
    def data(category: str, label: str, *, steps: bool = False) -> RawData:
        table = pd.DataFrame({"a": [category, right, "b"]})
        target = RawTarget("y", "classification", np.array([0, 1, 1], np.int32), (label, "other"))
        return RawData(Sequences(np.array([1, 1, 1]), table) if steps else table, (target,))

    for steps in (False, True):
        plain = data(right, right, steps=steps)
        for other in (data(wrong, right, steps=steps), data(right, wrong, steps=steps)):
            np.testing.assert_array_equal(unit_hashes(other), unit_hashes(plain))
            assert fingerprint(other) != fingerprint(plain)


def test_plain_spellings_keep_the_fingerprints_of_stored_searches() -> None:
    table = pd.DataFrame({"a": ["1", "x", "y"], "b": ["0.5", "2", None], "c": [True, False, True], "d": [1.0, 2.5, 3]})
    target = RawTarget("y", "classification", np.array([0, 1, 1], np.int32), ("7", "8"))
    assert fingerprint(RawData(table, (target,))) == "1f900c30e69f2a3c"


def test_the_steps_of_an_example_count_in_their_order() -> None:
    def data(values: list[float], lengths: list[int]) -> RawData:
        return RawData(Sequences(np.array(lengths), pd.DataFrame({"a": values})), ())

    prints = [
        fingerprint(data(*each))
        for each in [([1, 2, 3], [2, 1]), ([2, 1, 3], [2, 1]), ([1, 2, 3], [1, 2]), ([1, 2, 3], [3])]
    ]
    assert len(set(prints)) == 4
    assert fingerprint(data([3, 1, 2], [1, 2])) == prints[0]  # the same examples in another order
