"""The main of a local search process: starts trainers at once, and joins Prefect when its server is up.

It tells its parent what happens in JSON objects on standard output, one a line:
``{"joined": {"log", "run", "over", "notices"}}``, then ``{"ended": {"state", "message"}}`` or
``{"refused": message}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from msearch_core.errors import UserError
from msearch_core.programs import look_here_last


class Parent:
    """Where events go: the standard output that the process was started with.

    From then on, whatever else is printed, by a user's own space for instance, goes to standard error.
    """

    def __init__(self) -> None:
        self._events = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def tell(self, **event: Any) -> None:
        """Send an event."""
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()


def main() -> None:
    """Run the search whose ``SearchConfig`` stands on the first line of standard input."""
    serve(_run)


def serve(work: Callable[[str, Parent], None]) -> None:
    """Do what the first line of standard input asks for, and end with the parent."""
    from flows import lifeline

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # until the flow ends in order
    parent = Parent()
    look_here_last()
    line = sys.stdin.readline()
    lifeline.watch()
    try:
        work(line, parent)
    except UserError as error:
        parent.tell(refused=str(error))
        sys.exit(2)


def _run(line: str, parent: Parent) -> None:
    from msearch_core.config import SearchConfig
    from msearch_core.data.notices import notices
    from msearch_core.session import join
    from msearch_core.training.finishing import last_winner

    config = SearchConfig.model_validate_json(line)
    if config.pool:
        check_pool(config.pool, config.trainers)
    session = join(config)
    board = session.log.board(session.run, ("uid", "run"))
    board.look()
    over = board.is_over and last_winner(session) is not None
    told = list(notices(session.problem))
    parent.tell(joined={"log": session.log.url, "run": session.run.run, "over": over, "notices": told})
    if over:
        return

    from flows.dispatch_local import local_trainers
    from flows.handover import HANDOVER
    from flows.prefect_api import wait_for_api, without_heartbeats

    with ExitStack() as stack:
        trainers = None
        if config.pool is None and not board.is_over:
            trainers = local_trainers(config, session)
            stack.callback(trainers.stop)  # the flow does so too, if it comes to that
            trainers.start()

        from flows.search import search

        HANDOVER.trainers, HANDOVER.session = trainers, session
        wait_for_api()
        with without_heartbeats():
            state = search(config, return_state=True)
    parent.tell(ended={"state": state.name, "message": state.message})


def check_pool(pool: str, trainers: int | None) -> None:
    """Refuse a pool that cannot be used before anything is written."""
    from flows.pools import places
    from flows.prefect_api import wait_for_api

    wait_for_api()
    places(pool, trainers)


if __name__ == "__main__":
    main()
