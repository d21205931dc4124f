"""Where trainers run: in local processes, or as flow runs on a Prefect work pool."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from flows import lifeline
from flows.local_trainer import REFUSED
from flows.parameters import TrainerParameters
from msearch_core.config import SearchConfig
from msearch_core.session import Session

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State

    from flows.pools import Place

MAX_DEATHS = 3
"""A search fails when as many trainers in a row die without finishing a trial in between, for each of its trainers."""
GRACE_SECONDS = 25.0
BEGIN_SECONDS = 120.0
LOOK_SECONDS = 0.5
PASSING = (408, 429)
"""Refusals that do not last: the request took too long, or there were too many."""
MAX_WORDS = 300
"""So many characters are shown of what Prefect gives as its reason."""
HEAD_START_SECONDS = 8.0
MAX_LOCAL_TRAINERS = 4
"""So many run where the user gives no number and there are cores enough."""


class TrainersFailedError(Exception):
    """Trainers die before they get anything done."""


class Trainers(Protocol):
    """The trainers of one search.

    Attributes:
        count: how many.
    """

    count: int

    def start(self) -> None:
        """Start all of them; without effect on those that run already."""

    def tend(self, rows: int) -> None:
        """Replace those that died.

        Args:
            rows: how many trials trainers brought to an end; as long as this grows, dying ones are replaced.

        Raises:
            TrainersFailedError: they die and nothing gets done.
        """

    def resize(self, count: int) -> None:
        """Change how many there are from now on. Those that are too many hand back their trials and end."""

    def stop(self, patience: float = 0.0) -> None:
        """Make them hand back their trials and end.

        Args:
            patience: seconds in which they may end by themselves, as they do when the run is over.
        """


def local_trainers(config: SearchConfig, session: Session) -> LocalTrainers:
    """As many local trainers as asked for, the cores shared among them."""
    count = config.trainers or min(cores(), MAX_LOCAL_TRAINERS)
    parameters = TrainerParameters(
        log=session.log.url,
        run=session.run.run,
        data=str(session.data),
        threads=max(1, cores() // count),
        min_params=None,
        max_params=None,
        tensorboard=config.tensorboard,
    )
    return LocalTrainers(parameters, count)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Deaths:
    """Counts the trainers that died since the last finished trial."""

    def __init__(self, trainers: int) -> None:
        self.resize(trainers)
        self._rows = -1
        self._count = 0

    def resize(self, trainers: int) -> None:
        """Change the number of trainers among which they are counted."""
        self._limit = MAX_DEATHS * max(1, trainers)

    def count(self, rows: int, reason: str) -> None:
        """Take note of a death.

        Raises:
            TrainersFailedError: it was one too many.
        """
        if rows > self._rows:
            self._rows, self._count = rows, 0
        self._count += 1
        if self._count > self._limit:
            raise TrainersFailedError(f"{self._count} trainers died without finishing a trial; the last one: {reason}")


class LocalTrainers:
    """Trainers in processes of their own on this machine.

    Args:
        parameters: their work.
        count: how many.
    """

    def __init__(self, parameters: TrainerParameters, count: int) -> None:
        self.count = count
        self._parameters = parameters
        self._deaths = Deaths(count)
        self._folder = tempfile.TemporaryDirectory(prefix="msearch-trainers-")
        self._processes: list[subprocess.Popen[str] | None] = [None] * count
        self._leaving: list[subprocess.Popen[str]] = []
        self._left: set[int] = set()
        self._began = time.monotonic()

    def start(self) -> None:
        """Start those that are not running, with few cores the first one ahead of the others; see the protocol."""
        for index, process in enumerate(self._processes):
            if process is None and (index == 0 or self._may_start_all()):
                self._launch(index)

    def _may_start_all(self) -> bool:
        """Whether the others need not wait: to load TensorFlow keeps a core busy for as long as a trial may take."""
        first = self._processes[0] if self._processes else None
        waited = time.monotonic() - self._began
        return (
            cores() > 2 * self.count or waited > HEAD_START_SECONDS or (first is not None and first.poll() is not None)
        )

    def tend(self, rows: int) -> None:
        """Replace those that died; see the protocol."""
        for index, process in enumerate(self._processes):
            if process is None or process.poll() is None:
                continue
            if process.returncode == 0 and index not in self._left:
                # It found nothing left to do, which the next look at the log will most likely confirm.
                self._left.add(index)
                continue
            self._left.discard(index)
            reason = self._last_words(index, process.returncode)
            if process.returncode == REFUSED:
                raise TrainersFailedError(reason)
            self._deaths.count(rows, reason)
            lifeline.stop(process, 0)
            self._launch(index)

    def resize(self, count: int) -> None:
        """Change how many there are; see the protocol."""
        for process in filter(None, self._processes[count:]):
            process.terminate()
            self._leaving.append(process)
        self._left -= set(range(count, self.count))
        self._processes = [*self._processes[:count], *[None] * (count - self.count)]
        self.count = count
        self._deaths.resize(count)

    def stop(self, patience: float = 0.0) -> None:
        """Make them hand back their trials and end; see the protocol."""
        running = [*filter(None, self._processes), *self._leaving]
        deadline = time.monotonic() + patience
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            lifeline.stop(process, max(0.0, deadline - time.monotonic()))
        self._processes = [None] * len(self._processes)
        self._folder.cleanup()

    def _launch(self, index: int) -> None:
        self._processes[index] = lifeline.start(
            "flows.local_trainer", message=self._parameters.model_dump_json(), log=self._log(index)
        )

    def _log(self, index: int) -> Path:
        return Path(self._folder.name) / f"{index}.log"

    def _last_words(self, index: int, code: int) -> str:
        """What a dead trainer said last; all of its words go into the search's own log."""
        words = self._log(index).read_text(errors="replace").strip()
        self._log(index).unlink()
        sys.stderr.write(f"trainer {index} ended with code {code}:\n{words}\n")
        return (words.splitlines() or [f"exit code {code}"])[-1].strip()


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
        from prefect.context import TagsContext
        from prefect.deployments import arun_deployment
        from prefect.exceptions import ObjectNotFound

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
        from prefect import get_client

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
        from prefect import get_client
        from prefect.exceptions import ObjectNotFound
        from prefect.states import Cancelling

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
    from httpx import HTTPError
    from prefect.exceptions import PrefectHTTPStatusError

    from flows.prefect_api import is_there

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
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed, Pending

    try:
        return (await client.read_flow_run(run)).state or Pending()  # type: ignore[arg-type]
    except ObjectNotFound:
        return Crashed(message="its flow run was deleted")
