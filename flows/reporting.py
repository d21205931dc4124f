"""The report of a finished search: a page in the log, and a link to it in Prefect."""

from __future__ import annotations

import os
from functools import partial
from logging import Logger

from prefect.artifacts import create_link_artifact

from flows.prefect_api import EMBEDDED
from flows.recording import offered
from msearch_core.session import Session
from msearch_core.training.spec import one_line
from msearch_core.trial_log.layout import report_file
from msearch_core.urls import is_url, short

BROWSERS = {"gs://": "https://storage.cloud.google.com/"}
"""Where a browser that is logged in finds an object of a bucket."""


def publish_report(session: Session, key: str, logger: Logger) -> None:
    """Write the page about a run that has named its winner into the log, once, and show where it is.

    Nothing is written for a server that ends with the search. What goes wrong here says nothing against the search.

    Args:
        session: the run.
        key: the search's name as artifact keys may hold it.
        logger: is told where the page is, or why there is none.
    """
    if os.environ.get(EMBEDDED):
        return
    try:
        from msearch_core.report.page import build_page

        log = session.log
        name = report_file(len(log.winners()))
        log.store.create(name, build_page(log).encode())
        url = f"{log.url}/{name}"
        logger.info("the report is %s", url)
        link = partial(
            create_link_artifact, in_browser(url), "report", f"report-{key}", where(url, session.search.name)
        )
        offered(link, "the link to the report", logger)
    except Exception as error:
        logger.warning("there is no report: %s; make one with: msearch report %s", one_line(error), session.log.url)


def in_browser(url: str) -> str:
    """The address that a browser can open, where there is one."""
    protocol = next((each for each in BROWSERS if url.startswith(each)), None)
    return BROWSERS[protocol] + url.removeprefix(protocol) if protocol else url


def where(url: str, name: str) -> str:
    """What is said beside the link."""
    if not is_url(path := short(url)):
        return (
            f"All of {name} on one page: `{path}`\n\nBrowsers follow no link from a web page to a file: copy the path, "
            "on a machine that has that folder."
        )
    return f"All of {name} on one page: `{url}`"
