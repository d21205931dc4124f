"""Keeping TensorFlow's start-up lines out of sight."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def silenced(descriptor: int) -> Iterator[None]:
    """Send what is written to a file descriptor to nowhere: no log level silences TensorFlow's first lines."""
    kept, nowhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
