"""What the log knows of a model, for its card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from msearch_core.readable import score_text
from msearch_core.report.lineage import ancestors, line, parents_of
from msearch_core.report.scores import decoded, listed, score_interval
from msearch_core.trial_log import RunRecord, SearchRecord, TrialLog


def facts(
    log: TrialLog,
    search: SearchRecord,
    run: RunRecord,
    frame: Any,
    uid: str,
    scores: Mapping[str, float],
    same: bool,
    own_layers: Sequence[str],
) -> dict[str, Any]:
    """Scores with intervals, lineage, versions, data.

    Args:
        log: the trial database.
        search: its search.
        run: the trial's run.
        frame: all rows.
        uid: the trial.
        scores: of the exported model, by format.
        same: whether the data is what the model was trained on.
        own_layers: the layers that a ``.keras`` file in the bundle has and Keras has not.

    Returns:
        As `msearch_core.exporting.card.model_card` takes them.
    """
    row = frame[frame["uid"] == uid].iloc[0]
    name = str(row["objective_name"])
    low, high = score_interval(float(row["objective"]), float(row["objective_se"]), name)
    interval = ("", "") if math.isnan(low) else (f" ({score_text(low)} to {score_text(high)})", ", 95 % interval")
    rows = [(f"{name}, validation", f"{score_text(row['objective'])}{interval[0]}", f"the search{interval[1]}")]
    rows += [
        (f"{name}, validation", score_text(score), f"{each}, loaded again by a fresh process"
         + ("" if same else "; the data has changed since"))
        for each, score in scores.items()
    ]  # fmt: skip
    winner = next((each for each in reversed(log.winners()) if each.uid == uid), None)
    if winner:
        opened = "opened once" if winner.test_openings == 1 else f"opened {winner.test_openings} times in this log"
        rows += [(f"{key}, test", score_text(value), f"the search; {opened}") for key, value in winner.test.items()]
    else:
        rows.append(("test", "", "never opened for this trial: it is no winner"))
    parents = parents_of(frame)
    blocks = " > ".join(f"`{each}`" for each in listed(row["architecture"]))
    return {
        "uid": uid,
        "search": search.name,
        "scores": rows,
        "notes": _notes(own_layers),
        "model": [
            ("kind", row["kind"]),
            ("architecture", blocks or "an ensemble of " + ", ".join(listed(row["parents"]))),
            ("parameters", f"{_whole(row['parameters']):,}"),
            ("hyperparameters", _json(decoded(row["hyperparameters"]))),
            ("lineage", " > ".join(line(uid, parents)[::-1])),
            ("trained", f"{_whole(row['steps'])} steps, {_whole(row['cumulative_steps'])} with its line"),
            ("ancestors", str(len(ancestors(uid, parents)))),
        ],
        "origin": [
            ("log", _json(log.url)),
            ("search", f"{search.id}, run {run.run}, space {_json(search.space)}, algorithm {search.algorithm}"),
            ("data", _json(run.data)),
            ("data fingerprint", f"`{row['data_fingerprint']}`"),
            ("seeds", f"search {search.seed}, split {search.split_seed}, trial {row['seed']}"),
            ("trained with", _json(decoded(row["versions"]))),
            ("exported with", _json({each: version(each) for each in ("msearch", "keras", "tensorflow", "numpy")})),
        ],
    }


def _whole(number: Any) -> int:
    return 0 if number is None or number != number else int(number)


def _notes(own_layers: Sequence[str]) -> list[str]:
    if not own_layers:
        return []
    return [
        f"model.keras has layers that Keras does not have ({', '.join(own_layers)}): it loads only where the code that "
        "defines them was imported before. saved_model needs none of it."
    ]


def _json(value: Any) -> str:
    """As code that ends no table cell and no line."""
    return "`" + json.dumps(value, ensure_ascii=False).replace("`", "'").replace("|", "¦") + "`"
