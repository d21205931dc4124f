"""What the flows are called with. Unknown keys are refused, since Prefect would drop them silently."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TrainerParameters(BaseModel):
    """A trainer's work: a run of a log.

    Attributes:
        log: URL of the trial database, as every trainer can reach it.
        run: the run's name.
        data: folder of the prepared data, where a process of the same machine has made it.
        threads: cores that a trial may use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: str = Field(min_length=1)
    run: str = Field(pattern=r"^\d{4,}$")
    data: str | None = None
    threads: int | None = Field(None, ge=1)
