"""The parts of the page that need no chart: what was searched, the winner, tables, failures."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from msearch_core.data.features import left_out
from msearch_core.report.compare import compare
from msearch_core.report.costs import phase_costs
from msearch_core.report.differences import changes
from msearch_core.report.groups import Grouping, groups
from msearch_core.report.lineage import line, parents_of
from msearch_core.report.page.markup import Markup, breakable, element, joined, table
from msearch_core.report.page.numbers import NOTHING, amount, duration, milliseconds, missing, score
from msearch_core.report.plots.predictions import class_scores
from msearch_core.report.scores import best_first, decoded, is_maximised, listed, scored
from msearch_core.training.spec import MODEL
from msearch_core.trial_log import RunRecord, SearchRecord, WinnerRecord
from msearch_core.trial_log.layout import model_folder
from msearch_core.urls import is_url, short

BEST = 15
SIDE_BY_SIDE = 4
MESSAGES = 5
MEMBERS = 4


def facts(search: SearchRecord, run: RunRecord | None, trials: pd.DataFrame, running: bool) -> Markup:
    """What was searched, how far it got and what it took."""
    trials = trials[trials["kind"] != "rescore"]  # those belong to an earlier run
    known = [
        ("trials", f"{len(trials):,}" + (f" of {run.trials:,}" if run and running and not run.is_open_ended else "")),
        ("with a score", f"{len(scored(trials)):,}"),
        ("objective", f"{search.objective} ({'more' if search.direction == 'max' else 'less'} is better)"),
        ("space", search.space),
        ("algorithm", search.algorithm),
        ("trainers", f"{trials['trainer'].nunique():,}"),
        ("time", duration((trials["finished_at"].max() - trials["started_at"].min()).total_seconds())),
        ("steps trained", amount(trials["steps"].sum())),
        ("seed", str(search.seed)),
    ]
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in known if value != NOTHING]
    return element("dl", *pairs, class_="facts")


def flow(architecture: Sequence[str]) -> Markup:
    """An architecture drawn as boxes from input to output."""
    boxes = []
    for block in architecture:
        name, _, parameters = block.partition("(")
        settings = [each.strip() for each in parameters.removesuffix(")").split(",") if each.strip()]
        lines = [element("span", each.replace("=", " ")) for each in settings]
        boxes.append(element("li", element("b", name.replace("_", " ")), *lines, title=block))
    ends = (element("li", "input", class_="end"), element("li", "prediction", class_="end"))
    return element("ol", ends[0], *boxes, ends[1], class_="flow", aria_label="architecture")


def winner_card(trial: Any, winner: WinnerRecord | None, objective: str, log: str, known: pd.DataFrame) -> Markup:
    """The winner, or the best so far: its scores, what it is made of, what it costs, how to use it."""
    numbers = [("validation " + objective, score(trial["objective"]) + _error(trial))]
    if winner:
        numbers += [(f"test {name}", score(value)) for name, value in winner.test.items() if name == objective]
    numbers += [
        ("parameters", amount(trial["parameters"])),
        ("weights", amount(trial["model_bytes"]) + ("B" if not missing(trial["model_bytes"]) else "")),
        ("one example", milliseconds(trial["latency_ms"])),
        ("operations", amount(trial["flops"])),
        ("training", duration(trial["train_seconds"])),
        ("steps in all", amount(trial["cumulative_steps"])),
    ]
    tiles = [
        element("div", element("dt", name), element("dd", value), class_="first" if place == 0 else "")
        for place, (name, value) in enumerate(numbers)
        if value != NOTHING
    ]
    test = winner.test if winner else {}
    rest = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", score(value)),
            element("td", score(test.get(name))),
        )
        for name, value in decoded(trial["metrics"]).items()
    ]
    settings = [f"{name} {value}" for name, value in decoded(trial["hyperparameters"]).items()]
    head = element("thead", element("tr", *(element("th", each, scope="col") for each in ("", "validation", "test"))))
    return joined(
        [
            element("dl", *tiles, class_="tiles"),
            element("h3", "Architecture"),
            *_drawn(trial, known),
            element("p", " · ".join(settings), class_="muted") if settings else None,
            element("p", f"Left out of the data: {left_out(vars(winner))}.") if winner and winner.dropped else None,
            element(
                "div",
                element("div", element("h3", "All its scores"), element("table", head, element("tbody", *rest)))
                if rest
                else None,
                _commands(str(trial["uid"]), winner, log),
                class_="two",
            ),
        ]
    )


def _drawn(trial: Any, known: pd.DataFrame) -> list[Markup]:
    """The architecture; of an ensemble that of each member, those that count the most first."""
    members = members_of(trial)
    if not members:
        return [flow([str(each) for each in listed(trial["architecture"])])]
    architectures = dict(zip(known["uid"], known["architecture"], strict=True))
    shown = sorted(members.items(), key=lambda each: -each[1])
    sums = decoded(trial["mutation"]).get("adds") == "logits"
    what = ("sum of the logits", "weight") if sums else ("mean", "share")
    drawn = [element("p", f"An ensemble: the {what[0]} of {len(members)} models, each with its {what[1]}.")]
    for uid, share in shown[:MEMBERS]:
        drawn += [
            element("p", open_button(uid), f" {share:.2f}" if sums else f" {100 * share:.0f} %"),
            flow([str(each) for each in listed(architectures.get(uid))]),
        ]
    rest = len(shown) - MEMBERS
    return [*drawn, *([element("p", f"and {rest} more", class_="muted")] if rest > 0 else [])]


def members_of(trial: Any) -> dict[str, float]:
    """Of an ensemble the shares of its members by uid; nothing of other trials."""
    if trial is None or trial["kind"] != "ensemble":
        return {}
    members: dict[str, float] = decoded(trial["mutation"]).get("members", {})
    return members


def cost_table(trials: pd.DataFrame) -> Markup:
    """Where the time of trials went."""
    rows = [
        (str(each["phase"]).replace("_", " "), f"{each['median']:.3f}", f"{100 * each['share']:.0f} %")
        for each in phase_costs(trials).to_dict("records")
    ]
    return table(("phase", "seconds", "share"), rows, first_is_head=True)


def class_tables(answers: Mapping[str, Any]) -> list[Markup]:
    """Precision, recall and F1 of each class, a table a target; of numbers nothing."""
    tables = []
    for target, each in answers.items():
        rows = [
            (row["class"], score(row["precision"]), score(row["recall"]), score(row["f1"]), f"{row['examples']:,}")
            for row in class_scores(each).to_dict("records")
        ]
        if rows and len(answers) > 1:
            tables.append(element("h3", target))
        if rows:
            tables.append(table(("class", "precision", "recall", "F1", "examples"), rows, first_is_head=True))
        if rows and each.get("others"):
            tables.append(element("p", f"{each['others']:,} rarer ones are not told apart.", class_="muted"))
    return tables


def _error(trial: Any) -> str:
    return "" if missing(trial["objective_se"]) else f" ± {score(trial['objective_se'])}"


def _commands(uid: str, winner: WinnerRecord | None, log: str) -> Markup:
    path = short(log)
    shown = shlex.quote(path)
    if winner:
        parts = [
            f"msearch predict {shown} DATA",
            f"# as Keras, SavedModel, TFLite or ONNX\nmsearch export {shown} --out FOLDER",
            f'# or, from Python\nimport msearch_core\nmsearch_core.predict({json.dumps(path)}, "DATA")',
        ]
        if not is_url(path):
            file = json.dumps(f"{path}/{model_folder(uid)}/{MODEL}")
            parts.append(f"# the model alone: raw input in, answers out\nimport keras\nkeras.models.load_model({file})")
        text = "\n\n".join([*parts, f"# trained again from its row\nmsearch replay {shown} {uid}"])
        times = "once" if winner.test_openings == 1 else f"{winner.test_openings} times"
        note = f"The test split was opened {times} in this log."
    else:
        text = f"msearch compare {shown} {uid}\nmsearch export {shown} {uid} --out FOLDER"
        note = "No winner is named yet; the test split is opened for the winner alone."
    code = element("pre", text, tabindex="0")
    return element("div", element("h3", "Use it"), code, element("p", note, class_="muted"))


def descent(uid: str, frame: pd.DataFrame) -> Markup:
    """How a trial came about: its line of first parents with what each step changed."""
    rows: dict[str, Any] = {str(row["uid"]): row for row in frame.to_dict("records")}
    steps, before = [], None
    for each in reversed(line(uid, parents_of(frame))):
        row = rows.get(each)
        if row is None:
            continue
        told = changes(before, row) if before else [f"began with {len(listed(row['architecture']))} blocks"]
        what = element("ul", *(element("li", breakable(change)) for change in told))
        steps.append(element("li", open_button(each), element("b", score(row["objective"])), what))
        before = row
    return element("ol", *steps, class_="descent")


def open_button(uid: str) -> Markup:
    """A trial's name; pressing it shows the whole row."""
    return element("button", uid, type="button", data_uid=uid, class_="uid")


