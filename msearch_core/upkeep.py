"""The commands that look after a log: verify it, compact it, make room."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from msearch_core.terminal import Log, console


def check(
    log: Log,
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild lost chunks; no trainer may be at work.")] = False,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Verify every file of a log. Exit code 1 if rows are lost, doubled or cannot be queried."""
    from msearch_core.trial_log import TrialLog
    from msearch_core.trial_log.check import Checker, as_json, in_short
    from msearch_core.trial_log.check import repair as rebuild

    opened = TrialLog(log)
    opened.search()
    rebuilt = rebuild(opened.store) if repair else []
    report = Checker(opened.store).report()
    if output == "json":
        sys.stdout.write(as_json(report) + "\n")
    else:
        for name in rebuilt:
            console.print(f"rebuilt {name}")
        for line in in_short(report.findings):
            console.print(line, soft_wrap=True)
        counts = (
            f"{report.rows} trials ({report.unsealed} not sealed yet), {report.chunks} chunks, {report.files} files"
        )
        console.print(f"{counts}: {'sound' if report.is_sound else 'NOT sound'}", soft_wrap=True)
    raise typer.Exit(0 if report.is_sound else 1)


def seal(log: Log) -> None:
    """Compact all finished trials into chunks, so that plain readers see every one."""
    from msearch_core.trial_log import TrialLog

    opened = TrialLog(log)
    opened.search()
    console.print(f"sealed {opened.seal()} trials")


def prune(
    log: Log,
    keep: Annotated[int, typer.Option(min=1, help="How many of the best trials of each run keep their weights.")] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove the weights of hopeless trials, not of those that a run may still promote; all rows stay."""
    from msearch_core.trial_log import TrialLog, pruning

    opened = TrialLog(log)
    opened.search()
    names = pruning.prunable(opened, keep)
    megabytes = pruning.size_of(opened, names) / 1e6
    if dry_run:
        for name in names:
            console.print(name, soft_wrap=True)
    else:
        pruning.prune(opened, names)
    console.print(f"{'would remove' if dry_run else 'removed'} {len(names)} files, {megabytes:.1f} MB")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, seal, prune):
        app.command()(command)
