"""Joining a search: from what a user asks, or from the log alone, to all that a trainer needs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import fsspec

from msearch_core.config import SearchConfig
from msearch_core.data.custom import is_reference
from msearch_core.data.named import NAMES
from msearch_core.data.options import DataOptions, data_options
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import Problem, default_space, fitted_space
from msearch_core.errors import UserError
from msearch_core.loading import load_space
from msearch_core.objectives import find_objective
from msearch_core.space import SearchSpace
from msearch_core.trial_log import RunRecord, SearchRecord, TrialLog
from msearch_core.trial_log.layout import run_name
from msearch_core.urls import expanded, refuse_memory

LOGS = "msearch-logs"


@dataclass(frozen=True)
class Session:
    """One run of a search, ready to work on.

    Attributes:
        log: the trial database.
        search: what is fixed for the log's life.
        run: the budget, and the data that it is spent on.
        data: folder of the prepared data on this machine.
        problem: what is to be predicted.
        space: the search space, fitted to the data's shape.
    """

    log: TrialLog
    search: SearchRecord
    run: RunRecord
    data: Path
    problem: Problem
    space: SearchSpace


def join(config: SearchConfig, cache: Path | None = None) -> Session:
    """Begin a search, extend it or join it, whichever the log and the budget asked for call for.

    An unfinished or finished run on the same data is joined; a larger budget extends it; new data starts a new run.

    Args:
        config: what is asked for.
        cache: where prepared data is kept; the user's own cache if not given.

    Raises:
        UserError: the data, the space or an option is wrong, or the log belongs to another search. Nothing is written
            then.
    """
    if config.log:
        refuse_memory(config.log, "--log")
    asked_log = TrialLog(config.log) if config.log else None  # a wrong address is refused before data is prepared
    asked = config.source
    source = replace(asked, data=absolute_source(asked.data), test=absolute_source(asked.test) if asked.test else None)
    data = prepare_cached(source, seed=config.seed, cache=cache)
    prepared = open_prepared(data)
    reference = code_reference(config.space or default_space(prepared.problem))
    space = fitted_space(load_space(reference), prepared.problem)
    for architecture in config.suggest:
        if reason := space.why_invalid(architecture):
            raise UserError(f"--suggest: {architecture} is not valid in the space {space.name!r}: {reason}")
    objective = find_objective(prepared.problem, config.objective and code_reference(config.objective))
    name = config.name or f"{_stem(config.data)}-{space.name}-seed{config.seed}"
    wanted = SearchRecord(
        id=uuid.uuid4().hex[:12],
        name=name,
        space=reference,
        space_fingerprint=space.fingerprint,
        objective=objective.name,
        direction=objective.direction,
        algorithm=config.algorithm,
        seed=config.seed,
        split_seed=config.seed,
        task="+".join(target.task for target in prepared.problem.targets),
        settings=config.settings,
        versions=versions(),
        objective_fingerprint=objective.fingerprint,
    )
    log = asked_log or TrialLog(str(Path(LOGS).absolute() / name))
    try:
        search = log.open(wanted)
        _check_same(search, wanted, log.url)
        runs = log.runs()
        if earlier := [run for run in runs if run.data_fingerprint == prepared.fingerprint] or runs:
            if config.log is None and earlier[-1].data["data"] != source.data:
                raise UserError(f"{log.url} searches {earlier[-1].data['data']}; give this search a --name of its own")
            _check_same_task(data_options(earlier[-1].data), source, log.url)
            if earlier[-1].moved != prepared.moved:
                # Examples that an earlier run put on another side stay there.
                data = prepare_cached(source, seed=config.seed, moved=earlier[-1].moved, cache=cache)
                prepared = open_prepared(data)
        run = _join_run(log, config, source, prepared.fingerprint, prepared.moved)
    except OSError as error:
        raise UserError(f"cannot use {log.url} as the log: {error.strerror or error}; give another --log") from error
    return Session(log, search, run, data, prepared.problem, space)


def rejoin(log_url: str, run: str, data: Path | None = None) -> Session:
    """Join a run from its log alone, as a trainer does.

    Args:
        log_url: the trial database.
        run: the run's name.
        data: the prepared data where another process of this machine made it; prepared here if not given.

    Raises:
        UserError: this machine resolves the data or the space to something else than the log has recorded.
    """
    session = resolve(TrialLog(log_url), run, data)
    log, search, record = session.log, session.search, session.run
    found = open_prepared(session.data).fingerprint
    if found != record.data_fingerprint:
        raise UserError(
            f"{record.data['data']} is not the data that run {run} of {log.url} was started on "
            f"({found} instead of {record.data_fingerprint}); start the search again to use the new data"
        )
    if session.space.fingerprint != search.space_fingerprint:
        raise UserError(
            f"the space {search.space!r} of this machine is not the one that {log.url} was begun with; "
            "install the same version, or use another --log"
        )
    objective = find_objective(session.problem, search.objective)
    if search.objective_fingerprint not in ("", objective.fingerprint):
        raise UserError(
            f"the objective {search.objective!r} of this machine is not the one that {log.url} was begun with; "
            "install the same version, or use another --log"
        )
    return session


def resolve(log: TrialLog, run: str, data: Path | None = None) -> Session:
    """A run with the data and the space as this machine finds them, whether or not they are those on record.

    Args:
        log: the trial database.
        run: the run's name.
        data: the prepared data where another process of this machine made it; prepared here if not given.

    Raises:
        UserError: there is no such run, or its data, space or objective cannot be loaded.
    """
    search = log.search()
    record = next((each for each in log.runs() if each.run == run), None)
    if record is None:
        raise UserError(f"{log.url} has no run {run!r}; it has {[each.run for each in log.runs()]}")
    data = data or prepare_cached(data_options(record.data), seed=search.split_seed, moved=record.moved)
    problem = open_prepared(data).problem
    find_objective(problem, search.objective)  # else each trial would fail for want of it
    return Session(log, search, record, data, problem, fitted_space(load_space(search.space), problem))


@cache
def versions() -> Mapping[str, str]:
    """The versions that a result may depend on; looked up once a process, since each row says them."""
    packages = ("msearch", "keras", "tensorflow", "numpy")
    return {"python": python_version(), **{package: version(package) for package in packages}}


def _join_run(
    log: TrialLog, config: SearchConfig, source: DataOptions, fingerprint: str, moved: Mapping[str, str]
) -> RunRecord:
    while True:
        runs = log.runs()
        last = next((run for run in reversed(runs) if run.data_fingerprint == fingerprint), None)
        if last is None:
            trials, minutes = config.budget
            record = RunRecord(
                run=run_name(len(runs) + 1),
                extension=1,
                trials=trials,
                minutes=minutes,
                data=source.to_json(),
                data_fingerprint=fingerprint,
                moved=moved,
                suggestions=config.suggest,
            )
        else:
            if config.suggest and config.suggest != [list(each) for each in last.suggestions]:
                raise UserError(
                    f"--suggest: run {last.run} of {log.url} began with other suggestions; use another --log"
                )
            extended = _extend(log, last, *config.budget)
            if extended is None:
                return last
            record = extended
        if log.add_run(record):
            return record


def _extend(log: TrialLog, last: RunRecord, trials: int, minutes: float | None) -> RunRecord | None:
    """A larger budget for a run, or ``None`` if the one asked for is spent or is no larger."""
    board = log.board(last, ("uid", "run"))
    board.look()
    open_ended = last.is_open_ended
    more_trials = trials > (board.done if open_ended else last.trials)
    more_time = not board.is_complete and board.done < trials and _longer(minutes, last.minutes)
    if not (more_time or (more_trials and trials != last.trials)):
        return None
    return replace(
        last,
        extension=last.extension + 1,
        # What was begun is finished: its rows would count for slots of a smaller budget that have none.
        trials=max(trials, board.highest if open_ended else last.trials),
        # More trials than any number, without the time that was given with them, would never end.
        minutes=minutes if last.minutes is None or _longer(minutes, last.minutes) else last.minutes,
    )


def _longer(minutes: float | None, than: float | None) -> bool:
    return than is not None and (minutes is None or minutes > than)


def _check_same(found: SearchRecord, wanted: SearchRecord, url: str) -> None:
    """Refuse to mix searches in one log."""
    for field in ("task", "space", "objective", "direction", "algorithm", "seed"):
        _same(field, getattr(found, field), getattr(wanted, field), url)
    for field in wanted.settings:
        _same(field, found.settings.get(field), wanted.settings[field], url)
    if found.space_fingerprint != wanted.space_fingerprint:
        raise UserError(f"the space {wanted.space!r} has changed since {url} was begun; use another --log or --name")
    if found.objective_fingerprint not in ("", wanted.objective_fingerprint):
        raise UserError(
            f"the objective {wanted.objective!r} has changed since {url} was begun, and its scores would not compare; "
            "use another --log or --name"
        )


def _check_same_task(found: DataOptions, wanted: DataOptions, url: str) -> None:
    """Refuse new data that something else is to be learned from: its scores would not compare with earlier ones."""
    for field in ("target", "task", "task_weight", "weight", "balance", "group"):
        _same(field, _words(getattr(found, field)), _words(getattr(wanted, field)), url)


def _words(option: object) -> object:
    return ", ".join(option) if isinstance(option, tuple) else option or None


def _same(field: str, found: object, wanted: object, url: str) -> None:
    if found != wanted:
        raise UserError(
            f"the log {url} belongs to a search with {field.replace('_', '-')} {found}, not {wanted}; "
            "use another --log or --name"
        )


def absolute_source(data: str) -> str:
    """A local path made absolute, so that a trainer that runs elsewhere finds it; names and URLs stay."""
    path = expanded(data)
    if data in NAMES or not path.exists():
        return code_reference(data) if is_reference(data) else data
    return str(path.absolute())


def code_reference(reference: str) -> str:
    """The name of a space, an objective or a source; a file's path made absolute."""
    location, colon, attribute = reference.partition(":")
    return f"{expanded(location).absolute()}{colon}{attribute}" if location.endswith(".py") else reference


def _stem(data: str) -> str:
    stem = Path(fsspec.core.strip_protocol(data)).stem
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-.") or "data"
