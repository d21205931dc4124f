from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.blocks.dense import dense
from msearch_core.errors import UserError
from msearch_core.fingerprint import source
from msearch_core.loading import CODE_PATH, load_space
from msearch_core.space import IMAGE, SEQUENCE, Cells, Choice, SearchSpace, Uniform, architecture_hash
from msearch_core.space import block as make_family
from search_spaces import image, tabular
from tests import landscapes
from tests.landscapes import flat, frames, last, picture, plain, recurrent

NAMED = {"tabular": tabular.space, "image": image.space.for_input((8, 8, 1))}
SPACES = {**NAMED, **landscapes.SPACES}
spaces = st.sampled_from(sorted(SPACES)).map(SPACES.__getitem__)
seeds = st.integers(0, 2**32 - 1)


def test_a_block_is_named_after_its_parameters() -> None:
    assert dense(units=64, activation="relu").name == "dense(units=64,activation=relu)"
    with pytest.raises(TypeError):
        dense(unitz=64)


@pytest.mark.parametrize("space", NAMED.values(), ids=NAMED)
def test_suggestions_are_valid(space: SearchSpace) -> None:
    assert space.suggestions
    assert [space.why_invalid(each) for each in space.suggestions] == [None] * len(space.suggestions)


@given(spaces, seeds)
def test_random_architectures_are_valid(space: SearchSpace, seed: int) -> None:
    architecture = space.random_architecture(np.random.default_rng(seed))
    assert architecture is not None
    assert space.why_invalid(architecture) is None


@given(spaces, seeds, st.data())
def test_mutations_are_all_the_valid_ones(space: SearchSpace, seed: int, data: st.DataObject) -> None:
    architecture = space.random_architecture(np.random.default_rng(seed))
    position = data.draw(st.integers(0, len(architecture) - 1))
    names = sorted(every_name(space))
    before, after = architecture[:position], architecture[position + 1 :]
    replaced = [(*before, name, *after) for name in names if name != architecture[position]]
    assert sorted(space.replacements(architecture, position)) == list(filter(space.is_valid, replaced))
    inserted = [(*before, name, *architecture[position:]) for name in names]
    assert sorted(space.insertions(architecture, position)) == list(filter(space.is_valid, inserted))
    removed = {(*architecture[:place], *architecture[place + 1 :]) for place in range(len(architecture))}
    assert sorted(space.removals(architecture)) == sorted(filter(space.is_valid, removed))


def every_name(space: SearchSpace) -> list[str]:
    heads = [f"{head}/{block.name}" for head in space.heads for block in space.head_blocks]
    return [*(block.name for block in space.blocks), *space.repeats, *heads]


