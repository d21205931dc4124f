"""Comparisons and groups, against values worked out by hand."""

import csv
import io
import json
import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge

from msearch_core.errors import UserError
from msearch_core.report import effects, lineage
from msearch_core.report.compare import compare
from msearch_core.report.differences import architecture_difference, hyperparameter_difference
from msearch_core.report.groups import groups
from msearch_core.report.plots.pareto import front
from msearch_core.report.printing import as_csv, as_json
from msearch_core.report.scores import best_first, best_so_far, in_order, mean_interval, score_interval
from msearch_core.report.thinning import thin
from msearch_core.trial import Trial, to_table
from tests.test_log_contract import trial


def frame_of(*trials: Trial) -> pd.DataFrame:
    frame: pd.DataFrame = to_table(trials).to_pandas()
    return frame


def row(slot: int, objective: float | None, parents: tuple[int, ...] = (), **fields: Any) -> Trial:
    """A trial of run 0001, whose parents are given by slot."""
    return trial(
        slot,
        run="0001",
        objective=objective,
        objective_name="accuracy",
        direction="max",
        parents=tuple(f"0001-{each:06d}" for each in parents),
        **fields,
    )


def proportion_interval(right: int, examples: int) -> tuple[float, float]:
    found = stats.binomtest(right, examples).proportion_ci(method="wilson")
    return found.low, found.high


@pytest.fixture
def family() -> pd.DataFrame:
    return frame_of(
        row(1, 0.80, train_seconds=10.0, architecture=("a()", "b()"), hyperparameters={"dropout": 0.1}, kind="seed"),
        row(2, 0.85, (1,), train_seconds=5.0, architecture=("a()", "c()"), hyperparameters={"dropout": 0.1}),
        row(
            3,
            0.90,
            (2,),
            train_seconds=2.0,
            architecture=("a()", "c()", "d()"),
            hyperparameters={"dropout": 0.5, "l2": 0.01},
            objective_se=0.01,
            timings={"train": 2.0, "build": 0.5},
        ),
        row(4, None, (1,), status="failed", error="boom", architecture=("a()",)),
        row(5, 0.90, (2, 1), train_seconds=1.0, kind="ensemble", metrics={"log_loss": 0.1}),
    )


