"""The page, put together."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from msearch_core.report import plots
from msearch_core.report.compare import last_run
from msearch_core.report.page import payload, sections
from msearch_core.report.page.markup import Markup, element, joined
from msearch_core.report.plots.hyperparameters import hyperparameter_names
from msearch_core.report.scores import best_first
from msearch_core.report.state import is_running, winner_of
from msearch_core.trial_log import TrialLog, WinnerRecord

_SECURITY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
"""What the browser is told to allow: nothing from anywhere else."""


def build_page(log: TrialLog, refresh: float | None = None) -> str:
    """A page about the newest run of a log, while it runs or afterwards.

    Args:
        log: the trial log.
        refresh: seconds after which the page loads itself again, if more is to come.

    Returns:
        HTML that needs nothing else, below 5 MB.
    """
    search, known = log.search(), log.trials()
    trials = last_run(known)
    run = next((each for each in reversed(log.runs()) if trials.empty or each.run == trials["run"].iloc[-1]), None)
    winner = winner_of(log, run)
    newest = next(reversed(log.runs()), None)
    running = is_running(log, newest, winner_of(log, newest))
    ranked = best_first(trials)
    first = _first(ranked, winner)
    charts = figures(known, trials, winner, None if first is None else str(first["uid"]))
    opened = payload.shown_uids(charts) | set(ranked["uid"].head(sections.BEST))
    opened |= sections.members_of(first).keys()
    rows = known[known["uid"].isin(opened)]
    body = joined(
        [
            _header(search.name, run.run if run else "", running, sections.facts(search, run, trials, running)),
            element(
                "main",
                *_sections(log.url, search.objective, known, trials, first, winner, charts),
            ),
            Markup('<aside id="row" aria-label="trial" tabindex="-1" hidden></aside>'),
            element("footer", f"Made by msearch from {log.url} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."),
        ]
    )
    return _document(search.name, body, payload.payload(charts, rows), refresh)


def _first(ranked: pd.DataFrame, winner: WinnerRecord | None) -> Any:
    """The winner's row, or that of the best so far; ``None`` where no trial has a score."""
    named = ranked[ranked["uid"] == winner.uid] if winner else ranked
    return next((row for _, row in named.head(1).iterrows()), None)


def figures(
    known: pd.DataFrame, trials: pd.DataFrame, winner: WinnerRecord | None, first: str | None
) -> dict[str, dict[str, go.Figure]]:
    """The page's charts by name, each with its alternatives by label.

    Args:
        known: all rows of the log.
        trials: those of the run.
        winner: its winner.
        first: the winner's uid, or that of the best so far.
    """
    charts = {
        "progress": {
            "trials": plots.progress(trials, "trials"),
            "steps": plots.progress(trials, "steps"),
            "seconds": plots.progress(trials, "seconds"),
        },
        "pareto": {
            label: plots.pareto(trials, cost)  # type: ignore[arg-type]
            for label, cost in (
                ("parameters", "parameters"), ("bytes", "model_bytes"), ("operations", "flops"),
                ("latency", "latency_ms"),
            )
            if (trials[cost] > 0).any() or cost == "parameters"
        },
        "lineage": {"": plots.lineage(known, first)},
        "curves": {"": plots.curves(trials)},
        "effects": {
            "families": plots.effects(trials, by_family=True),
            "single blocks": plots.effects(trials, by_family=False),
        },
        "hyperparameters": {
            name.replace("_", " "): plots.hyperparameters(trials, name) for name in hyperparameter_names(trials)
        },
        "timeline": {"": plots.timeline(trials)},
    }  # fmt: skip
    drawn = {target: plots.predictions(each) for target, each in answers_of(winner).items()}
    charts["predictions"] = {target: each for target, each in drawn.items() if each is not None}
    return {name: alternatives for name, alternatives in charts.items() if alternatives}


def _header(name: str, run: str, running: bool, facts: Markup) -> Markup:
    state = element("span", "running" if running else "finished", class_="state running" if running else "state")
    return element(
        "header", element("p", "architecture search", f" · run {run}" if run else "", " ", state, class_="kicker"),
        element("h1", name), facts,
    )  # fmt: skip


