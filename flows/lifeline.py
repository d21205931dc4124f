"""A process that must not outlive its parent: it holds a pipe to it and ends when the pipe does.

This also works when the parent is killed and can tell nobody, and on every platform.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from msearch_core import programs


def watch() -> None:
    """End this process at once when standard input ends, which the parent holds open for as long as it lives."""
    threading.Thread(target=_end_with_input, daemon=True, name="msearch-lifeline").start()


def _end_with_input() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def start(
    module: str,
    *arguments: str,
    message: str = "",
    log: Path,
    talks: bool = False,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a module as a program in a session of its own, with a pipe to this process as its standard input.

    Args:
        module: its import name.
        arguments: its command line.
        message: one line that it finds on its standard input.
        log: the file that its output is appended to.
        talks: whether its standard output comes to this process instead.
        environment: variables besides this process's own.
    """
    with log.open("ab") as errors:
        process = subprocess.Popen(
            programs.command(module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else errors,
            stderr=errors,
            env=programs.environment(environment),
            text=True,
            start_new_session=True,
        )
    if process.stdin and message:
        process.stdin.write(message + "\n")
        process.stdin.flush()
    return process


def stop(process: subprocess.Popen[str], grace: float) -> None:
    """Ask a process to end, and kill it if it has not within ``grace`` seconds."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