def best_table(trials: pd.DataFrame) -> Markup:
    """The best trials."""
    rows = [
        (
            open_button(str(trial["uid"])),
            score(trial["objective"]) + _error(trial),
            amount(trial["parameters"]),
            milliseconds(trial["latency_ms"]),
            duration(trial["train_seconds"]),
            breakable(" → ".join(map(str, listed(trial["architecture"])))),
        )
        for trial in best_first(trials).head(BEST).to_dict("records")
    ]
    return table(("trial", "score", "parameters", "latency", "training", "architecture"), rows)


def side_by_side(trials: pd.DataFrame, known: pd.DataFrame) -> Markup:
    """The few best trials, a column each."""
    uids = [str(uid) for uid in best_first(trials)["uid"].head(SIDE_BY_SIDE)]
    compared = compare(known, uids)
    rows: list[tuple[object, ...]] = []
    shown: list[tuple[str, Callable[[Any], object]]] = [
        ("score", lambda row: score(row["objective"])),
        ("95 % interval", _interval),
        ("kind", lambda row: str(row["kind"])),
        ("rung", lambda row: amount(row["rung"])),
        ("parameters", lambda row: amount(row["parameters"])),
        ("operations", lambda row: amount(row["flops"])),
        ("latency", lambda row: milliseconds(row["latency_ms"])),
        ("weights, bytes", lambda row: amount(row["model_bytes"])),
        ("training", lambda row: duration(row["train_seconds"])),
        ("training with ancestors", lambda row: duration(row["ancestor_seconds"])),
        ("steps with ancestors", lambda row: amount(row["cumulative_steps"])),
        ("generations", lambda row: str(len(row["lineage"]))),
        ("architecture against the first", lambda row: _lines(row["architecture_difference"])),
        ("hyperparameters against the first", lambda row: _lines(row["hyperparameter_difference"])),
    ]
    records = compared.to_dict("records")
    for name, cell in shown:
        cells = [cell(record) for record in records]
        if any(each != NOTHING for each in cells):
            rows.append((name, *cells))
    return table(("", *(open_button(uid) for uid in uids)), rows, first_is_head=True)


