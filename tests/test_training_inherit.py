"""Which of the parent's blocks a child's blocks are matched with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from msearch_core.training.places import align


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), st.sampled_from("abcd"), st.data())
def test_an_inserted_block_does_not_shift_the_others(parent: list[str], new: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(parent)))
    child = [*parent[:position], new, *parent[position:]]
    matched = align(child, parent)
    assert sorted(matched.values()) == list(range(len(parent)))
    assert all(child[mine] == parent[theirs] for mine, theirs in matched.items())


def test_a_replaced_block_is_matched_with_what_it_replaces() -> None:
    assert align(["a", "x", "c"], ["a", "b", "c"]) == {0: 0, 1: 1, 2: 2}
