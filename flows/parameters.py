"""What the flows are called with. Unknown keys are refused, since Prefect would drop them silently."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from msearch_core.config import SearchConfig
from msearch_core.credentials import Location


class TrainerParameters(BaseModel):
    """A trainer's work: a run of a log.

    Attributes:
        log: URL of the trial database, as every trainer can reach it.
        run: the run's name.
        data: folder of the prepared data, where a process of the same machine has made it.
        threads: cores that a trial may use.
        min_params: the fewest trainable parameters that this trainer proposes a model of, where the space has such.
        max_params: the most that it trains; larger models are left to the other trainers of the search.
        tensorboard: folder for TensorBoard's files, if they are wanted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    log: Location = Field(min_length=1)
    run: str = Field(pattern=r"^\d{4,}$")
    data: str | None = None
    threads: int | None = Field(None, ge=1)
    min_params: int | None = Field(None, ge=1)
    max_params: int | None = Field(None, ge=1)
    tensorboard: Location | None = None


class RefreshParameters(BaseModel):
    """A search that recurs as its data changes.

    Attributes:
        config: the search.
        keep: how many of the best earlier trials are scored again on new data and trained on from.
        overlap: whether a refresh that finds the same search at work joins it or ends at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    config: SearchConfig
    keep: int = Field(5, ge=1, le=100)
    overlap: Literal["join", "refuse"] = "join"

    @property
    def name(self) -> str:
        """What the search is called, in short."""
        return self.config.name or self.config.data_name.replace(":", "-")
