"""The library's face: ``msearch_core.search(...)``."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from msearch_core.config import SearchConfig, make_config
from msearch_core.errors import UserError
from msearch_core.loading import load_space
from msearch_core.report.scores import why_none
from msearch_core.trial_log import RunRecord, TrialLog, WinnerRecord
from msearch_core.trial_log.layout import model_folder
from msearch_core.urls import expanded

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from msearch_core.export import Export
    from msearch_core.report.groups import Grouping


@dataclass(frozen=True)
class SearchResult:
    """A search that has ended.

    Attributes:
        log: the trial database.
        run: the run that was worked on.
        winner: the best model found.
    """

    log: TrialLog
    run: RunRecord
    winner: WinnerRecord

    @property
    def trials(self) -> pd.DataFrame:
        """Every trial of the run, one row each."""
        frame = self.log.trials()
        return frame[frame["run"] == self.run.run].reset_index(drop=True)

    @property
    def best(self) -> pd.Series:
        """The winner's row."""
        frame = self.trials
        return frame[frame["uid"] == self.winner.uid].iloc[0]

    @property
    def model(self) -> str:
        """The folder of the winner's finished model, which may be another than the one in use."""
        return f"{self.log.url}/{model_folder(self.winner.uid)}"

    def compare(self, uids: Sequence[str] = (), top: int = 3) -> pd.DataFrame:
        """Trials side by side, one row each; the best if none are named. See ``report.compare.compare``."""
        from msearch_core.report.compare import compare
        from msearch_core.report.scores import best_first

        chosen = uids or [str(uid) for uid in best_first(self.trials)["uid"].head(top)]
        return compare(self.log.trials(), chosen)

    def groups(self, by: Grouping = "block") -> pd.DataFrame:
        """Count, best and mean score by block, algorithm, kind or status. See ``report.groups.groups``."""
        from msearch_core.report.groups import groups

        return groups(self.trials, by)

    def plot_progress(self, x: Literal["trials", "steps", "seconds"] = "trials") -> Figure:
        """Every trial and the best so far, against trials, gradient steps or seconds."""
        from msearch_core.report import plots

        return plots.progress(self.trials, x)

    def plot_pareto(self, cost: Literal["parameters", "model_bytes", "flops", "latency_ms"] = "parameters") -> Figure:
        """Score against cost, with the Pareto front."""
        from msearch_core.report import plots

        return plots.pareto(self.trials, cost)

    def plot_lineage(self) -> Figure:
        """The family tree, with the winner's line marked."""
        from msearch_core.report import plots

        return plots.lineage(self.log.trials(), self.winner.uid)

    def plot_curves(self) -> Figure:
        """Learning curves."""
        from msearch_core.report import plots

        return plots.curves(self.trials)

    def plot_effects(self, *, by_family: bool = True) -> Figure:
        """Which blocks help, with 95 % intervals."""
        from msearch_core.report import plots

        return plots.effects(self.trials, by_family=by_family)

    def plot_hyperparameters(self, name: str) -> Figure:
        """The score of each trial by the value of one hyperparameter."""
        from msearch_core.report import plots

        return plots.hyperparameters(self.trials, name)

    def plot_timeline(self) -> Figure:
        """Which trainer did what when."""
        from msearch_core.report import plots

        return plots.timeline(self.trials)

    def report(self, out: str | Path = "report.html") -> None:
        """Write one self-contained page about the search, as ``msearch report`` does."""
        from msearch_core.report.writing import write_report

        write_report(self.log, out)

    def predict(self, data: str) -> pd.DataFrame:
        """Predict from raw input with the winner; see ``predict``."""
        _import_layers(self.log)
        return predict(self.model, data)

    def export(self, out: str | Path = "export", formats: Sequence[str] = ("keras",), uid: str | None = None) -> Export:
        """Take the winner, or any trial, away: a folder that needs no msearch. See ``msearch_core.export.export``."""
        from msearch_core.export import export

        return export(self.log, uid or self.winner.uid, formats, str(out))


def search(data: str, *, watch: Callable[[Any], None] | None = None, **options: Any) -> SearchResult:
    """Search for a model, or go on with a search.

    Args:
        data: a name, a file or a folder, local or any fsspec URL.
        watch: is called once with the running search, in place of waiting silently.
        options: as for ``msearch search``: ``target``, ``space``, ``trials``, ``minutes``, ``trainers``, ``seed``, ...

    Raises:
        UserError: an option or the data is wrong, or no trial succeeded.
    """
    from flows.launch import LaunchedSearch

    with LaunchedSearch(make_config(data=data, **options)) as launched:
        joined = launched.joined()
        if watch:
            watch(launched)
        launched.wait()
    winners = [each for each in joined.log.winners() if each.run == joined.run.run]
    if not winners:
        raise UserError(f"the search was stopped before it named a winner; see: msearch trials {joined.log.url}")
    return SearchResult(joined.log, joined.run, winners[-1])


def search_alone(config: SearchConfig, cache: Path | None = None) -> SearchResult:
    """Search within this process, one trial at a time, without Prefect; see ``training.alone.search_alone``.

    Raises:
        UserError: what was asked for cannot be searched, or no trial succeeded.
    """
    from flows.launch import code_path
    from msearch_core.training import alone

    os.environ.update(code_path(config))  # a space of the user's own is loaded here, and in the training host
    session, winner = alone.search_alone(config, cache)
    if winner is None:
        raise UserError(why_none(session.log.trials(), session.run.run, session.log.url))
    return SearchResult(session.log, session.run, winner)


def predict(model: str, data: str, tell: Callable[[str], None] | None = None) -> pd.DataFrame:
    """Predict from raw input with a search's winner.

    Args:
        model: the folder of a finished model, or a trial log: the model in use, where one was promoted, else the newest
            winner.
        data: as for ``search``, labels are not needed; also a single image or WAV file, or ``-`` for standard input.
        tell: is called with a line for each column with unknown categories or unusual gaps; a warning if not given.

    Returns:
        One row an example: ``prediction``, and for a classification ``probability_<label>`` for each label; first the
        ``file`` that it is from, where each is in one.

    Raises:
        UserError: there is no such model, or the data does not fit it.
    """
    from msearch_core.training.predict import predict as predict_with

    for name, given in (("model", model), ("data", data)):
        if not isinstance(given, str | os.PathLike):
            raise UserError(
                f"predict takes a log or a model's folder, then the data's path; {name} is a {type(given).__name__}, "
                "and a table in memory must be written to a file first"
            )
    model, data = os.fspath(model), os.fspath(data)
    return predict_with(find_model(model), data, tell=tell or (lambda line: warnings.warn(line, stacklevel=4)))


def find_model(model: str) -> str:
    """The folder of a finished model: the one given, or that of a log, wherever that is now.

    A log's model is the one in use, where one was promoted, else the newest winner.

    Raises:
        UserError: it is a file, or a log that has no winner yet.
    """
    if expanded(model).is_file():
        raise UserError(
            f"{model} is a file; expected first a log, or the folder of a model as a search leaves it, then the data "
            "(the folder of an exported model has a predict.py of its own)"
        )
    log = TrialLog(model)
    if named := log.productions() or log.winners():
        _import_layers(log)
        return f"{log.url}/{model_folder(named[-1].uid)}"
    if log.runs():
        raise UserError(
            f"{model} has no winner yet, which is named when its search ends; see how far it is: msearch trials {model}"
        )
    return model


def _import_layers(log: TrialLog) -> None:
    """Keras must have seen a space's own layers before it loads them. Most spaces have none, and do without."""
    with contextlib.suppress(UserError):
        load_space(log.search().space)
