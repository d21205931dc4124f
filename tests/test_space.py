from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.blocks.dense import dense
from msearch_core.errors import UserError
from msearch_core.loading import CODE_PATH, load_space
from msearch_core.space import IMAGE, Choice, SearchSpace, Uniform, architecture_hash
from msearch_core.training.inherit import align
from search_spaces import image, tabular

SPACES = {"tabular": tabular.space, "image": image.space.for_input((8, 8, 1))}
spaces = st.sampled_from(sorted(SPACES)).map(SPACES.__getitem__)
seeds = st.integers(0, 2**32 - 1)


def test_a_block_is_named_after_its_parameters() -> None:
    assert dense(units=64, activation="relu").name == "dense(units=64,activation=relu)"
    with pytest.raises(TypeError):
        dense(unitz=64)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_suggestions_are_valid(space: SearchSpace) -> None:
    assert space.suggestions
    assert [space.why_invalid(each) for each in space.suggestions] == [None] * len(space.suggestions)


@given(spaces, seeds)
def test_random_architectures_are_valid(space: SearchSpace, seed: int) -> None:
    architecture = space.random_architecture(np.random.default_rng(seed))
    assert architecture is not None
    assert space.why_invalid(architecture) is None


@given(spaces, seeds, st.data())
def test_mutations_are_valid_and_differ_in_one_place(space: SearchSpace, seed: int, data: st.DataObject) -> None:
    architecture = space.random_architecture(np.random.default_rng(seed))
    assert architecture is not None
    position = data.draw(st.integers(0, len(architecture) - 1))
    for other in space.replacements(architecture, position):
        assert space.is_valid(other)
        assert [i for i, (a, b) in enumerate(zip(architecture, other, strict=True)) if a != b] == [position]
    for other in space.insertions(architecture, position):
        assert space.is_valid(other)
        assert (*other[:position], *other[position + 1 :]) == architecture


@given(spaces, seeds)
def test_hyperparameters_lie_in_their_distributions(space: SearchSpace, seed: int) -> None:
    drawn = space.random_hyperparameters(np.random.default_rng(seed))
    assert set(drawn) == {"optimizer", "learning_rate", "decay", "dropout", "l2", "clip_norm"}
    assert all(space.hyperparameters[name].contains(value) for name, value in drawn.items())


@given(st.floats(1e-6, 1), st.floats(1.001, 1e4), st.booleans(), seeds)
def test_uniform_stays_in_bounds_but_for_rounding(low: float, ratio: float, log: bool, seed: int) -> None:
    value = Uniform(low, low * ratio, log).sample(np.random.default_rng(seed))
    assert low * 0.999 <= float(value) <= low * ratio * 1.001


def test_choice_draws_every_option() -> None:
    rng = np.random.default_rng(0)
    assert {Choice(("a", 1)).sample(rng) for _ in range(50)} == {"a", 1}


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ((), "0 blocks"),
        (("dens(units=3)",), "not a block"),
        (("flatten()", "max_pool(stride=2)"), "cannot follow on vector"),
        (("max_pool(stride=2)", "max_pool(stride=2)"), "8|4|2 pixels|ends in image"),
        (("max_pool(stride=2)",) * 3 + ("flatten()",), "of 2 pixels"),
    ],
)
def test_what_is_invalid_is_said(architecture: tuple[str, ...], reason: str) -> None:
    said = SPACES["image"].why_invalid(architecture)
    assert said is not None
    assert any(each in said for each in reason.split("|"))


def test_the_fingerprint_follows_the_meaning() -> None:
    space = tabular.space
    again = SearchSpace(**{name: getattr(space, name) for name in space.__dataclass_fields__})
    deeper = SearchSpace(**{name: getattr(space, name) for name in space.__dataclass_fields__} | {"max_depth": 9})
    assert space.fingerprint == again.fingerprint != deeper.fingerprint
    assert architecture_hash(("a",)) != architecture_hash(("b",))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), st.sampled_from("abcd"), st.data())
def test_an_inserted_block_does_not_shift_the_others(parent: list[str], new: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(parent)))
    child = [*parent[:position], new, *parent[position:]]
    matched = align(child, parent)
    assert sorted(matched.values()) == list(range(len(parent)))
    assert all(child[mine] == parent[theirs] for mine, theirs in matched.items())


def test_a_replaced_block_is_matched_with_what_it_replaces() -> None:
    assert align(["a", "x", "c"], ["a", "b", "c"]) == {0: 0, 1: 1, 2: 2}


def test_spaces_load_by_name_and_only_from_allowed_folders(tmp_path, monkeypatch) -> None:
    assert load_space("tabular") is tabular.space
    assert load_space("search_spaces.image:space").input == IMAGE
    file = tmp_path / "mine.py"
    file.write_text("from search_spaces.tabular import space as mine\n")
    monkeypatch.delenv(CODE_PATH, raising=False)
    with pytest.raises(UserError, match=CODE_PATH):
        load_space(f"{file}:mine")
    monkeypatch.setenv(CODE_PATH, str(tmp_path))
    assert load_space(f"{file}:mine") is tabular.space
    for wrong in ("nowhere", "no.such:thing", "json:dumps", f"{file}:other", f"{tmp_path / 'absent.py'}:mine"):
        with pytest.raises(UserError):
            load_space(wrong)


def test_spaces_and_the_client_import_without_tensorflow_and_prefect() -> None:
    code = (
        "import sys, search_spaces.image, search_spaces.tabular, msearch_core.loading, msearch_core.training.client,"
        " msearch_core.objectives, msearch_core.training.spec;"
        " print(sorted({'tensorflow', 'keras', 'prefect', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_fingerprint_follows_shared_helpers_and_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    from msearch_core.blocks import layers
    from msearch_core.blocks.dense import dense

    def fingerprint() -> str:
        blocks = (dense(units=8, batch_norm=True),)
        return SearchSpace("s", blocks=blocks, hyperparameters={}).fingerprint

    before = fingerprint()
    assert before == fingerprint()
    monkeypatch.setattr(layers, "BATCH_NORM_MOMENTUM", 0.99)
    assert fingerprint() != before
