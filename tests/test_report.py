"""The report: what it holds, that it needs nothing else, and what a browser makes of it."""

import dataclasses
import html.parser
import json
import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reading import fill, simulated
from msearch_core.answers import answers
from msearch_core.data.problem import Problem, Split, Target
from msearch_core.report import plots
from msearch_core.report.compare import last_run
from msearch_core.report.costs import phase_costs
from msearch_core.report.page import build_page
from msearch_core.report.page.build import figures
from msearch_core.report.page.markup import element, table
from msearch_core.report.state import NAMING_SECONDS, Watch
from msearch_core.report.writing import watch_report
from msearch_core.trial import Trial
from msearch_core.trial_log import StopRecord, TrialLog, WinnerRecord
from tests.test_board import claim
from tests.test_cli import msearch
from tests.test_log_contract import run_record, search_record, trial

EVIL = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"><b>{{7*7}}"


class Texts(html.parser.HTMLParser):
    """The texts and the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def answered(labels: tuple[str, ...], truth: Any, outputs: Any, task: Any = None) -> dict[str, Any]:
    """What `answers` says of one target."""
    target = Target("y", task or ("classification" if labels else "regression"), labels)
    problem = Problem("vector", (1,), {}, (target,))
    return answers(problem, Split(np.zeros((len(truth), 1)), {"y": truth}), {"y": outputs})["y"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TrialLog:
    return hostile_log(tmp_path_factory.mktemp("small") / "log")


def hostile_log(path: Path) -> TrialLog:
    """A finished search of 60 trials, some with what would break a page that trusts its rows."""
    log = fill(str(path), 60)
    evil = {"error": EVIL, "architecture": (EVIL, "dense(units=64)"), "hyperparameters": {EVIL: EVIL}}
    log.append(_evil(61, status="failed", parents=("0001-000001",), **evil))
    log.append(_evil(62, status="completed", objective=0.95, parents=("0001-000001",), **(evil | {"error": None})))
    return log


def _evil(slot: int, **fields: Any) -> Trial:
    known = {"run": "0001", "trainer": EVIL, "objective_name": "accuracy", "direction": "max", "objective": None}
    return trial(slot, **(known | fields))


class TestMarkup:
    @given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1), st.text("abc<>&\"'"))
    def test_text_and_attributes_come_out_as_they_went_in(self, text: str, attribute: str) -> None:
        read = Texts(element("p", text, title=attribute))
        assert "".join(read.texts) == text
        assert read.elements == [("p", {"title": attribute})]

    def test_elements_nest_without_being_escaped_twice(self) -> None:
        assert "<td><b>a &amp; b</b></td>" in table(("head",), [(element("b", "a & b"),)])


class TestPage:
    def test_a_row_cannot_put_code_into_the_page(self, small: TrialLog) -> None:
        page = build_page(small)
        read = Texts(page)
        assert [name for name, _ in read.elements if name == "img"] == []
        scripts = [attributes for name, attributes in read.elements if name == "script"]
        assert scripts == [{"type": "text/plain", "id": "data"}, {"type": "text/plain", "id": "library"}, {}]
        assert any(EVIL in text for text in read.texts), "the message is shown as it is"

    def test_nothing_is_loaded_from_elsewhere(self, small: TrialLog) -> None:
        page = build_page(small)
        read = Texts(page)
        assert not [name for name, attributes in read.elements if {"src", "href", "action"} & set(attributes)]
        assert "url(" not in page[: page.index("</style>")]
        assert "default-src 'none'" in page

    def test_it_says_what_the_search_found(self, small: TrialLog) -> None:
        text = " ".join(Texts(build_page(small)).texts)
        (winner,) = small.winners()
        assert f"The winner: {winner.uid}" in text
        assert f"{winner.test['accuracy']:.4f}" in text
        errors = small.trials()["error"].dropna()
        assert len(errors) > 1
        assert all(error in text for error in errors)

    def test_it_says_what_the_winner_does_not_look_at(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20)
        (winner,) = log.winners()
        assert "Left out of the data" not in " ".join(Texts(build_page(log)).texts)
        log.add_winner(dataclasses.replace(winner, dropped={"<id>": "is a number that differs in every row"}))
        text = " ".join(Texts(build_page(log)).texts)
        assert "Left out of the data: '<id>' is a number that differs in every row." in text

    def test_a_running_search_is_told_from_an_ended_one(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 30, finished=False)
        page = build_page(log, refresh=5)
        assert "running" in Texts(page).texts
        assert "30 of 31" in page, "what is not sealed yet counts"
        assert 'http-equiv="refresh" content="5"' in page
        assert "The best so far" in page
        log.append(trial(31, run="0001", status="failed", objective=None))
        assert "finished" in Texts(build_page(log)).texts, "all is done, though no winner is named"

    def test_a_log_without_trials_has_a_page(self, tmp_path: Path) -> None:
        log = TrialLog(str(tmp_path))
        log.open(search_record())
        assert "No score yet" in build_page(log)
        log.add_run(run_record())
        log.append(trial(1, run="0001", status="failed", objective=None, error="boom"))
        assert "boom" in build_page(log)

    def test_rows_with_required_fields_alone_have_a_page(self, tmp_path: Path) -> None:
        log = TrialLog(str(tmp_path))
        log.open(search_record())
        for slot in range(1, 30):
            log.append(trial(slot))
        assert "0001-000029" in build_page(log)

    @pytest.mark.parametrize("labels", [("no", EVIL), ()])
    def test_what_the_winner_gets_right_is_shown(self, tmp_path: Path, labels: tuple[str, ...]) -> None:
        log = fill(str(tmp_path / "log"), 20)
        truth, said = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
        found = answered(labels, truth, np.eye(2)[said] if labels else said.astype(float))
        log.add_winner(dataclasses.replace(log.winners()[-1], answers={EVIL: found}))
        read = Texts(build_page(log))
        assert "predictions" in [attributes.get("data-chart") for _, attributes in read.elements]
        assert ("0.6667" in read.texts) == bool(labels), "F1 of the second class: 2 * 1 * 0.5 / 1.5"
        assert [name for name, _ in read.elements if name == "img"] == []

    def test_it_says_where_the_time_went(self, small: TrialLog) -> None:
        read = Texts(build_page(small))
        assert "What a trial costs" in read.texts
        costs = phase_costs(small.trials())
        assert costs["phase"].tolist() == ["build", "trace", "train", "evaluate"]
        assert costs["share"].sum() == pytest.approx(1)
        assert costs["median"].tolist()[:2] == [0.2, 0.4]

    def test_an_ensemble_is_drawn_by_its_members(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20, finished=False)
        members = {"0001-000001": 0.75, "0001-000002": 0.25}
        best = {"status": "completed", "objective": 0.9999, "objective_name": "accuracy", "direction": "max"}
        log.append(trial(21, run="0001", kind="ensemble", architecture=(), mutation={"members": members}, **best))
        read = Texts(build_page(log))
        assert "An ensemble: the mean of 2 models, each with its share." in read.texts
        assert {" 75 %", " 25 %"} <= set(read.texts)
        sums = {"mutation": {"members": members, "adds": "logits"}, "architecture": ("dense(units=64)",)}
        log.append(trial(22, run="0001", kind="ensemble", **sums, **(best | {"objective": 0.99999})))
        read = Texts(build_page(log))
        assert "An ensemble: the sum of the logits of 2 models, each with its weight." in read.texts
        assert {" 0.75", " 0.25"} <= set(read.texts)

    def test_what_was_scored_again_is_no_trial_of_the_run(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20, finished=False)
        assert "20 of 21" in Texts(build_page(log)).texts
        log.append(dataclasses.replace(trial(1, run="0001", kind="rescore"), uid="0001-r00001"))
        assert "20 of 21" in Texts(build_page(log)).texts

    def test_no_point_lies_before_the_search_began(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20, finished=False)
        earlier = log.trials()["started_at"].min() - pd.Timedelta(seconds=60)
        again = dataclasses.replace(trial(1, run="0001", kind="rescore"), uid="0001-r00001")
        log.append(dataclasses.replace(again, finished_at=earlier.to_pydatetime()))
        drawn = plots.progress(log.trials(), "seconds")
        assert min(min(trace.x) for trace in drawn.data if len(trace.x)) == 0

    def test_the_best_of_the_run_is_marked_in_the_tree_until_it_has_a_winner(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20)
        log.add_run(run_record(5, run="0002", data_fingerprint="new"))
        fields = {"run": "0002", "direction": "max", "objective_name": "accuracy", "objective": 0.1}
        log.append(dataclasses.replace(trial(1), uid="0002-000001", **fields))
        assert "The best so far: 0002-000001" in " ".join(Texts(build_page(log)).texts)
        charts = figures(log.trials(), last_run(log.trials()), None, "0002-000001")
        *_, ring, points = charts["lineage"][""].data
        marked = dict(zip(zip(points.x, points.y, strict=True), points.customdata, strict=True))
        assert [marked[place][0] for place in zip(ring.x, ring.y, strict=True)] == ["0002-000001"]


class TestCommands:
    def test_compare_and_report(self, small: TrialLog, tmp_path: Path) -> None:
        listed = json.loads(msearch("compare", small.url, "--top", "2", "--format", "json").stdout)
        assert [each["objective"] for each in listed] == sorted((each["objective"] for each in listed), reverse=True)
        assert "uid,kind" in msearch("compare", small.url, listed[0]["uid"], "--format", "csv").stdout
        assert "residual_convolution" in msearch("compare", small.url, "--by", "block").stdout
        out = tmp_path / "deep" / "report.html"
        assert msearch("report", small.url, "--out", str(out)).stdout == f"wrote {out}\n"
        assert out.read_text().startswith("<!doctype html>")
        assert [path.name for path in out.parent.iterdir()] == ["report.html"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("compare", "{log}", "0001-999999"), "0001-999999"),
            (("compare", "{log}", "0001-000001", "--by", "kind"), "--by"),
            (("report", "{log}", "--out", "/dev/null/report.html"), "--out"),
        ],
    )
    def test_errors_are_one_line(self, small: TrialLog, arguments: tuple[str, ...], message: str) -> None:
        done = msearch(*(each.format(log=small.url) for each in arguments))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert message in done.stderr

    def test_watching_ends_where_nothing_can_win(self, tmp_path: Path) -> None:
        log = TrialLog(str(tmp_path / "log"))
        log.open(search_record())
        log.add_run(run_record(1))
        written = watch_report(log, tmp_path / "report.html", 0.01)
        assert [next(written), next(written)] == [0, 0]
        log.append(trial(1, run="0001", status="failed", objective=None))
        assert list(written) == [1]

    def test_watching_ends_with_the_winner(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20, finished=False)
        written = watch_report(log, tmp_path / "report.html", 0.01)
        assert next(written) == 20
        log.append(trial(21, run="0001"))
        scores = {"accuracy": 0.9}
        uid = next(each.uid for each in simulated(20) if each.objective is not None)
        log.add_winner(
            WinnerRecord(run="0001", trials=21, uid=uid, model="m", validation=scores, test=scores, test_openings=1)
        )
        assert list(written) == [21]
        assert "refresh" not in re.findall(r'http-equiv="([^"]*)"', (tmp_path / "report.html").read_text())

    def test_a_run_that_is_extended_after_its_winner_runs_again(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20)
        (winner,), (run,) = log.winners(), log.runs()
        assert Watch(log).has_ended()
        log.add_run(dataclasses.replace(run, extension=2, trials=21))
        assert "running" in Texts(build_page(log)).texts
        written = watch_report(log, tmp_path / "report.html", 0.01)
        assert [next(written), next(written)] == [20, 20]
        log.append(trial(21, run="0001"))
        assert next(written) == 21, "the winner of the larger budget is to come"
        log.add_winner(dataclasses.replace(winner, trials=21))
        assert list(written) == [21]

    def test_a_run_that_has_no_trial_yet_runs(self, tmp_path: Path) -> None:
        log = fill(str(tmp_path / "log"), 20)
        assert "finished" in Texts(build_page(log)).texts
        log.add_run(run_record(5, run="0002"))
        assert "running" in Texts(build_page(log)).texts

    def test_watching_ends_where_all_that_have_a_score_lost_their_weights(self, tmp_path: Path) -> None:
        log = TrialLog(str(tmp_path / "log"))
        log.open(search_record())
        log.add_run(run_record(1))
        log.append(trial(1, run="0001", architecture=("flatten()",), weights="weights/pruned.safetensors"))
        assert list(islice(watch_report(log, tmp_path / "report.html", 0.01), 3)) == [1]

    def test_watching_ends_where_nobody_names_the_winner(self, tmp_path: Path) -> None:
        log = TrialLog(str(tmp_path / "log"))
        log.open(search_record())
        watch = Watch(log)
        assert not watch.has_ended(0.0), "the search is about to begin its first run"
        log.add_run(run_record(1))
        assert not watch.has_ended(1e6), "its only trial is open"
        log.append(trial(1, run="0001", architecture=("flatten()",), weights="weights/there.safetensors"))
        log.store.create("weights/there.safetensors", b"weights")
        assert [watch.has_ended(2e6 + seconds) for seconds in (0.0, NAMING_SECONDS, NAMING_SECONDS + 1)] == [0, 0, 1]

    def test_watching_ends_though_a_trainer_elsewhere_died_with_its_trial(self, tmp_path: Path) -> None:
        log = TrialLog(str(tmp_path / "log"))
        log.open(search_record())
        run = run_record(2)
        log.add_run(run)
        log.board(run).claim(claim(1))
        log.stop(run, StopRecord(reason="1 minutes", minutes=1.0))
        watch = Watch(log)
        ended = [watch.has_ended(10.0 * look) for look in range(10)]
        assert (ended[0], ended[-1]) == (False, True)