class TestCompare:
    def test_cost_counts_each_ancestor_once(self, family: pd.DataFrame) -> None:
        compared = compare(family, ["0001-000003", "0001-000005"]).set_index("uid")
        assert compared["ancestor_seconds"].to_dict() == {"0001-000003": 17.0, "0001-000005": 16.0}

    def test_interval_is_from_the_standard_error(self, family: pd.DataFrame) -> None:
        first, second = compare(family, ["0001-000003", "0001-000002"]).to_dict("records")
        examples = 900  # 0.9 * 0.1 / 0.01**2
        expected = proportion_interval(round(0.9 * examples), examples)
        assert (first["low"], first["high"]) == pytest.approx(expected)
        assert math.isnan(second["low"])
        assert math.isnan(second["high"])

    def test_an_interval_ends_where_a_score_must(self) -> None:
        (only,) = compare(frame_of(row(1, 0.995, objective_se=0.01))).to_dict("records")
        assert 0.995 < only["high"] < 1.0

    @pytest.mark.parametrize("name", ["f1_micro", "auc", "exact_match", "weather/accuracy"])
    def test_so_does_one_of_any_share(self, name: str) -> None:
        low, high = score_interval(0.995, 0.01, name)
        assert low < 0.995 < high < 1.0

    def test_an_error_is_cut_off_where_it_must_be(self) -> None:
        assert score_interval(0.1, 0.2, "rmse") == pytest.approx((0.0, 0.1 + 1.959964 * 0.2))
        assert score_interval(0.9, 0.2, "r2") == pytest.approx((0.9 - 1.959964 * 0.2, 1.0))
        assert score_interval(5.0, 0.2, "of my own") == pytest.approx((5.0 - 1.959964 * 0.2, 5.0 + 1.959964 * 0.2))

    def test_no_error_seen_is_no_certainty(self) -> None:
        assert np.isnan(score_interval(1.0, 0.0, "accuracy")).all()

    @pytest.mark.parametrize(("examples", "accuracy"), [(100, 0.98), (300, 0.99), (60, 0.9), (200, 0.5)])
    def test_the_interval_of_an_accuracy_holds_it_as_often_as_it_says(self, examples: int, accuracy: float) -> None:
        right = np.random.default_rng(0).binomial(examples, accuracy, 2000)
        seen = right[right < examples] / examples
        ends = [score_interval(each, math.sqrt(each * (1 - each) / (examples - 1)), "accuracy") for each in seen]
        assert np.mean([low <= accuracy <= high for low, high in ends]) > 0.92

    def test_differences_are_to_the_first(self, family: pd.DataFrame) -> None:
        first, second = compare(family, ["0001-000001", "0001-000003"]).to_dict("records")
        assert first["architecture_difference"] == first["hyperparameter_difference"] == []
        assert second["architecture_difference"] == ["2: b() → c()", "3: + d()"]
        assert second["hyperparameter_difference"] == ["dropout: 0.1 → 0.5", "l2: none → 0.01"]

    def test_lineage_runs_from_the_root(self, family: pd.DataFrame) -> None:
        (only,) = compare(family, ["0001-000003"]).to_dict("records")
        assert only["lineage"] == ["0001-000001", "0001-000002", "0001-000003"]
        assert (only["seconds_train"], only["seconds_build"]) == (2.0, 0.5)

    def test_without_uids_the_best_come_first_and_the_smaller_loss_breaks_ties(self, family: pd.DataFrame) -> None:
        assert [uid[-1] for uid in compare(family, top=3)["uid"]] == ["5", "3", "2"]

    def test_where_less_is_better_the_least_comes_first(self) -> None:
        frame = frame_of(*(trial(slot, objective=value, direction="min") for slot, value in ((1, 3.0), (2, 1.0))))
        assert list(compare(frame, top=1)["uid"]) == ["0001-000002"]

    def test_only_the_last_run_competes(self, family: pd.DataFrame) -> None:
        later = frame_of(row(1, 0.5)).assign(uid="0002-000001", run="0002")
        assert list(compare(pd.concat([family, later]))["uid"]) == ["0002-000001"]

    def test_what_is_not_there_is_named(self, family: pd.DataFrame) -> None:
        with pytest.raises(UserError, match="0009-000001"):
            compare(family, ["0009-000001"])
        with pytest.raises(UserError, match="no trial has a score"):
            compare(family[family["status"] == "failed"])

    def test_json_and_csv_hold_the_same(self, family: pd.DataFrame) -> None:
        compared = compare(family, ["0001-000001", "0001-000003"])
        as_objects = json.loads(as_json(compared))
        as_rows = list(csv.DictReader(io.StringIO(as_csv(compared))))
        assert [each["uid"] for each in as_objects] == [each["uid"] for each in as_rows]
        assert as_objects[0]["low"] is None
        assert as_rows[0]["low"] == ""
        assert json.loads(as_rows[1]["lineage"]) == as_objects[1]["lineage"]


class TestDifferences:
    @given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
    def test_the_edits_make_one_of_the_other(self, before: list[str], after: list[str]) -> None:
        blocks = Counter(before)
        for edit in architecture_difference(before, after):
            place, _, change = edit.partition(": ")
            old, _, new = change.rpartition(" → ")
            if change.startswith("- "):
                assert before[int(place) - 1] == new[2:]
                blocks[new[2:]] -= 1
                continue
            assert after[int(place) - 1] == new.removeprefix("+ ")
            blocks[new.removeprefix("+ ")] += 1
            blocks[old] -= bool(old)
        assert +blocks == Counter(after)

    def test_equal_architectures_do_not_differ(self) -> None:
        assert architecture_difference(["a", "b"], ["a", "b"]) == []

    def test_hyperparameters(self) -> None:
        assert hyperparameter_difference({"a": 1, "b": 2}, {"b": 2, "c": "x"}) == ["a: 1 → none", "c: none → x"]


