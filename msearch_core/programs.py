"""Modules started as programs by this interpreter.

A program started as ``python -m`` looks for every module in the working folder first, where a file called ``queue.py``
beside the data would be run. These programs do not look there; one that loads a user's code looks there last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parents[1]


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module, by its import name, with arguments."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment and more variables, by which this package is found even where it is not installed."""
    inherited = {**os.environ, **(more or {})}
    path = [str(PACKAGE_ROOT), *filter(None, [inherited.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(path)}


def look_here_last() -> None:
    """Let a user's modules in the working folder be found by name: after all others, whose place none of them takes."""
    sys.path.append("")
