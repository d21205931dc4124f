"""The report as a file, written once or again and again while the search runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from msearch_core.report.page import build_page
from msearch_core.report.scores import scored
from msearch_core.report.state import is_running, winner_of
from msearch_core.trial_log import TrialLog
from msearch_core.urls import open_output, write_file


def write_report(log: TrialLog, out: str | Path, refresh: float | None = None) -> None:
    """Write the page about a log's newest run. A local reader never sees half a page.

    Args:
        log: the trial log.
        out: path or fsspec URL of the page.
        refresh: seconds after which the page loads itself again while the search runs.

    Raises:
        UserError: the page cannot be written there.
    """
    open_output(str(out))  # what cannot be written is refused before the page is made
    write_file(str(out), build_page(log, refresh).encode())


def watch_report(log: TrialLog, out: str | Path, seconds: float) -> Iterator[int]:
    """Write the page again every so many seconds until the newest run is over and has named its winner.

    Yields:
        The number of trials on record, after each writing.
    """
    while True:
        run = next(iter(log.runs()[::-1]), None)
        winner = winner_of(log, run)
        running = run is None or is_running(log, run, winner)
        write_report(log, out, refresh=seconds)
        trials = log.trials()
        yield len(trials)
        # A run whose every trial failed is over without a winner.
        if not running and (winner is not None or scored(trials).empty):
            return
        time.sleep(seconds)