def _sections(
    url: str,
    objective: str,
    known: pd.DataFrame,
    trials: pd.DataFrame,
    first: Any,
    winner: WinnerRecord | None,
    charts: dict[str, dict[str, go.Figure]],
) -> list[Markup]:
    def chart(name: str, title: str, text: str, *more: Markup) -> Markup | None:
        return _section(name, title, text, _chart(name, title, charts[name]), *more) if name in charts else None

    has_score = first is not None
    made = [
        _section(
            "winner",
            f"The winner: {first['uid']}" if winner else f"The best so far: {first['uid']}",
            "",
            sections.winner_card(first, winner, objective, url, known),
        )
        if has_score
        else _section("winner", "No score yet", "What was tried so far gave no score; see the failures below."),
        _section(
            "predictions",
            "What the winner gets right",
            "On the validation split, which chose the winner: on the test split it may do a little worse.",
            *([_chart("predictions", "predictions", charts["predictions"])] if "predictions" in charts else []),
            *sections.class_tables(answers_of(winner)),
        ) if answers_of(winner) else None,
        chart(
            "progress",
            "Every trial, and the best so far",
            f"{objective}, {sections.direction_note(trials)}. Open symbols were stopped early, "
            "triangles lie beyond the axis, crosses have no score. Press a point for the whole row.",
        ),
        chart(
            "pareto",
            "Score against cost",
            "On the front, no trial is both better and cheaper. The axis holds the better nine tenths.",
        ),
        _section(
            "best", "The best, side by side", "Intervals are 95 %, from each trial's recorded standard error.",
            sections.side_by_side(trials, known),
        ) if has_score else None,
        chart(
            "lineage",
            "Who descends from whom",
            "Generations run from left to right; a point is a trial, coloured by its score, and the winner's line is "
            "drawn thick. Point at an edge for what was changed, press a node for the whole row. "
            "The symbol tells the kind of trial, as above.",
            *(
                [element("h3", f"How {first['uid']} came about"), sections.descent(str(first["uid"]), known)]
                if has_score
                else []
            ),
        ),
        chart("curves", "Learning curves", "The five best in colour, a choice of the others in grey."),
        chart(
            "effects",
            "Which blocks help",
            "Ridge regression of the score on which blocks are present and how many there are, with 95\u00a0% "
            "bootstrap intervals. It tells what went together in this search, which need not be a cause.",
        ),
        chart("hyperparameters", "Hyperparameters", "The score of each trial by the value it was trained with."),
        chart("timeline", "Who did what when", "A line is a trainer, a bar a trial; without a bar, it was idle."),
        _section(
            "costs",
            "What a trial costs",
            "Seconds by phase at the median, and each phase's share of the time of all trials.",
            sections.cost_table(trials),
        ) if trials["timings"].notna().any() else None,
        _section("failures", "Trials without a score", "", sections.failures(trials)),
        _section("groups", "Groups", "", sections.group_tables(trials)) if len(trials) else None,
        _section("trials", "The best trials", "Press a name for the whole row.", sections.best_table(trials))
        if has_score
        else None,
    ]  # fmt: skip
    return [each for each in made if each is not None]


def _section(name: str, title: str, text: str, *content: Markup) -> Markup:
    return element(
        "section", element("h2", title), element("p", text, class_="muted") if text else None, *content,
        id=name, class_="card",
    )  # fmt: skip


def _chart(name: str, title: str, alternatives: dict[str, go.Figure]) -> Markup:
    buttons = [
        element("button", label, type="button", aria_pressed="false" if place else "true", data_alternative=str(place))
        for place, label in enumerate(alternatives)
    ]
    height = next(iter(alternatives.values())).layout.height
    return joined(
        [
            element("div", *buttons, class_="tabs", role="group", aria_label=title) if len(buttons) > 1 else None,
            element(
                "div", class_="chart", role="figure", aria_label=title, data_chart=name, style=f"min-height:{height}px"
            ),
        ]
    )


def answers_of(winner: WinnerRecord | None) -> dict[str, Any]:
    """What the winner gets right and wrong, by target; nothing where that was not recorded yet."""
    return dict(winner.answers) if winner else {}


def _document(name: str, body: Markup, data: str, refresh: float | None) -> str:
    folder = Path(__file__).parent
    again = Markup(f'<meta http-equiv="refresh" content="{max(1, round(refresh))}">') if refresh else None
    head = joined(
        [
            Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup(f'<meta http-equiv="Content-Security-Policy" content="{_SECURITY}">'),
            Markup('<meta name="color-scheme" content="light dark">'),
            again,
            element("title", f"{name} - msearch"),
            element("style", Markup((folder / "page.css").read_text("utf-8"))),
        ]
    )
    scripts = joined(
        [
            Markup(f'<script type="text/plain" id="data">{payload.packed(data)}</script>'),
            Markup(f'<script type="text/plain" id="library">{_library()}</script>'),
            element("script", Markup((folder / "page.js").read_text("utf-8"))),
        ]
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}{scripts}</body></html>\n'


@cache
def _library() -> str:
    return payload.packed_library()
