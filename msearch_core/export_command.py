"""The command that takes a model away."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from msearch_core.readable import score_text
from msearch_core.terminal import Log, console


class ExportFormat(StrEnum):
    """What a model can be written as."""

    KERAS = "keras"
    SAVEDMODEL = "savedmodel"
    TFLITE = "tflite"
    ONNX = "onnx"


def export(
    log: Log,
    uid: Annotated[str | None, typer.Argument(help="Any trial. [default: the model in use, or the winner]")] = None,
    formats: Annotated[list[ExportFormat] | None, typer.Option("--format", help="Repeatable. [default: keras]")] = None,
    out: Annotated[str, typer.Option(help="A new folder for the model, local or any fsspec URL.")] = "export",
) -> None:
    """Take a model away, preprocessing inside: it needs no msearch. Scored again from disk before it is handed out."""
    from msearch_core.export import export as take_away
    from msearch_core.trial_log import TrialLog
    from msearch_core.urls import refuse_memory

    refuse_memory(out, "--out")
    made = take_away(TrialLog(log), uid, [each.value for each in formats or (ExportFormat.KERAS,)], out)
    for each, score in made.scores.items():
        was = "the data has changed since the search"
        if made.recorded is not None:
            was = f"{score_text(made.recorded)} in the search"
        console.print(f"{each}: {made.objective} {score_text(score)}, loaded again from disk ({was})", soft_wrap=True)
    console.print(f"wrote {made.uid} to {made.folder}; README.md there says how to use it", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)
