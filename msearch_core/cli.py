"""The command line: ``msearch``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.exceptions import TyperException

from msearch_core import export_command, operations, upkeep
from msearch_core.errors import UserError
from msearch_core.programs import look_here_last
from msearch_core.replay import replay_command
from msearch_core.terminal import Log, console

app = typer.Typer(
    name="msearch",
    help="Find a neural network for your data by asynchronous architecture search.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How trials and comparisons are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Grouping(StrEnum):
    """What makes a group in ``msearch compare --by``."""

    BLOCK = "block"
    ALGORITHM = "algorithm"
    KIND = "kind"
    STATUS = "status"


@app.command()
def search(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="A name (digits, breast_cancer, ...), a file, a folder of class folders with images or WAV files, "
            "or your own source.py:attribute."
        ),
    ],
    target: Annotated[list[str] | None, typer.Option(help="Column to predict; repeat it for several.")] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="classification, multilabel or regression; with several, TARGET=TASK.")
    ] = None,
    task_weight: Annotated[
        list[str] | None, typer.Option(help="TARGET=NUMBER, its share of loss and score; repeatable.")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="Column that says how much each example counts.")] = None,
    balance: Annotated[bool, typer.Option("--balance", help="Let rare classes weigh as much as others.")] = False,
    space: Annotated[str | None, typer.Option(help="Search space: see `msearch spaces`; or your own file.py.")] = None,
    trials: Annotated[int | None, typer.Option(help="Total number of trials, exactly. [default: 20]")] = None,
    minutes: Annotated[float | None, typer.Option(help="Total time for new trials. [default: 10]")] = None,
    trainers: Annotated[int | None, typer.Option(help="Trials at a time. [default: one a core, at most 4]")] = None,
    steps: Annotated[int | None, typer.Option(help="Gradient steps a trial. [default: 500]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step. [default: 64]")] = None,
    log: Annotated[str | None, typer.Option(help="Trial log. [default: msearch-logs/NAME]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the search. [default: from data, space and seed]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of splits, proposals and trials. [default: 0]")] = None,
    algorithm: Annotated[str | None, typer.Option(help="See `msearch algorithms`.")] = None,
    algorithm_options: Annotated[
        str | None, typer.Option(help="Its parameters as JSON, such as '{\"population\": 30}'.")
    ] = None,
    objective: Annotated[str | None, typer.Option(help="Validation metric, or your own file.py:function.")] = None,
    test: Annotated[str | None, typer.Option(help="Separate source of test examples.")] = None,
    group: Annotated[str | None, typer.Option(help="Column; rows that share its value share a split.")] = None,
    suggest: Annotated[Path | None, typer.Option(help="File with architectures to try first.")] = None,
    max_params: Annotated[int | None, typer.Option(help="Upper limit of trainable parameters.")] = None,
    max_flops: Annotated[int | None, typer.Option(help="Upper limit of operations an example.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Upper limit of the time of one prediction.")] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Upper limit of the model's size.")] = None,
    minimize: Annotated[
        str | None, typer.Option(help="Cost to keep small as well: parameters, flops, latency_ms, model_bytes.")
    ] = None,
    early_stopping: Annotated[
        str | None,
        typer.Option(
            help="End trials that fall behind: asha, median; end all early and go on with the best: promotion."
        ),
    ] = None,
    ensemble_every: Annotated[int | None, typer.Option(help="One trial in so many is an ensemble.")] = None,
    ensemble_search: Annotated[
        str | None, typer.Option(help="How ensembles are made: nonadaptive, adaptive, residual or none.")
    ] = None,
    combine: Annotated[str | None, typer.Option(help="An ensemble's weights: average or learned.")] = None,
    distill_every: Annotated[int | None, typer.Option(help="One trial in so many learns from the best.")] = None,
    distillation: Annotated[
        str | None, typer.Option(help="By what: cross_entropy, logits, probabilities or balanced.")
    ] = None,
    inheritance: Annotated[
        str | None, typer.Option(help="Weights to start from: parent, average, weighted or none.")
    ] = None,
    optimizer_state: Annotated[
        str | None, typer.Option(help="A child's optimizer: fresh, or inherit its parent's moments.")
    ] = None,
    rewarm: Annotated[
        float | None, typer.Option(help="Share of a child's steps in which its learning rate rises to its height.")
    ] = None,
    tensorboard: Annotated[str | None, typer.Option(help="Folder for TensorBoard's files of each trial.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML or JSON file with any of these options.")] = None,
    pool: Annotated[str | None, typer.Option(help="Prefect work pool to train on. [default: this machine]")] = None,
) -> None:
    """Search for a model, or go on with a search: the same command resumes what was interrupted."""
    from msearch_core.config import make_config, parse_options, read_config, read_suggestions

    del target, space, trials, minutes, trainers, steps, batch_size, log, name, seed, algorithm, objective, test, group
    del task, task_weight, weight, balance, algorithm_options, max_params, max_flops, max_latency_ms, max_bytes
    del minimize, early_stopping, ensemble_every, combine, distill_every, distillation, inheritance, optimizer_state
    del rewarm, ensemble_search, tensorboard, pool
    given = {
        key: value
        for key, value in context.params.items()
        if value is not None and value is not False and value not in ([], ()) and key not in ("config", "suggest")
    }
    options: dict[str, Any] = {**(read_config(config) if config else {}), **parse_options(given), "data": data}
    if suggest:
        options["suggest"] = read_suggestions(suggest)
    _run_search(make_config(**options))


def _run_search(config: Any) -> None:
    from flows.launch import LaunchedSearch
    from msearch_core.algorithms.history import COLUMNS
    from msearch_core.progress import Progress, follow
    from msearch_core.urls import short

    with LaunchedSearch(config) as launched:
        try:
            joined = launched.joined()
            console.print(
                f"{joined.log.search().name}: run {joined.run.run} in {short(joined.log.url)}", soft_wrap=True
            )
            for line in joined.notices:
                console.print(line, soft_wrap=True)
            if joined.over:
                console.print("nothing left to do; a larger --trials or --minutes goes on with it")
            else:
                board, used = joined.log.board(joined.run, COLUMNS), joined.log.minutes_used(joined.run)
                progress = Progress(joined.log.search(), board, used=used)
                follow(progress, console, _while(launched))
                launched.wait()
        except KeyboardInterrupt:
            console.print("\nstopping: the trainers hand back their trials ...")
            launched.stop()
            launched.__exit__(None, None, None)
            console.print("stopped; what was finished is on record, and the same command goes on with the rest")
            raise typer.Exit(130) from None
    _show_winner(joined.log, joined.run.run)


def _while(launched: Any) -> Iterator[bool]:
    while launched.is_running():
        yield True


def _show_winner(log: Any, run: str) -> None:
    import pyarrow.compute as pc

    from msearch_core.progress import show_winner
    from msearch_core.report.scores import why_none
    from msearch_core.trial import from_table
    from msearch_core.urls import short

    winner = next((each for each in reversed(log.winners()) if each.run == run), None)
    if winner is None:
        raise UserError(why_none(log.trials(), run, short(log.url)))
    (row,) = from_table(log.table().filter(pc.field("uid") == winner.uid))
    show_winner(log, row, winner, console)


@app.command()
def trials(
    log: Log,
    output: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    sort: Annotated[
        str | None,
        typer.Option(
            help="Column to sort by; a leading - reverses. [default: the newest run first, and in it the best]"
        ),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns, separated by commas; `all` for every one.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Condition such as 'objective >= 0.9' or 'architecture ~ dense'; repeatable."),
    ] = None,
) -> None:
    """List the trials on record: the newest run's first, and of a run the best."""
    from msearch_core.listing import as_lines, list_trials, runs_apart
    from msearch_core.listing import where as filtered
    from msearch_core.trial_log import TrialLog

    opened = TrialLog(log)
    opened.search()
    listed = filtered(opened.trials(), where or [])
    frame = list_trials(listed, sort, columns)
    if output is Format.JSON:
        frame = frame.loc[:, ~frame.columns.duplicated()]
        sys.stdout.write(frame.to_json(orient="records", date_format="iso", force_ascii=False, indent=1) + "\n")
    elif output is Format.CSV:
        frame.to_csv(sys.stdout, index=False)
    else:
        if several := runs_apart(listed):
            console.print(several, style="dim", soft_wrap=True)
        head, *lines = as_lines(frame, console.width)
        console.print(head if lines else "no trial is on record yet", style="bold" if lines else "", soft_wrap=True)
        console.out("\n".join(lines), end="\n" if lines else "", highlight=False)


