"""What a local process started before its flow run began, so that TensorFlow loads while Prefect's server starts.

A flow's parameters are data; these are running processes. On a work pool nothing is handed over, and the flow starts
what it needs itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.dispatch_local import LocalTrainers
    from msearch_core.session import Session
    from msearch_core.training.client import TrainingHost


@dataclass
class Handover:
    """Set by the process's main, taken by its flow.

    Attributes:
        host: the training host of a trainer process.
        trainers: the trainer processes of a search process.
        session: the run that a search process has joined.
    """

    host: TrainingHost | None = None
    trainers: LocalTrainers | None = None
    session: Session | None = None


HANDOVER = Handover()