class TestGroups:
    def test_counts_best_and_mean_by_kind(self, family: pd.DataFrame) -> None:
        found = groups(family, "kind").set_index("kind")
        assert found.loc["search", ["trials", "scored"]].tolist() == [3, 2]
        assert found.loc["search", ["best", "mean"]].tolist() == pytest.approx([0.9, 0.875])
        # Student's t with one degree of freedom: 12.7062 * 0.0353553 / sqrt(2)
        assert found.loc["search", ["low", "high"]].tolist() == pytest.approx([0.875 - 0.317655, 1.0], abs=1e-5)
        assert math.isnan(found.loc["seed", "low"])

    def test_a_trial_is_in_the_group_of_each_of_its_blocks_once(self) -> None:
        found = groups(
            frame_of(row(1, 0.5, architecture=("a()", "a()", "b()")), row(2, 0.7, architecture=("b()",))), "block"
        )
        assert found[["block", "trials"]].values.tolist() == [["b()", 2], ["a()", 1]]
        assert "effect" not in found, "two trials tell no effect"

    @pytest.mark.parametrize("by", ["status", "algorithm"])
    def test_every_row_with_the_property_is_in_one_group(self, family: pd.DataFrame, by: Any) -> None:
        assert groups(family.assign(algorithm="random"), by)["trials"].sum() == len(family)

    def test_the_interval_of_a_mean_holds_the_mean_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        held = [low <= 0 <= high for low, high in (mean_interval(rng.normal(size=4)) for _ in range(2000))]
        assert 0.93 < np.mean(held) < 0.97


@pytest.fixture
def made_by_effects() -> pd.DataFrame:
    """Scores made as 0.5 + 0.1 for good() - 0.05 for bad() + 0.01 a block, with a little noise."""
    rng = np.random.default_rng(1)
    trials = []
    for slot in range(1, 201):
        blocks = [name for name in ("good()", "bad()", "idle()") if rng.random() < 0.5] or ["idle()"]
        blocks += ["fill()"] * int(rng.integers(4))
        score = 0.5 + 0.1 * ("good()" in blocks) - 0.05 * ("bad()" in blocks) + 0.01 * len(blocks)
        trials.append(row(slot, score + rng.normal(0, 0.01), architecture=tuple(blocks)))
    return frame_of(*trials)


class TestEffects:
    def test_known_effects_are_found_within_their_intervals(self, made_by_effects: pd.DataFrame) -> None:
        found = effects.block_effects(made_by_effects)
        assert found is not None
        found = found.set_index("block")
        for block, truth in (("good()", 0.1), ("bad()", -0.05), (effects.DEPTH, 0.01)):
            assert found.loc[block, "low"] - 0.003 <= truth <= found.loc[block, "high"] + 0.003
            assert found.loc[block, "effect"] == pytest.approx(truth, abs=0.01)
        assert found.loc["idle()", "low"] < 0.005
        assert found.index[0] == "good()"
        assert found.index[-1] == "bad()"

    def test_the_closed_form_is_ridge_regression(self) -> None:
        rng = np.random.default_rng(0)
        features, score, weights = rng.normal(size=(50, 4)), rng.normal(size=50), rng.integers(0, 3, 50).astype(float)
        expected = Ridge(alpha=effects.PENALTY).fit(features, score, sample_weight=weights).coef_
        np.testing.assert_allclose(effects._fit(features, score, weights), expected, atol=1e-10)

    def test_ensembles_say_nothing_of_blocks(self, made_by_effects: pd.DataFrame) -> None:
        alone = effects.block_effects(made_by_effects)
        ensembles = [row(slot, 0.99, kind="ensemble", architecture=()) for slot in range(201, 221)]
        ensembles += [row(slot, 0.99, kind="ensemble", architecture=("bad()",)) for slot in range(221, 241)]
        ensembles += [row(241, 0.99, kind="rescore", architecture=())]
        both = pd.concat([made_by_effects, frame_of(*ensembles)], ignore_index=True)
        pd.testing.assert_frame_equal(alone, effects.block_effects(both))
        assert groups(both, "block")["best"].max() < 0.99

    def test_too_few_trials_tell_nothing(self, made_by_effects: pd.DataFrame) -> None:
        assert effects.block_effects(made_by_effects.head(19)) is None

    def test_families_join_blocks_that_differ_in_parameters(self) -> None:
        blocks = (("d(u=1)",), ("d(u=2)", "e()"), ("e()",), ("f()", "d(u=1)"))
        frame = frame_of(*(row(slot, slot / 100, architecture=blocks[slot % 4]) for slot in range(40)))
        found = effects.block_effects(frame, by_family=True)
        assert found is not None
        assert dict(zip(found["block"], found["trials"], strict=True)) == {"d": 30, "e": 20, "f": 10, effects.DEPTH: 40}