@app.command()
def compare(
    log: Log,
    uids: Annotated[list[str] | None, typer.Argument(metavar="[UID]...", help="Trials. [default: the best]")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the best, where no UID is given.")] = 3,
    by: Annotated[Grouping | None, typer.Option(help="Compare groups of trials instead.")] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Put trials side by side: score, size, speed, cost, what differs, where each comes from; or compare groups."""
    from msearch_core.report import printing
    from msearch_core.report.compare import compare as side_by_side
    from msearch_core.report.compare import last_run
    from msearch_core.report.groups import groups
    from msearch_core.trial_log import TrialLog

    if by and uids:
        raise UserError("--by compares groups of all trials; leave out the UIDs, or --by")
    opened = TrialLog(log)
    opened.search()
    frame = opened.trials()
    found = groups(last_run(frame), by.value) if by else side_by_side(frame, uids or (), top)
    if output is Format.JSON:
        sys.stdout.write(printing.as_json(found) + "\n")
    elif output is Format.CSV:
        sys.stdout.write(printing.as_csv(found))
    else:
        console.print(printing.groups_table(found) if by else printing.comparison_table(found))
        if by is Grouping.BLOCK and "effect" not in found:
            console.print(printing.NO_EFFECTS, style="dim", soft_wrap=True)


@app.command()
def report(
    log: Log,
    out: Annotated[str, typer.Option(help="The page to write.")] = "report.html",
    watch: Annotated[
        float | None, typer.Option(min=1, help="Write it again every so many seconds until the search ends.")
    ] = None,
) -> None:
    """Write one self-contained page about a search, running or ended."""
    from msearch_core.report.writing import watch_report, write_report
    from msearch_core.trial_log import TrialLog
    from msearch_core.urls import refuse_memory

    refuse_memory(out, "--out")
    opened = TrialLog(log)
    opened.search()
    if watch:
        for trials_so_far in watch_report(opened, out, watch):
            console.print(f"{out}: {trials_so_far} trials", soft_wrap=True)
    else:
        write_report(opened, out)
        console.print(f"wrote {out}", soft_wrap=True)


@app.command()
def predict(
    model: Annotated[
        str, typer.Argument(help="A trial log: its model in use, else its newest winner. Or a folder with a model.")
    ],
    data: Annotated[
        str,
        typer.Argument(
            help="Raw input, as for `msearch search`, labels are not needed; or a single image or WAV file; "
            "or - for standard input: CSV or JSON lines."
        ),
    ],
    out: Annotated[str | None, typer.Option(help="CSV or Parquet file, by its ending; printed if not given.")] = None,
) -> None:
    """Predict from raw input with a search's winner: a label and its probabilities, or a number, for each example."""
    from msearch_core.api import predict as predict_with
    from msearch_core.data.output import check_writable, write_table

    check_writable(out)
    write_table(predict_with(model, data, tell=_remark), out)


def _remark(line: str) -> None:
    """Say something beside the answer, which may be on standard output."""
    sys.stderr.write(f"msearch: {line}\n")


@app.command()
def spaces() -> None:
    """List the search spaces."""
    from msearch_core.listing import built_in_spaces

    table = Table("space", "takes", "blocks", "depth", "what it is", box=None, padding=(0, 2, 0, 0))
    for space, summary in built_in_spaces():
        table.add_row(space.name, space.input, str(len(space.blocks)), f"{space.min_depth}-{space.max_depth}", summary)
    console.print(table)


@app.command()
def blocks() -> None:
    """List the building blocks."""
    from msearch_core.listing import built_in_blocks, built_in_spaces

    table = Table("block", "takes", "gives", "spaces", "what it is", box=None, padding=(0, 2, 0, 0))
    names = {space.name: {block.family.name for block in space.by_name.values()} for space, _ in built_in_spaces()}
    for family in built_in_blocks():
        where = ", ".join(space for space, used in names.items() if family.name in used)
        table.add_row(family.name, family.takes, family.gives, where, family.summary)
    console.print(table)


@app.command()
def algorithms() -> None:
    """List the search algorithms."""
    from msearch_core.algorithms import ALGORITHMS, DEFAULT

    table = Table("algorithm", "what it is", box=None, padding=(0, 2, 0, 0))
    for name, propose in ALGORITHMS.items():
        summary = (sys.modules[propose.__module__].__doc__ or "").partition("\n")[0]
        table.add_row(name + (" (default)" if name == DEFAULT else ""), summary)
    console.print(table)


upkeep.register(app)
operations.register(app)
app.command("replay")(replay_command)
export_command.register(app)


def end_in_order() -> None:
    """Let whoever ends a command in another way than by Ctrl-C, as by closing its terminal, have the same.

    A signal that the command was started to ignore, as by nohup, stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def main() -> None:
    """Run the command line. An error that the user can mend is one line, with exit code 2."""
    look_here_last()
    end_in_order()
    try:
        sys.exit(app(standalone_mode=False))
    except UserError as error:
        message = str(error)
    except TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        message = str(error)
    if message:  # else the help has said it
        sys.stderr.write(f"msearch: {message}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
