"""The main of a local search process: starts trainers at once, and joins Prefect when its server is up.

It tells its parent what happens in JSON objects on standard output, one a line:
``{"joined": {"log", "run", "over"}}``, then ``{"ended": {"state", "message"}}`` or ``{"refused": message}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from msearch_core.errors import UserError


def tell(**event: Any) -> None:
    """Send an event to the parent."""
    print(json.dumps(event), flush=True)  # noqa: T201 - the parent listens


def main() -> None:
    """Run the search whose ``SearchConfig`` stands on the first line of standard input."""
    from flows import lifeline

    line = sys.stdin.readline()
    lifeline.watch()
    try:
        _run(line)
    except UserError as error:
        tell(refused=str(error))
        sys.exit(2)


def _run(line: str) -> None:
    from msearch_core.config import SearchConfig
    from msearch_core.session import join
    from msearch_core.training.finishing import last_winner

    config = SearchConfig.model_validate_json(line)
    session = join(config)
    board = session.log.board(session.run)
    board.look()
    over = board.is_over and last_winner(session) is not None
    tell(joined={"log": session.log.url, "run": session.run.run, "over": over})
    if over:
        return

    from flows.dispatch import local_trainers

    trainers = None
    if config.pool is None and not board.is_over:
        trainers = local_trainers(config, session)
        trainers.start()

    from flows.handover import HANDOVER
    from flows.prefect_api import wait_for_api, without_heartbeats
    from flows.search import search

    HANDOVER.trainers = trainers
    wait_for_api()
    with without_heartbeats():
        state = search(config, return_state=True)
    tell(ended={"state": state.name, "message": state.message})


if __name__ == "__main__":
    main()
