"""Which trials go on: asynchronous successive halving in both forms, and the median rule."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.algorithms.early_stopping import (
    EVALUATIONS,
    RUNGS,
    Reached,
    beats_median,
    goes_on,
    promotable,
    rung_reached,
)

SCORES = st.lists(st.floats(-10, 10), min_size=0, max_size=40)


def reached(*scores: float) -> list[Reached]:
    return [Reached(f"0001-{slot:06d}", score) for slot, score in enumerate(scores, 1)]


class TestGoesOn:
    def test_the_first_ones_go_on_whatever_they_reached(self) -> None:
        assert goes_on(Reached("a", -5.0), [])
        assert goes_on(Reached("a", -5.0), reached(1.0))

    def test_one_in_three_goes_on(self) -> None:
        peers = reached(0.1, 0.2, 0.3, 0.4, 0.5)
        assert goes_on(Reached("a", 0.45), peers)
        assert not goes_on(Reached("a", 0.35), peers)

    def test_equals_go_on_together(self) -> None:
        assert goes_on(Reached("a", 0.5), reached(*[0.5] * 20))

    @given(scores=SCORES, own=st.floats(-10, 10), better=st.floats(0, 5))
    def test_a_better_score_never_stops_what_would_have_gone_on(self, scores, own, better) -> None:
        peers = reached(*scores)
        assert not goes_on(Reached("a", own), peers) or goes_on(Reached("a", own + better), peers)

    def test_a_small_model_goes_on_though_larger_ones_score_better(self) -> None:
        large = [Reached(f"{n}", 0.9 + n / 100, cost=1000.0 + n) for n in range(8)]
        assert not goes_on(Reached("a", 0.8), [Reached(each.uid, each.score) for each in large])
        assert goes_on(Reached("a", 0.8, cost=10.0), large)
        assert not goes_on(Reached("a", 0.8, cost=2000.0), large)


class TestPromotable:
    def test_nothing_is_promoted_from_a_rung_that_is_too_empty(self) -> None:
        assert promotable(reached(0.9, 0.8), ()) is None

    def test_the_best_first_and_each_once(self) -> None:
        rung = reached(0.5, 0.9, 0.1, 0.8, 0.2, 0.3)
        first = promotable(rung, ())
        assert first is not None
        assert first.score == 0.9
        second = promotable(rung, {first.uid})
        assert second is not None
        assert second.score == 0.8
        assert promotable(rung, {first.uid, second.uid}) is None

    @given(scores=SCORES)
    def test_a_third_is_promoted_and_it_is_the_best(self, scores) -> None:
        rung, promoted = reached(*scores), set()
        while (found := promotable(rung, promoted)) is not None:
            promoted.add(found.uid)
        assert len(promoted) == len(rung) // 3
        best = sorted((each.score for each in rung), reverse=True)[: len(promoted)]
        assert sorted((each.score for each in rung if each.uid in promoted), reverse=True) == best

    def test_of_equals_the_one_whose_loss_is_less_then_the_earlier(self) -> None:
        rung = [Reached("c", 0.5), Reached("b", 0.5), Reached("a", 0.5, tie_break=-1.0)]
        assert promotable(rung, ()) == rung[1]
        assert promotable([*rung, Reached("d", 0.5, tie_break=0.1)], ()).uid == "d"

    @given(points=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
    def test_with_a_cost_those_that_few_dominate_go_on(self, points) -> None:
        rung = [Reached(f"{n:02d}", float(score), float(cost)) for n, (score, cost) in enumerate(points)]
        dominated = {each.uid: sum(other.dominates(each) for other in rung) for each in rung}
        promoted: set[str] = set()
        while (found := promotable(rung, promoted)) is not None:
            promoted.add(found.uid)
        others = [dominated[each.uid] for each in rung if each.uid not in promoted]
        assert max((dominated[uid] for uid in promoted), default=0) <= min(others, default=0)


def test_rungs_by_evaluations() -> None:
    assert [rung_reached(count) for count in (0, 1, 2, 3, 9, 10)] == [None, 0, 0, 1, 1, 2]


class TestMedian:
    def test_few_peers_stop_nothing(self) -> None:
        assert beats_median([0.0], [[1.0]] * 3)

    def test_best_so_far_against_the_median_of_averages(self) -> None:
        peers = [[0.1, 0.3], [0.2, 0.4], [0.3, 0.5], [0.4, 0.6]]
        assert beats_median([0.1, 0.36], peers)
        assert not beats_median([0.1, 0.34], peers)

    def test_peers_that_ended_earlier_do_not_count(self) -> None:
        assert beats_median([0.1, 0.1], [[1.0]] * 10)


def test_successive_halving_finds_the_best_with_a_fraction_of_the_steps() -> None:
    """On learning curves whose order at a rung is mostly the final one."""
    rng = np.random.default_rng(0)
    final = rng.normal(size=81)
    curves = final[:, None] + rng.normal(size=(81, 3)) * np.array([0.5, 0.2, 0.0])
    peers: list[list[Reached]] = [[], [], []]
    spent, finished = 0, []
    for trial, curve in enumerate(curves):
        for level, score in enumerate(curve):
            own = Reached(str(trial), float(score))
            keep = goes_on(own, peers[level])
            peers[level].append(own)
            if not keep:
                break
        else:
            finished.append(final[trial])
        spent += RUNGS[level]
    assert spent < 0.5 * 81 * EVALUATIONS
    assert max(finished) >= np.sort(final)[-3]
