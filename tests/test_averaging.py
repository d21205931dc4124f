"""Averaging what several trials have learned: which trials, which of their tensors, and that nothing shrinks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.algorithms.history import Outcome
from msearch_core.algorithms.inheritance import AVERAGED, with_sources
from msearch_core.algorithms.promotion import promotion
from msearch_core.errors import UserError
from msearch_core.proposal import Proposal
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.averaging import Source, average
from msearch_core.training.sources import inherited_steps, load_parents, parents_of
from msearch_core.trial_log import TrialLog

BLOCKS = ("dense", "dense")
KERNELS = ("b0_dense_dense/kernel", "b1_dense_dense/kernel", "head/kernel")
MEAN, VARIANCE = "b1_dense_norm/moving_mean", "b1_dense_norm/moving_variance"


def weights(seed: int, width: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {KERNELS[0]: (9, width), KERNELS[1]: (width, 12), MEAN: (12,), VARIANCE: (12,), KERNELS[2]: (12, 3)}
    drawn = {path: rng.normal(size=shape).astype(np.float32) for path, shape in shapes.items()}
    return drawn | {VARIANCE: np.abs(drawn[VARIANCE])}


def trained_on(start: Mapping[str, np.ndarray], seed: int, by: float = 0.3) -> dict[str, np.ndarray]:
    """As training leaves them: near to where they came from."""
    rng = np.random.default_rng(seed)
    moved = {path: each + by * rng.normal(size=each.shape).astype(np.float32) for path, each in start.items()}
    return moved | {VARIANCE: np.abs(moved[VARIANCE])}


def mean_of(*trials: Mapping[str, np.ndarray], shares: Sequence[float] | None = None) -> dict[str, np.ndarray]:
    shares = shares or [1.0] * len(trials)
    return average([Source(each, BLOCKS, share) for each, share in zip(trials, shares, strict=True)])[0]


@given(
    seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4),
    shares=st.lists(st.floats(0.01, 5.0), min_size=4, max_size=4),
)
def test_every_number_lies_between_those_it_comes_from(seeds: list[int], shares: list[float]) -> None:
    """Weights that do not sum to one, or that are applied twice, would leave the interval."""
    start = weights(0)
    trials = [trained_on(start, seed) for seed in seeds]
    found = mean_of(*trials, shares=shares[: len(trials)])
    for path, values in found.items():
        stacked = np.stack([each[path] for each in trials])
        assert (values >= stacked.min(axis=0) - 1e-6).all()
        assert (values <= stacked.max(axis=0) + 1e-6).all()
        assert values.dtype == np.float32
    assert (found[VARIANCE] >= 0).all()


def test_the_mean_is_the_mean() -> None:
    trials = [trained_on(weights(0), seed) for seed in range(3)]
    uniform, weighted = mean_of(*trials), mean_of(*trials, shares=(0.5, 0.3, 0.2))
    for path in trials[0]:
        np.testing.assert_allclose(uniform[path], sum(each[path] for each in trials) / 3, rtol=1e-5, atol=1e-6)
        expected = 0.5 * trials[0][path] + 0.3 * trials[1][path] + 0.2 * trials[2][path]
        np.testing.assert_allclose(weighted[path], expected, rtol=1e-5, atol=1e-6)


def test_weights_do_not_shrink_where_a_source_takes_no_part() -> None:
    trials = [trained_on(weights(0), seed) for seed in range(2)]
    stranger = weights(99)
    found = mean_of(*trials, stranger, shares=(1 / 3, 1 / 3, 1 / 3))
    expected = mean_of(*trials)
    for path in found:
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-6)


def test_behind_the_first_block_that_differs_nothing_is_averaged() -> None:
    start = weights(0)
    other = trained_on(start, 1) | {KERNELS[1]: weights(5)[KERNELS[1]]}
    found, fraction = average([Source(start, BLOCKS, 0.5), Source(other, BLOCKS, 0.5)])
    np.testing.assert_allclose(found[KERNELS[0]], (start[KERNELS[0]] + other[KERNELS[0]]) / 2, rtol=1e-5)
    for path in (KERNELS[1], KERNELS[2], MEAN, VARIANCE):
        assert np.array_equal(found[path], start[path])
    assert fraction == pytest.approx(9 * 12 / sum(each.size for each in start.values()))

    named = Source(trained_on(start, 1), ("dense", "other"), 0.5)
    assert average([Source(start, BLOCKS, 0.5), named])[1] == pytest.approx(fraction)
    wider = Source(weights(0, width=20), BLOCKS, 0.5)
    assert average([Source(start, BLOCKS, 0.5), wider])[1] == 0


def test_heads_are_averaged_only_behind_the_same_tower() -> None:
    start = weights(0)
    longer = Source(trained_on(start, 1), (*BLOCKS, "pool"), 0.5)
    found, _ = average([Source(start, BLOCKS, 0.5), longer])
    assert np.array_equal(found[KERNELS[2]], start[KERNELS[2]])
    assert not np.array_equal(found[KERNELS[1]], start[KERNELS[1]])


def outcome(slot: int, score: float | None, architecture: tuple[str, ...] = ("a", "b"), **more: object) -> Outcome:
    uid = f"0001-{slot:06d}"
    fields = {"tie_break": -1.0, "weights": f"weights/{uid}", **more}
    return Outcome(
        uid=uid, score=score, architecture=architecture, hyperparameters={}, parameters=1, cumulative_steps=1, **fields
    )  # type: ignore[arg-type]


HISTORY = [
    outcome(1, 0.5, tie_break=-2.0),
    outcome(2, 0.9, ("z", "b")),
    outcome(3, 0.8, ("a", "c")),
    outcome(4, None),
    outcome(5, 0.7, ("a",), tie_break=-0.5),
    outcome(6, 0.6),
    outcome(7, 0.95, weights=None),
    outcome(8, 0.99, kind="rescore"),
]
BY_UID = {each.uid: each for each in HISTORY}
CHILD = Proposal(("a", "b", "c"), {"rate": 0.1}, parents=("0001-000001",))


class TestSources:
    @pytest.mark.parametrize("mode", [None, "parent", "none"])
    def test_only_an_average_has_more_than_a_parent(self, mode: str | None) -> None:
        assert with_sources(CHILD, HISTORY, mode) is CHILD

    def test_the_parent_and_the_best_that_begin_alike(self) -> None:
        found = with_sources(CHILD, HISTORY, "average")
        assert found.parents == ("0001-000001", "0001-000003", "0001-000005")
        assert list(found.shares.values()) == pytest.approx([1 / 3] * AVERAGED)
        assert found.key != CHILD.key
        assert Proposal.from_json(dataclasses.asdict(found)) == found

    def test_weighted_by_loss_and_summing_to_one(self) -> None:
        found = with_sources(CHILD, HISTORY, "weighted")
        assert list(found.shares.values()) == pytest.approx([0.5 / 3.5, 1 / 3.5, 2 / 3.5])
        unknown = [dataclasses.replace(each, tie_break=float("-inf")) for each in HISTORY]
        assert list(with_sources(CHILD, unknown, "weighted").shares.values()) == pytest.approx([1 / 3] * AVERAGED)

    def test_without_a_parent_the_best_that_begins_alike_comes_first(self) -> None:
        found = with_sources(dataclasses.replace(CHILD, parents=()), HISTORY, "average")
        assert found.parents == ("0001-000003", "0001-000005", "0001-000006")
        stranger = Proposal(("q",), {})
        assert with_sources(stranger, HISTORY, "average") is stranger

    def test_one_source_needs_no_shares(self) -> None:
        assert with_sources(CHILD, HISTORY[:2], "average") == CHILD

    def test_never_its_own_teacher(self) -> None:
        taught = dataclasses.replace(CHILD, teacher="0001-000003")
        assert "0001-000003" not in with_sources(taught, HISTORY, "average").parents

    def test_a_second_parent_stays_on_record(self) -> None:
        crossed = dataclasses.replace(CHILD, parents=("0001-000001", "0001-000002"))
        found = with_sources(crossed, HISTORY, "average")
        assert found.parents[-1] == "0001-000002"
        assert "0001-000002" not in found.shares


class TestFetching:
    """What a trainer brings to its machine for a trial to start from."""

    def test_none_has_parents_and_inherits_nothing(self) -> None:
        assert parents_of(CHILD, BY_UID, {"inheritance": "none"}) == []
        assert parents_of(promotion(BY_UID["0001-000001"]), BY_UID, {"inheritance": "none"}) == [BY_UID["0001-000001"]]
        assert [each.uid for each in parents_of(CHILD, BY_UID, {})] == ["0001-000001"]

    def test_weights_that_are_gone_are_left_out(self, tmp_path: Path) -> None:
        artefacts = Artefacts(TrialLog(str(tmp_path / "log")).store)
        proposal = with_sources(CHILD, HISTORY, "weighted")
        parents = parents_of(proposal, BY_UID, {"inheritance": "weighted"})
        assert [each.uid for each in parents] == list(proposal.shares)
        sorted_ = dataclasses.replace(proposal, shares=dict(sorted(proposal.shares.items(), reverse=True)))
        assert parents_of(sorted_, BY_UID, {}) == parents
        assert load_parents(artefacts, proposal, parents, tmp_path) == ()

        for uid in ("0001-000003", "0001-000005"):
            (tmp_path / "log/weights").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"log/weights/{uid}").write_bytes(b"tensors")
        first, second = load_parents(artefacts, proposal, parents, tmp_path)
        assert first.architecture == ("a", "c")
        assert (first.share, second.share) == pytest.approx((1 / 3.5, 2 / 3.5))

    @pytest.mark.parametrize("uid", ["../evil", "/evil", "0001-000001/../../evil"])
    def test_no_log_makes_it_write_elsewhere(self, tmp_path: Path, uid: str) -> None:
        (tmp_path / "log/weights").mkdir(parents=True)
        for name in ("evil", "outputs"):
            (tmp_path / f"log/weights/{name}").write_bytes(b"tensors")
        artefacts = Artefacts(TrialLog(str(tmp_path / "log")).store)
        evil = dataclasses.replace(HISTORY[0], uid=uid, weights="weights/evil", predictions="weights/outputs")
        (tmp_path / "scratch").mkdir()
        with pytest.raises(UserError, match="is no trial uid"):
            artefacts.load_members(evil, {uid: evil}, tmp_path / "scratch")
        with pytest.raises(UserError, match="is no trial uid"):
            artefacts.load_outputs({uid: evil}, tmp_path / "scratch")
        assert not (tmp_path / "evil.safetensors").exists()

    def test_the_longest_line_counts(self) -> None:
        longer = [dataclasses.replace(HISTORY[0], cumulative_steps=steps) for steps in (500, 1500, 1000)]
        assert inherited_steps(longer) == 1500
        assert inherited_steps([]) == 0