class TestLineage:
    def test_a_loop_or_a_lost_parent_ends_the_line(self) -> None:
        assert lineage.line("a", {"a": ("b",), "b": ("a",)}) == ["a", "b"]
        assert lineage.line("a", {"a": ("gone",)}) == ["a", "gone"]
        assert lineage.ancestors("a", {"a": ("b", "c"), "b": ("c",), "c": ("a",)}) == ["b", "c"]

    @given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 40))
    def test_no_two_nodes_share_a_place_and_children_stand_right_of_their_parents(
        self, parents: list[int], limit: int
    ) -> None:
        frame = frame_of(
            *(row(slot, slot / 100, (parent,) if 0 < parent < slot else ()) for slot, parent in enumerate(parents, 1))
        )
        nodes = lineage.tree(frame, limit)
        places = {(node.column, node.row) for node in nodes}
        assert len(places) == len(nodes)
        by_uid = {node.uid: node for node in nodes}
        assert all(by_uid[node.parent].column == node.column - 1 for node in nodes if node.parent)
        shown = sum(node.hidden for node in nodes)
        if len(frame) <= limit:
            assert (len(nodes), shown) == (len(frame), 0)

    def test_a_long_line_is_laid_out(self) -> None:
        frame = frame_of(*(row(slot, 0.5 + slot / 10_000, (slot - 1,) if slot > 1 else ()) for slot in range(1, 3001)))
        assert max(node.column for node in lineage.tree(frame)) == 2999

    def test_of_many_the_best_are_chosen_with_their_ancestors(self) -> None:
        frame = frame_of(row(1, 0.1), *(row(slot, slot / 1000, (1,)) for slot in range(2, 400)))
        nodes = {node.uid: node for node in lineage.tree(frame)}
        assert {"0001-000001", "0001-000399"} <= set(nodes)
        assert len(nodes) == 1 + lineage.MAX_SIBLINGS
        assert nodes["0001-000001"].hidden == 398 - lineage.MAX_SIBLINGS


class TestScores:
    def test_best_so_far_ignores_trials_whose_score_does_not_count(self) -> None:
        frame = frame_of(row(1, 0.5), row(2, 0.9, status="diverged"), row(3, None, status="failed"), row(4, 0.6))
        assert best_so_far(frame).tolist() == [0.5, 0.5, 0.5, 0.6]
        assert best_first(frame)["uid"].str[-1].tolist() == ["4", "1"]

    def test_of_several_targets_the_joint_loss_breaks_ties(self) -> None:
        losses = ((1, 0.3), (2, 0.1), (3, 0.2))
        frame = frame_of(*(row(slot, 0.5, metrics={"a/log_loss": 1.0, "loss": loss}) for slot, loss in losses))
        assert best_first(frame)["uid"].str[-1].tolist() == ["2", "3", "1"]

    def test_thinning_keeps_records_and_the_best(self) -> None:
        rng = np.random.default_rng(0)
        frame = in_order(frame_of(*(row(slot, float(rng.random())) for slot in range(1, 3001))))
        kept = thin(frame, 500)
        assert len(kept) == 500
        records = frame[best_so_far(frame) != best_so_far(frame).shift()]
        assert set(records["uid"]) <= set(kept["uid"])
        assert set(best_first(frame)["uid"].head(100)) <= set(kept["uid"])

    def test_the_front_holds_no_trial_that_another_beats(self) -> None:
        sizes = ((1, 0.5, 10), (2, 0.6, 20), (3, 0.55, 30), (4, 0.6, 15), (5, 0.9, 100), (6, 0.4, 5))
        found = front(frame_of(*(row(slot, score, parameters=size) for slot, score, size in sizes)))
        assert found["uid"].str[-1].tolist() == ["6", "1", "4", "5"]