@given(spaces, seeds)
def test_what_is_built_fits_together(space: SearchSpace, seed: int) -> None:
    """Kinds and sizes, followed block by block through what is really built."""
    architecture = space.random_architecture(np.random.default_rng(seed))
    kind, sizes = space.input, list((space.input_shape or ())[:-1])
    for block in space.resolve(space.expand(space.tower(architecture))):
        assert block.family.takes == kind
        assert block.stride == 1 or all(size >= 2 * block.stride for size in sizes)
        kind, sizes = block.family.gives, [-(-size // block.stride) for size in sizes]
        sizes = sizes[: {"image": 2, "sequence": 1, "vector": 0}[kind]]
    assert kind == space.output
    heads = [space.head(architecture, target) for target in space.heads]
    named = [f"{target}/{name}" for target, own in zip(space.heads, heads, strict=True) for name in own]
    assert architecture == (*space.tower(architecture), *named)
    assert all(len(space.resolve(own)) <= space.max_head_depth for own in heads)


@given(st.sampled_from(list(NAMED.values())), seeds)
def test_hyperparameters_lie_in_their_distributions(space: SearchSpace, seed: int) -> None:
    drawn = space.random_hyperparameters(np.random.default_rng(seed))
    assert set(drawn) == {"optimizer", "learning_rate", "decay", "dropout", "l2", "clip_norm"}
    assert all(space.hyperparameters[name].contains(value) for name, value in drawn.items())


@given(st.floats(1e-6, 1), st.floats(1.001, 1e4), st.booleans(), seeds)
def test_uniform_stays_in_bounds(low: float, ratio: float, log: bool, seed: int) -> None:
    value = Uniform(low, low * ratio, log).sample(np.random.default_rng(seed))
    assert low <= float(value) <= low * ratio


@given(st.floats(1e-6, 1), st.floats(1.1, 1e4), st.booleans(), seeds)
def test_a_mutated_number_is_near(low: float, ratio: float, log: bool, seed: int) -> None:
    distribution, rng = Uniform(low, low * ratio, log), np.random.default_rng(seed)
    value = distribution.sample(rng)
    mutated = [distribution.mutate(value, rng) for _ in range(30)]
    assert all(distribution.contains(each) for each in mutated)
    assert abs(np.median([distribution.to_unit(each) for each in mutated]) - distribution.to_unit(value)) < 0.35
    assert distribution.from_unit(distribution.to_unit(value)) == pytest.approx(value, rel=1e-3)


def test_a_mutated_choice_is_another_one() -> None:
    rng = np.random.default_rng(0)
    assert {Choice(("a", 1, 2)).mutate("a", rng) for _ in range(50)} == {1, 2}
    assert Choice(("a",)).mutate("a", rng) == "a"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Uniform(2, 1), r"Uniform\(2, 1\) is no range; expected low <= high"),
        (lambda: Uniform(0.0, math.nan), "is no range"),
        (lambda: Uniform(0, 1, log=True), "expected low > 0"),
        (lambda: Choice(()), "has no options"),
        (lambda: Choice("adam"), "has no options; expected a tuple"),
        (lambda: with_hyperparameters(learning_rat=Uniform(0, 1)), "no hyperparameter 'learning_rat'; .*learning_rate"),
        (lambda: with_hyperparameters(optimizer=Choice(("adam", "adamm"))), "'adamm'; expected adam or adamw"),
        (lambda: with_hyperparameters(decay=Uniform(0, 1)), "decay may be 0; expected none or cosine"),
        (lambda: with_hyperparameters(l2=Choice((0.1, "little"))), "l2 may be 'little'; expected numbers"),
        (lambda: with_hyperparameters(l2=0.1), "l2 is 0.1; expected a Choice or a Uniform"),
    ],
)
def test_what_no_trial_could_use_is_refused_at_once(make: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def with_hyperparameters(**hyperparameters: Any) -> SearchSpace:
    return dataclasses.replace(landscapes.SPACES["vectors"], hyperparameters=hyperparameters)


def test_a_parameter_that_a_block_does_not_have_is_told_with_its_name() -> None:
    with pytest.raises(TypeError, match="the block plain: missing a required argument: 'units'"):
        plain(width=8)


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


def test_spaces_load_by_name_and_only_from_allowed_folders(tmp_path, monkeypatch) -> None:
    assert load_space("tabular") is tabular.space
    assert load_space("search_spaces.image:space").input == IMAGE
    file = tmp_path / "mine.py"
    file.write_text("from search_spaces.tabular import space as mine\n")
    monkeypatch.delenv(CODE_PATH, raising=False)
    with pytest.raises(UserError, match=CODE_PATH):
        load_space(f"{file}:mine")
    monkeypatch.chdir(tmp_path)
    assert load_space("mine.py:mine") is load_space(f"{file}:mine") is tabular.space
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "carried.py").write_text("raise RuntimeError('a log carried code')\n")
    with pytest.raises(UserError, match=f"start the command in its folder.*{CODE_PATH}"):
        load_space("log/carried.py")
    monkeypatch.chdir("/")
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


SIDES = (3, 5)


@make_family(takes=IMAGE)
def many_sided(inputs: Any, name: str, *, filters: int) -> Any:
    """Uses a constant within a comprehension only."""
    return [(inputs, name, filters, side) for side in SIDES]


