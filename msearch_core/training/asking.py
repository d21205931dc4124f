"""Asking a training process for something that takes no watching."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from msearch_core.training import spec
from msearch_core.training.client import Action, TrainingHost

NO_RESULT = "the process ended without a result"
"""What is said of a child that was lost."""

Result = TypeVar("Result", bound=BaseModel)


def ask_child(
    host: TrainingHost,
    action: Action,
    asked: BaseModel,
    output: Path,
    kind: type[Result],
    threads: int | None = None,
) -> Result | None:
    """Let a child do what a spec says, and wait until it ends.

    Args:
        host: starts the child.
        action: as for `TrainingHost.start`.
        asked: the spec.
        output: the folder that the spec names for what comes of it; it exists.
        kind: of the result.
        threads: as for `TrainingHost.start`.

    Returns:
        What came of it; ``None`` if the child ended without a result.
    """
    (output / spec.RESULT).unlink(missing_ok=True)
    spec.write(asked, output / "spec.json")
    host.start(action, output / "spec.json", threads).wait()
    with contextlib.suppress(FileNotFoundError):
        return spec.read(kind, output / spec.RESULT)
    return None
