"""What a trial costs: seconds by phase, memory, and the time of one prediction."""

from __future__ import annotations

import contextlib
import platform
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

LATENCY_REPEATS = 20
LATENCY_SECONDS = 0.1
"""A model that takes long is asked less often, though thrice at least."""


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.began = time.monotonic()

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add what happens inside to a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] += time.monotonic() - began

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def timings(self) -> dict[str, float]:
        """Seconds by phase, as a row has them."""
        return {phase: round(seconds, 4) for phase, seconds in self.seconds.items()}

    def costs(self) -> dict[str, Any]:
        """What the process has cost so far, by the row's columns: seconds in all and by phase, and memory in MB."""
        return {"wall_seconds": self.total, "timings": self.timings(), "peak_mb": peak_megabytes()}


def latency(predict: Callable[[Any], Any], example: Any) -> float:
    """The median time of one prediction of one example, in milliseconds."""
    times: list[float] = []
    while len(times) < LATENCY_REPEATS and (len(times) < 3 or sum(times) < LATENCY_SECONDS):
        began = time.perf_counter()
        predict(example)
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times))


def reset_peak() -> None:
    """Let the most memory that the process ever held begin anew, where the system can: Linux, see ``proc(5)``."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_megabytes() -> float:
    """The most memory the process ever held, or held since `reset_peak`, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def processor() -> str:
    """The processor's model, as far as the system tells: vectors of another width add up in another order."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