def test_the_fingerprint_follows_what_comprehensions_use(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source(many_sided.function)
    monkeypatch.setattr("tests.test_space.SIDES", (3, 7))
    assert source(many_sided.function) != before


class TestSequences:
    blocks = (picture(filters=8, stride=2), frames(), recurrent(units=8, stride=2), last(), plain(units=8))
    space = SearchSpace("s", blocks=blocks, hyperparameters={}, input=IMAGE, input_shape=(16, 5, 1), max_depth=6)
    shrink, cut, step = "picture(filters=8,stride=2)", "frames()", "recurrent(units=8,stride=2)"

    def test_time_goes_on_when_an_image_becomes_a_sequence(self) -> None:
        # 16 x 5, 8 x 3, then 8, 4 and 2 steps: the short side matters to images only
        assert self.space.is_valid((self.shrink, self.cut, self.step, self.step, "last()"))
        said = self.space.why_invalid((self.shrink, self.cut, self.step, self.step, self.step, "last()"))
        assert said == f"{self.step} cannot follow on sequence data of 2 steps"
        assert "of 3 pixels" in str(self.space.why_invalid((self.shrink, self.shrink, self.cut, "last()")))

    def test_a_short_sequence_is_not_strided(self) -> None:
        space = SearchSpace("s", blocks=self.blocks, hyperparameters={}, input=SEQUENCE)
        assert space.is_valid((self.step, "last()"))
        assert not space.for_input((3, 9)).is_valid((self.step, "last()"))
        assert space.for_input((4, 9)).is_valid((self.step, "last()"))

    def test_labels_for_each_step_allow_no_stride(self) -> None:
        with pytest.raises(ValueError, match="labels each time step, and recurrent"):
            SearchSpace(
                "s", blocks=(recurrent(units=8, stride=2),), hyperparameters={}, input=SEQUENCE, output=SEQUENCE
            )

    def test_a_stride_may_be_a_default(self) -> None:
        from msearch_core.blocks.pooling import max_pool

        assert (max_pool().stride, max_pool(stride=3).stride, picture(filters=8).stride) == (2, 3, 1)


class TestHeads:
    space = landscapes.SPACES["heads"]
    tower = ("plain(units=8)", "plain(units=16)")

    def test_an_architecture_comes_apart(self) -> None:
        own = ("price/plain(units=64)", "price/other(units=8)", "a/b/other(units=16)")
        architecture = (*self.tower, *own)
        assert self.space.why_invalid(architecture) is None
        assert self.space.tower(architecture) == self.tower
        assert self.space.head(architecture, "price") == ("plain(units=64)", "other(units=8)")
        assert self.space.head(architecture, "a/b") == ("other(units=16)",)
        assert self.space.expand(architecture) == architecture

    @pytest.mark.parametrize(
        ("own", "reason"),
        [
            (("a/b/other(units=8)", "price/other(units=8)"), "price/other(units=8) cannot follow"),
            (("price/other(units=8)",) * 3, "3 blocks in a head, where up to 2"),
            (("price/plain(units=8)",), "not a block"),
            (("else/other(units=8)",), "not a block"),
            (("price/other(units=8)", "plain(units=8)"), "plain(units=8) cannot follow"),
        ],
    )
    def test_what_is_invalid_is_said(self, own: tuple[str, ...], reason: str) -> None:
        assert reason in str(self.space.why_invalid((*self.tower, *own)))

    def test_the_tower_has_to_be_whole_before_a_head(self) -> None:
        space = dataclasses.replace(landscapes.SPACES["images"], heads=("a", "b"), head_blocks=(plain(units=8),))
        assert "a/plain(units=8) cannot follow" in str(space.why_invalid(("picture(filters=8)", "a/plain(units=8)")))
        assert space.is_valid(("picture(filters=8)", "flat(filters=8)", "a/plain(units=8)"))

    def test_draws_hold_heads_of_every_depth(self) -> None:
        drawn = [self.space.random_architecture(np.random.default_rng(seed)) for seed in range(200)]
        depths = {tuple(len(self.space.head(each, target)) for target in self.space.heads) for each in drawn}
        assert depths == {(first, second) for first in range(3) for second in range(3)}
        assert self.space.max_length == 7

    def test_without_several_targets_nothing_changes(self) -> None:
        alone = dataclasses.replace(self.space, heads=())
        plain_space = dataclasses.replace(alone, head_blocks=())
        draws = [space.random_architecture(np.random.default_rng(3)) for space in (alone, plain_space)]
        assert draws[0] == draws[1]
        assert alone.max_length == 3
        assert alone.fingerprint == self.space.fingerprint != plain_space.fingerprint

    def test_a_head_takes_what_the_tower_gives(self) -> None:
        with pytest.raises(ValueError, match="cannot be a block of a head"):
            dataclasses.replace(self.space, head_blocks=(flat(filters=8),))


class TestCells:
    space = landscapes.SPACES["cells"]
    cell = ("picture(filters=4)", "picture(filters=8)")
    reduction = "picture(filters=32,stride=2)"

    def test_a_cell_is_repeated_with_reductions_in_between(self) -> None:
        architecture = (*self.cell, "repeat(times=4)", "flat(filters=8)")
        assert self.space.why_invalid(architecture) is None
        group = self.cell * 2
        assert self.space.expand(architecture) == (*group, self.reduction, *group, "flat(filters=8)")
        once = (*self.cell, "repeat(times=1)", "flat(filters=8)")
        assert self.space.expand(once) == (*self.cell, "flat(filters=8)")
        assert [block.name for block in self.space.resolve(self.space.expand(once))] == [*self.cell, "flat(filters=8)"]

    @pytest.mark.parametrize(
        ("architecture", "reason"),
        [
            (("repeat(times=2)", "flat(filters=8)", "plain(units=8)"), "cannot follow"),
            ((*cell, "flat(filters=8)"), "cannot follow on image data of 16 pixels within a cell"),
            ((*cell, "repeat(times=2)", "repeat(times=2)", "flat(filters=8)"), "repeat(times=2) cannot follow"),
            ((*cell, "repeat(times=5)", "flat(filters=8)"), "not a block"),
            (cell * 2, "says no repeat"),
            ((*cell, "repeat(times=2)"), "ends in image"),
        ],
    )
    def test_what_is_invalid_is_said(self, architecture: tuple[str, ...], reason: str) -> None:
        assert reason in str(self.space.why_invalid(architecture))

    def test_reductions_need_room(self) -> None:
        small = self.space.for_input((4, 4, 1))
        allowed = {
            times
            for times in (1, 2, 3, 4, 6)
            if small.is_valid((*self.cell, f"repeat(times={times})", "flat(filters=8)"))
        }
        assert allowed == {1, 2, 3, 4}

    def test_how_often_is_searched_as_a_block_is(self) -> None:
        architecture = (*self.cell, "repeat(times=2)", "flat(filters=8)")
        assert self.space.repeat(architecture) == 2
        others = {child[2] for child in self.space.replacements(architecture, 2)}
        assert others == {f"repeat(times={times})" for times in (1, 3, 4, 6)}
        drawn = {self.space.random_architecture(np.random.default_rng(seed)) for seed in range(200)}
        assert {name for each in drawn for name in each if name in self.space.repeats} == set(self.space.repeats)

    def test_the_fingerprint_follows_the_cells(self) -> None:
        other = Cells(repeats=(1, 2, 3, 4, 6), reduction=picture(filters=32, stride=2), every=3)
        assert dataclasses.replace(self.space, cells=other).fingerprint != self.space.fingerprint


def test_listing_neighbours_is_fast_in_a_large_space() -> None:
    """500 blocks, 30 deep: asking each candidate on its own took half a second."""
    space = landscapes.SPACES["huge"]
    architecture = ("plain(units=1)",) * 29
    calls = 0
    original = SearchSpace.why_invalid

    def counted(self: SearchSpace, candidate: tuple[str, ...]) -> str | None:
        nonlocal calls
        calls += 1
        return original(self, candidate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchSpace, "why_invalid", counted)
        assert len(space.replacements(architecture, 7)) == 499
        assert len(space.insertions(architecture, 7)) == 500
    assert calls <= 2
