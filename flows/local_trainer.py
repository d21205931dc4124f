"""The main of a local trainer process: loads TensorFlow at once, and joins Prefect when its server is up."""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from msearch_core.errors import UserError
from msearch_core.programs import look_here_last

REFUSED = 2
"""Exit code of a trainer that will never be able to work: to start it again would be in vain."""


def main() -> None:
    """Run a trainer for the ``TrainerParameters`` that stand on the first line of standard input."""
    from flows import lifeline
    from flows.handover import HANDOVER
    from flows.parameters import TrainerParameters
    from msearch_core.training.client import TrainingHost

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # until the flow leaves in order
    parameters = TrainerParameters.model_validate_json(sys.stdin.readline())
    lifeline.watch()
    look_here_last()
    with tempfile.TemporaryDirectory(prefix="msearch-host-") as folder:
        HANDOVER.host = TrainingHost(Path(folder) / "host.log")
        from flows.prefect_api import wait_for_api, without_heartbeats
        from flows.trainer import trainer

        try:
            wait_for_api()
            with without_heartbeats():
                state = trainer(parameters, return_state=True)
            if state.is_failed() or state.is_crashed():  # one that was told to leave is cancelled, and no failure
                state.result()
        except UserError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(REFUSED)
        except OSError as error:  # out of reach, or full, for longer than a trainer waits
            sys.stderr.write(f"{error}\n")
            sys.exit(1)


if __name__ == "__main__":
    main()
