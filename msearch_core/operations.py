"""The commands for searches on many machines: deploy, trainers, refresh, promote, data-updated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from msearch_core.errors import UserError
from msearch_core.terminal import Log, console

if TYPE_CHECKING:
    from flows.parameters import RefreshParameters


def deploy(
    pool: Annotated[str | None, typer.Option(help="Work pool, created if it is not there. [default: msearch]")] = None,
    kind: Annotated[str, typer.Option("--type", help="Type of a new pool: process, docker, kubernetes.")] = "process",
    file: Annotated[Path | None, typer.Option(help="Deployments of your own, in the form of prefect.yaml.")] = None,
    refresh: Annotated[Path | None, typer.Option(help="TOML or JSON file of a search that is to recur.")] = None,
    cron: Annotated[str | None, typer.Option(help="When to look whether its data has changed.")] = None,
) -> None:
    """Put the work pool, the deployments and the automations on the Prefect server. May be repeated."""
    from flows.deploying import deploy as put
    from flows.prefect_api import need_api_url

    need_api_url("deploy")
    parameters = read_refresh(refresh) if refresh else None
    for line in put(pool, kind, file, parameters, cron):
        console.print(line, soft_wrap=True)


def trainers(
    log: Log,
    count: Annotated[int, typer.Argument(min=0, max=1000, help="How many trainers the search is to have.")],
    run: Annotated[str | None, typer.Option(help="The run. [default: the newest]")] = None,
) -> None:
    """Change how many trainers a running search has; with 0 all leave, those that joined by hand too."""
    from msearch_core.trial_log import TrialLog

    opened = TrialLog(log)
    opened.search()
    runs = {each.run: each for each in opened.runs()}
    if not runs or (run and run not in runs):
        raise UserError(f"{log} has no run {run or 'yet'}; it has {', '.join(runs) or 'none'}")
    record = runs[run or next(reversed(runs))]
    board = opened.board(record, ("uid", "run"))
    board.look()
    if board.is_over:
        raise UserError(f"run {record.run} of {log} has ended; search again with more --trials or --minutes to go on")
    opened.set_trainers(record.run, count)
    console.print(f"run {record.run}: {count} trainers from now on, while its search is at work")


def data_updated(data: Annotated[str, typer.Argument(help="The data, as the search was given it.")]) -> None:
    """Tell the Prefect server that data has changed: the refreshes deployed for it run."""
    from flows.events import tell_updated
    from flows.prefect_api import need_api_url, wait_for_api

    server = need_api_url("data-updated")
    wait_for_api()
    tell_updated(data)
    console.print(f"told {server} that {data} has changed", soft_wrap=True)


def refresh(
    search: Annotated[Path, typer.Argument(help="TOML or JSON file of the search: its options, `data` and `log` too.")],
) -> None:
    """Search again if the data has changed, from what is known, and put what is better into use."""
    from flows.launch import LaunchedSearch, code_path
    from msearch_core.refreshing import nothing_new

    parameters = read_refresh(search)
    os.environ.update(code_path(parameters.config))  # a source of the user's own is read here
    if unchanged := nothing_new(parameters.config):
        console.print(unchanged, soft_wrap=True)
        return
    with LaunchedSearch(parameters.config, "flows.local_refresh", parameters.model_dump_json()) as launched:
        try:
            console.print(launched.wait(), soft_wrap=True)
        except KeyboardInterrupt:
            launched.stop()
            launched.__exit__(None, None, None)
            console.print("stopped; what was finished is on record, and the same command goes on with the rest")
            raise typer.Exit(130) from None


def promote(
    log: Log,
    uid: Annotated[str | None, typer.Argument(help="A winner's trial. [default: the newest winner]")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to what was in use before.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Only list what has been in use.")] = False,
) -> None:
    """Choose the model in use, which `msearch predict LOG` takes; the history stays."""
    from msearch_core import production
    from msearch_core.trial_log import TrialLog

    opened = TrialLog(log)
    opened.search()
    if history:
        records = opened.productions()
        for number, record in enumerate(records, start=1):
            console.print(f"{number}  {record.uid}  {record.reason}", soft_wrap=True)
        if not records:
            console.print("nothing has been in use yet; `msearch promote LOG` puts the newest winner into use")
        return
    if rollback and uid:
        raise UserError("give a trial or --rollback, not both")
    record = production.roll_back(opened) if rollback else production.promote(opened, uid)
    console.print(f"in use: {record.uid} ({record.reason})", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(deploy)
    app.command()(trainers)
    app.command()(refresh)
    app.command()(promote)
    app.command("data-updated")(data_updated)


def read_refresh(path: Path) -> RefreshParameters:
    """Read the parameters of a refresh: a search's options, with ``keep`` and ``overlap`` beside them.

    Local paths are made absolute, since the refresh may run elsewhere on this machine.

    Raises:
        UserError: the file cannot be read, or an option is wrong.
    """
    from pydantic import ValidationError

    from flows.parameters import RefreshParameters
    from msearch_core.config import (
        SearchConfig,
        absolute_folder,
        make_config,
        read_config,
        unknown_option,
        wrong_option,
    )
    from msearch_core.session import absolute_source, code_reference

    options = dict(read_config(path))
    own = [name for name in RefreshParameters.model_fields if name != "config"]
    given: dict[str, Any] = {key: options.pop(key) for key in own if key in options}
    for key in options:
        if key not in SearchConfig.model_fields:
            raise unknown_option(key, [*own, *SearchConfig.model_fields])
    made_absolute = {
        "data": absolute_source,
        "test": absolute_source,
        "log": absolute_folder,
        "space": code_reference,
        "objective": code_reference,
    }
    for option, absolute in made_absolute.items():
        if options.get(option):
            options[option] = absolute(str(options[option]))
    config = make_config(**options)
    try:
        return RefreshParameters(config=config, **given)
    except ValidationError as error:
        raise wrong_option(error) from None
