"""The report as a file, written once or again and again while the search runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from msearch_core.report.page import build_page
from msearch_core.report.state import Watch
from msearch_core.trial_log import TrialLog
from msearch_core.urls import open_output, write_file


def write_report(log: TrialLog, out: str | Path, refresh: float | None = None) -> None:
    """Write the page about a log's newest run. A local reader never sees half a page.

    Args:
        log: the trial log.
        out: path or fsspec URL of the page.
        refresh: seconds after which the page loads itself again, if more is to come.

    Raises:
        UserError: the page cannot be written there.
    """
    open_output(str(out))  # what cannot be written is refused before the page is made
    write_file(str(out), build_page(log, refresh).encode())


def watch_report(log: TrialLog, out: str | Path, seconds: float) -> Iterator[int]:
    """Write the page again every so many seconds until the newest run has ended, with a winner if there is to be one.

    Yields:
        The number of trials on record, after each writing.
    """
    watch = Watch(log)
    ended = False
    while not ended:
        ended = watch.has_ended()
        write_report(log, out, refresh=None if ended else seconds)
        yield len(log.trials())
        if not ended:
            time.sleep(seconds)