def _interval(row: Any) -> str:
    return NOTHING if missing(row["low"]) else f"{score(row['low'])} to {score(row['high'])}"


def _lines(texts: Sequence[str]) -> Markup | str:
    return joined(element("div", breakable(text)) for text in texts) if texts else NOTHING


def group_tables(trials: pd.DataFrame) -> Markup:
    """How the kinds of trial, the algorithms and the statuses fared."""
    made = []
    grouped_by: tuple[Grouping, ...] = ("kind", "algorithm", "status")
    for by in grouped_by:
        found = groups(trials, by)
        rows = [
            (
                str(row[by]),
                f"{row['trials']:,}",
                score(row["best"]),
                score(row["mean"]),
                _interval(row),
            )
            for row in found.to_dict("records")
        ]
        made.append(table((by, "trials", "best", "mean", "95 % interval of the mean"), rows))
    return joined(made)


def failures(trials: pd.DataFrame) -> Markup:
    """The trials that gave no score, by class, with what they said."""
    lost = trials[~trials["status"].isin(("completed", "stopped"))]
    if lost.empty:
        return element("p", "None: every trial that was begun has a score.", class_="muted")
    parts = []
    for status, group in sorted(lost.groupby("status"), key=lambda each: -len(each[1])):
        messages = group["error"].fillna("no message").value_counts()
        lines = [
            element("li", element("span", f"{count} \u00d7", class_="count"), element("code", str(message)[:400]))
            for message, count in messages.head(MESSAGES).items()
        ]
        further = len(messages) - MESSAGES
        lines += [element("li", f"and {further} other messages", class_="muted")] if further > 0 else []
        share = f"{len(group):,} of {len(trials):,} trials"
        parts.append(
            element("section", element("h3", str(status)), element("p", share, class_="muted"), element("ul", *lines))
        )
    return element("div", *parts, class_="failures")


def direction_note(trials: pd.DataFrame) -> str:
    """Which way is better, in a word."""
    return "higher is better" if is_maximised(trials) else "lower is better"
