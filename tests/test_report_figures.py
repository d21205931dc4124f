"""The figures: what is counted in them, and that each trial is a point."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.reading import fill
from msearch_core.answers import MOST_CLASSES, MOST_POINTS, answers
from msearch_core.api import SearchResult
from msearch_core.data.problem import Problem, Split, Target
from msearch_core.errors import UserError
from msearch_core.report.page.payload import figure_json
from msearch_core.report.plots import predictions
from msearch_core.report.plots.predictions import class_scores
from msearch_core.trial_log import TrialLog
from tests.test_report import answered, hostile_log


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TrialLog:
    return hostile_log(tmp_path_factory.mktemp("small") / "log")


class TestFigures:
    def test_confusion_counts(self) -> None:
        figure = predictions(answered(("a", "b"), np.array([0, 0, 1]), np.eye(2)[[0, 1, 1]]))
        assert figure
        (trace,) = figure.data
        assert trace.text.tolist() == [[1, 1], [0, 1]]
        assert trace.hovertext[0][1] == "a taken for b: 1"
        assert trace.z.tolist() == [[0.5, 0.5], [0, 1]]

    def test_classes_whose_names_begin_alike_are_told_apart(self) -> None:
        names = tuple(f"http://example.com/classes/{each}" for each in "abc")
        figure = predictions(answered(names, np.array([0, 1, 2]), np.eye(3)))
        assert figure
        assert list(figure.data[0].x) == list(figure.layout.xaxis.tickvals) == [0, 1, 2]
        assert figure.data[0].z.tolist() == np.eye(3).tolist()

    def test_class_scores_by_hand(self) -> None:
        said = answered(("a", "b", "c"), np.array([0, 0, 1, 2]), np.eye(3)[[0, 1, 1, 1]])
        found = class_scores(said).set_index("class")
        assert found.loc["b", ["precision", "recall", "f1", "examples"]].tolist() == pytest.approx([1 / 3, 1, 0.5, 1])
        assert found.loc["c"].tolist() == [0, 0, 0, 1]

    def test_scores_of_labels_by_hand(self) -> None:
        truth, said = np.array([[1, 0], [1, 1], [0, 1]]), np.array([[0.9, 0.6], [0.2, 0.7], [0.1, 0.4]])
        found = class_scores(answered(("a", "b"), truth, said, "multilabel")).set_index("class")
        assert found.loc["a"].tolist() == pytest.approx([1, 0.5, 2 / 3, 2])
        assert found.loc["b"].tolist() == pytest.approx([0.5, 0.5, 0.5, 2])

    def test_rare_classes_are_counted_together(self) -> None:
        truth = np.repeat(np.arange(500), np.arange(500, 0, -1))
        said = answered(tuple(map(str, range(500))), truth, np.eye(500, dtype=np.float32)[truth[::-1]])
        assert len(said["labels"]) == MOST_CLASSES
        assert said["labels"][-1] == f"{501 - MOST_CLASSES} others"
        assert np.sum(said["counts"]) == len(truth)
        assert len(class_scores(said)) == MOST_CLASSES - 1, "who of the others was taken for whom is not known"
        assert said["others"] == 501 - MOST_CLASSES

    def test_many_residuals_are_thinned(self) -> None:
        numbers = np.arange(10_000.0)
        figure = predictions(answered((), numbers, numbers + 1))
        assert figure
        assert len(figure.data[1].x) == MOST_POINTS
        assert set(figure.data[1].y) == {1.0}

    def test_time_steps_after_the_end_do_not_count(self) -> None:
        target = Target("y", "classification", ("a", "b"), per_step=True)
        y, outputs = np.array([[0, 1, -1], [1, -1, -1]]), np.eye(2)[[[0, 1, 0], [0, 0, 0]]]
        found = answers(
            Problem("sequence", (3, 1), {}, (target,)), Split(np.zeros((2, 3, 1)), {"y": y}), {"y": outputs}
        )
        assert found["y"]["counts"] == [[1, 0], [1, 1]]

    def test_the_result_of_a_search_plots_what_the_report_shows(self, small: TrialLog) -> None:
        result = SearchResult(small, small.runs()[-1], small.winners()[-1])
        assert result.compare().iloc[0]["objective"] == result.best["objective"]
        assert result.groups("kind")["trials"].sum() == 62
        for figure in (
            result.plot_progress("steps"),
            result.plot_pareto("flops"),
            result.plot_lineage(),
            result.plot_curves(),
            result.plot_effects(),
            result.plot_hyperparameters("dropout"),
            result.plot_timeline(),
        ):
            assert json.loads(figure_json(figure))["data"], "a figure without a trace"
        for wrong, words in (
            (result.plot_progress, "x is 'bogus'; expected one of trials, steps, seconds"),
            (result.plot_pareto, "cost is 'bogus'; expected one of parameters"),
            (result.groups, "by is 'bogus'; expected one of block"),
        ):
            with pytest.raises(UserError, match=words):
                wrong("bogus")

    def test_every_trial_of_a_small_search_is_a_point(self, small: TrialLog) -> None:
        result = SearchResult(small, small.runs()[-1], small.winners()[-1])
        shown = [point[0] for trace in result.plot_progress().data for point in _custom(trace)]
        assert sorted(shown) == sorted(result.trials["uid"])
        tree = [
            point[0] for trace in result.plot_lineage().data if trace.name != "mutations" for point in _custom(trace)
        ]
        assert sorted(tree) == sorted(result.trials["uid"])

    def test_a_long_timeline_joins_neighbours_and_keeps_gaps(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 2_000)
        result = SearchResult(log, log.runs()[-1], log.winners()[-1])
        traces = result.plot_timeline().data
        bars = sum(len(trace.x) for trace in traces)
        assert bars < 1_900
        busy = (result.trials["finished_at"] - result.trials["started_at"]).dt.total_seconds().sum()
        assert busy <= sum(float(np.sum(trace.x)) for trace in traces) < 1.15 * busy


def _custom(trace: Any) -> Any:
    return () if trace.customdata is None else trace.customdata
