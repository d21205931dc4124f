"""Trainers as flow runs of deployments on work pools."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial

from httpx import HTTPError
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State
from prefect.context import TagsContext
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling, Crashed, Pending

from flows.dispatch import Deaths, TrainersFailedError
from flows.parameters import TrainerParameters
from flows.pools import Place
from flows.prefect_api import is_there

BEGIN_SECONDS = 120.0
LOOK_SECONDS = 0.5
PASSING = (408, 429)
"""Refusals that do not last: the request took too long, or there were too many."""
MAX_WORDS = 300
"""So many characters are shown of what Prefect gives as its reason."""


class PoolTrainers:
    """Trainers as flow runs of deployments on work pools.

    While Prefect's API does not answer, nothing is done: the trainers go on without it.

    Args:
        parameters: their work.
        places: the place of each; where there are to be more trainers later on, they take these places in turn.
    """

    def __init__(self, parameters: TrainerParameters, places: Sequence[Place]) -> None:
        self.count = count = len(places)
        self._parameters = parameters
        self._deaths = Deaths(count)
        self._places = places
        self._runs: list[str | None] = [None] * count
        self._surplus: list[str] = []
        self._begun = False
        self._asked = time.monotonic()

    def start(self) -> None:
        """Dispatch all of them; see the protocol."""
        _while_it_answers(self._dispatch)

    def tend(self, rows: int) -> None:
        """Replace those that died; see the protocol."""
        _while_it_answers(partial(self._tend, rows))

    def resize(self, count: int) -> None:
        """Change how many there are; see the protocol."""
        self._surplus += filter(None, self._runs[count:])
        self._runs = [*self._runs[:count], *[None] * (count - self.count)]
        self.count = count
        self._deaths.resize(count)
        _while_it_answers(self._cancel_surplus)

    def stop(self, patience: float = 0.0) -> None:
        """Cancel those that have not ended; see the protocol."""
        running = [*filter(None, self._runs), *self._surplus]
        self._runs, self._surplus = [None] * self.count, []
        with contextlib.suppress(TrainersFailedError):  # a search that has its winner does not fail for that
            _while_it_answers(partial(self._cancel, running, patience))

    @property
    def waits(self) -> str | None:
        """What to tell the user if no trainer has begun for too long."""
        if self._begun or time.monotonic() - self._asked < BEGIN_SECONDS:
            return None
        return (
            f"no trainer has begun after {BEGIN_SECONDS:.0f} s: is a worker running for the work pool of the "
            f"deployment {self._places[0].deployment!r}, and does the pool's concurrency limit leave room for this "
            "search and its trainers?"
        )

    async def _dispatch(self) -> None:
        for index, run in enumerate(self._runs):
            if run is None:
                place = self._places[index % len(self._places)]
                own = self._parameters.model_dump(exclude_none=True)
                try:
                    created = await arun_deployment(
                        place.deployment,
                        parameters={"parameters": {**place.parameters, **own}},
                        flow_run_name=f"trainer-{self._parameters.run}",  # until it begins and can tell where
                        timeout=0,
                        tags=TagsContext.get().current_tags,
                        as_subflow=True,
                    )
                except ObjectNotFound:
                    raise TrainersFailedError(
                        f"the deployment {place.deployment!r} is gone; put it back, for example with msearch deploy, "
                        "and start the search again to go on"
                    ) from None
                self._runs[index] = str(created.id)

    async def _tend(self, rows: int) -> None:
        await self._cancel_surplus()
        async with get_client() as client:
            for index, run in enumerate(self._runs):
                if run is None:
                    continue
                state = await _state_of(client, run)
                self._begun = self._begun or not (state.is_scheduled() or state.is_pending())
                if state.is_final():
                    self._runs[index] = None
                    # One that was told to go, by its machine or by a person, has handed its trial back.
                    if state.is_failed() or state.is_crashed():
                        self._deaths.count(rows, state.message or state.name or "")
        await self._dispatch()

    async def _cancel_surplus(self) -> None:
        if self._surplus:
            await self._cancel(self._surplus)
            self._surplus = []  # not before all of it is done, or else it is all done again

    async def _cancel(self, runs: Iterable[str], patience: float = 0.0) -> None:
        deadline = time.monotonic() + patience
        async with get_client() as client:
            for run in runs:
                while not (await _state_of(client, run)).is_final():
                    if time.monotonic() >= deadline:
                        with contextlib.suppress(ObjectNotFound):
                            await client.set_flow_run_state(run, Cancelling())
                        break
                    await asyncio.sleep(LOOK_SECONDS)


def _while_it_answers(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Do something with Prefect's API unless that does not answer: what is left undone is done at the next look.

    Raises:
        TrainersFailedError: it answers that it will not do it, and will say so again.
    """
    if not is_there():
        return
    try:
        asyncio.run(work())
    except PrefectHTTPStatusError as error:
        answer = error.response
        if answer.is_client_error and answer.status_code not in PASSING:
            words = " ".join(answer.text.split())[:MAX_WORDS]
            raise TrainersFailedError(
                f"Prefect refuses to run trainers: {answer.status_code} {answer.reason_phrase}: {words}; "
                "mend that and start the search again to go on"
            ) from error
    except HTTPError:
        pass


async def _state_of(client: PrefectClient, run: str) -> State:
    """A run's state; one that somebody has deleted has crashed, as far as its trainer is concerned."""
    try:
        return (await client.read_flow_run(run)).state or Pending()  # type: ignore[arg-type]
    except ObjectNotFound:
        return Crashed(message="its flow run was deleted")
