"""A trainer: claim, train, append, repeat. Free of TensorFlow, which lives in the training host, and of Prefect."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from msearch_core.algorithms.history import Outcome
from msearch_core.errors import UserError
from msearch_core.session import Session
from msearch_core.space import Architecture, Proposal
from msearch_core.training import spec
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.asking import NO_RESULT, ask_child
from msearch_core.training.client import Exit, Job, TrainingHost
from msearch_core.training.giving_up import given_up
from msearch_core.training.limits import NO_LIMITS, Limits, excess, limits_of, together
from msearch_core.training.measure import Stopwatch
from msearch_core.training.preparing import (
    TIME_LIMIT_SECONDS,
    ensemble_spec,
    fetch_checkpoint,
    fetch_teacher,
    trial_seed,
    trial_spec,
)
from msearch_core.training.proposing import Proposer
from msearch_core.training.rows import make_row, members_of
from msearch_core.training.sources import inherited_steps, load_base, load_parents, parents_of
from msearch_core.training.spec import (
    CountResult,
    CountSpec,
    EnsembleResult,
    ProgressRecord,
    TrialResult,
)
from msearch_core.training.staging import Stage, stage_of
from msearch_core.training.stopping import EarlyStopping
from msearch_core.trial import Trial
from msearch_core.trial_log import MAX_ATTEMPTS, Claim, Heartbeat, Identity
from msearch_core.trial_log.leases import look_interval
from msearch_core.trial_log.patience import patiently

IDLE_SECONDS = 1.0
"""How long to wait before looking again when all slots are taken; longer where there are many trainers."""
FRESH_SECONDS = 0.5
"""A look made so recently serves for the next claim."""
LOOK_SECONDS = 2.0
"""How often to look, in mid-trial, whether the run was stopped; on an object store a fifth as often, and where there
are many trainers less often too."""
HOST_TRIES = 3
"""A trial whose training host dies is not to blame, and is begun again so often."""


class Trainer:
    """Works on a run until there is nothing left to do.

    Args:
        session: the run.
        host: the process that trains.
        scratch: a local folder for files of the trial at hand.
        threads: cores that a trial may use.
        limits: which models it takes.
        tensorboard: folder for TensorBoard's files, if they are wanted.

    Attributes:
        leaving: set it, from a signal handler for instance, to make the trainer checkpoint its trial, hand it back
            and stop claiming.
    """

    def __init__(
        self,
        session: Session,
        host: TrainingHost,
        scratch: Path,
        threads: int = 1,
        limits: Limits = NO_LIMITS,
        tensorboard: str | None = None,
    ) -> None:
        self.session = session
        self.me = Identity.of_this_process()
        self.host = host
        self.scratch = scratch
        self.threads = threads
        self.limits = limits
        self.tensorboard = tensorboard
        self.leaving = False
        self._counts: dict[Architecture, CountResult] = {}
        self._watch = Stopwatch()
        self._looked = float("-inf")
        self.artefacts = Artefacts(session.log.store)
        self.proposer = Proposer(session, self.me, self._too_large, self._takes)
        self.stopping = EarlyStopping(
            self.proposer.board, self.proposer.history, session.search.direction, session.search.settings
        )
        self._behind: str | None = None

    def look_seconds(self) -> float:
        """How often to look in mid-trial."""
        return self._interval(LOOK_SECONDS if self.session.log.store.is_local else 5 * LOOK_SECONDS)

    def heartbeat(self) -> Heartbeat:
        """The context in which the trainer counts as alive."""
        return Heartbeat(self.session.log.store, self.me.trainer)

    def claims(self) -> Iterator[Claim]:
        """Claim one trial after another; waits while others are at the last ones, in case their trainers die."""
        board = self.proposer.board
        while not self.leaving:
            self._watch = self.proposer.watch = Stopwatch()
            if time.monotonic() - self._looked > FRESH_SECONDS:
                with self._watch.timed("read"):
                    patiently(self.proposer.look, give_up=lambda: self.leaving)
            if board.is_over or board.stopped is not None or board.trainers == 0:
                return
            claim = patiently(self.proposer.next, give_up=lambda: self.leaving)
            if claim is None:
                self._seal()
                self._rest(self._interval(IDLE_SECONDS))
                continue
            yield claim

    def run(self, claim: Claim) -> Trial | None:
        """Train a claimed trial and put it on record.

        Returns:
            The row; ``None`` if the trial was handed back because the trainer is leaving, or if another trainer that
            took this one for dead was first.
        """
        started, began, watch = datetime.now(UTC), time.monotonic(), self._watch
        output = self.scratch / claim.uid
        proposal = Proposal.from_json(claim.proposal)
        parents = parents_of(proposal, self.proposer.history, self.session.search.settings)
        stage = self._stage(claim, proposal)
        batch_size = stage.batch_size
        result = self._without_training(claim) or self._ensemble(claim, output)
        result = result or self._train(claim, parents, stage, output, batch_size)
        if result.status == "oom" and batch_size > 1 and not self.leaving:
            batch_size //= 2
            result = self._train(claim, parents, stage, output, batch_size)
        if result.status == "preempted" or (result.status == "oom" and self.leaving):
            patiently(lambda: self.proposer.board.release(claim))
            return None
        watch.seconds["process"] = time.monotonic() - began - (result.wall_seconds or 0.0)
        # Looking for the next trial takes no time of its own here.
        with watch.timed("publish"), ThreadPoolExecutor(1) as pool:
            looking = pool.submit(self._look)
            names = patiently(lambda: self.artefacts.publish(claim, output))
            looking.result()
        ancestors = inherited_steps(parents) if result.inherited_fraction else 0
        together = members_of(claim.uid, proposal, result, self.proposer.history, ancestors)
        row = make_row(
            self.session,
            claim,
            self.me,
            result,
            **names,
            **together,
            seed=stage.seed,
            batch_size=batch_size,
            rung=stage.reached(result),
            **({} if together else {"cumulative_steps": None if result.steps is None else result.steps + ancestors}),
            wall_seconds=watch.total,
            timings={**(result.timings or {}), **watch.timings()},
            started_at=started,
        )
        first = patiently(lambda: self.session.log.append(row, self.proposer.board))
        if not stage.may_go_on(result):
            self.artefacts.clear_checkpoints(claim)
        if stage.parent:
            self.artefacts.remove_checkpoints(stage.parent.uid)
        shutil.rmtree(output, ignore_errors=True)
        return row if first else None

    def _without_training(self, claim: Claim) -> TrialResult | None:
        if claim.lost >= MAX_ATTEMPTS:
            return given_up(claim.lost)
        if claim.refused:
            return TrialResult(status="infeasible", error=claim.refused)
        return None

    def _train(self, claim: Claim, parents: list[Outcome], stage: Stage, output: Path, batch_size: int) -> TrialResult:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        search, proposal = self.session.search, Proposal.from_json(claim.proposal)
        try:
            teacher = fetch_teacher(
                self.artefacts, search, proposal, self.proposer.history, output, self.scratch / "teachers"
            )
            base = load_base(self.artefacts, proposal, self.proposer.history, search.settings, output)
        except (KeyError, FileNotFoundError) as error:
            needed = f"teacher {proposal.teacher}" if proposal.teacher else f"base {proposal.base}"
            return TrialResult(status="failed", error=f"its {needed} is gone: {error}")
        inherited = load_parents(self.artefacts, proposal, parents, output)
        asked = trial_spec(
            search,
            proposal,
            claim.uid,
            stage=stage,
            batch_size=batch_size,
            data=self.session.data,
            output=output,
            threads=self.threads,
            parents=inherited,
            trained_on=fetch_checkpoint(self.artefacts, stage, output),
            teacher=teacher,
            base=base,
            resume=self.artefacts.load_checkpoint(claim, output / "resume.safetensors"),
            tensorboard=self.tensorboard,
        )
        amiss = []
        if stage.parent and not asked.trained_on:
            amiss.append("its parent's training did not go on: the checkpoint is gone")
        if len(inherited) < len(parents) and not asked.trained_on:
            amiss.append("the weights of its parent were not inherited: they are gone")
        spec.write(asked, output / "spec.json")
        for _ in range(HOST_TRIES):
            ended = self._attend(self.host.start("train", output / "spec.json", self.threads), claim, output)
            if ended is None:
                return TrialResult(status="failed", error=f"did not end within {1.5 * TIME_LIMIT_SECONDS:.0f} seconds")
            if not ended.host_died:
                result = spec.read_result(output, ended.signal).warned(*amiss)
                if result.status == "stopped" and self._behind:
                    return result.model_copy(update={"error": self._behind})
                return result
        raise RuntimeError(f"the training host died {HOST_TRIES} times; its own words are above")

    def _attend(self, job: Job, claim: Claim, output: Path) -> Exit | None:
        """Wait for the job, pass on what concerns it, and bring its checkpoints to the log.

        Returns:
            How it ended; ``None`` if it had to be killed because it did not.
        """
        began = looked = time.monotonic()
        saved = 0.0
        told = False
        self._behind = None
        self._seal()
        while job.wait(0.2) is None:
            now = time.monotonic()
            if now - began > 1.5 * TIME_LIMIT_SECONDS:
                job.kill()
                return None
            if self.leaving and not told:
                job.signal(signal.SIGTERM)
                told = True
            if now - looked > self.look_seconds() and not told:
                looked = now
                self._look()
                self.leaving = self.leaving or self.proposer.board.trainers == 0
                if self.proposer.board.stopped is not None:
                    job.signal(signal.SIGUSR1)
                    told = True
                self._seal()
            with contextlib.suppress(OSError):  # the next checkpoint may get through
                saved = self.artefacts.save_checkpoint(claim, output, saved)
            with contextlib.suppress(OSError):  # a trial is compared with others when they can be seen
                self._behind = self._behind or self._verdict(claim, output)
            if self._behind and not told:
                job.signal(signal.SIGUSR1)
                told = True
        patiently(lambda: self.artefacts.save_checkpoint(claim, output, saved))
        return job.poll()

    def _verdict(self, claim: Claim, output: Path) -> str | None:
        """Why the trial should end early, if so."""
        if self.stopping.rule is None or claim.proposal.get("base"):
            return None
        try:
            progress = spec.read(ProgressRecord, output / spec.PROGRESS)
        except FileNotFoundError:
            return None
        return self.stopping.verdict(claim, progress)

    def _ensemble(self, claim: Claim, output: Path) -> EnsembleResult | None:
        """Make the ensemble that is claimed; ``None`` if it is another kind of trial."""
        proposal = Proposal.from_json(claim.proposal)
        if proposal.kind != "ensemble" or proposal.base:
            return None
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        candidates = {uid: self.proposer.history[uid] for uid in proposal.parents if uid in self.proposer.history}
        files, left_out = self.artefacts.load_outputs(candidates, output)
        asked = ensemble_spec(
            self.session.search,
            claim.uid,
            files,
            candidates,
            data=self.session.data,
            output=output,
            threads=self.threads,
        )
        result = ask_child(self.host, "ensemble", asked, output, EnsembleResult)
        return (result or EnsembleResult(status="failed", error=NO_RESULT)).warned(*left_out)

    def _interval(self, least: float) -> float:
        return look_interval(least, len(self.proposer.board.leases.living()))

    def _rest(self, seconds: float) -> None:
        """Wait, but not for long once the trainer is to leave."""
        awake = time.monotonic() + seconds
        while not self.leaving and (left := awake - time.monotonic()) > 0:
            time.sleep(min(left, IDLE_SECONDS))

    def _look(self) -> None:
        """Look beside a trial, which goes on whatever is amiss with the log: the next claim will tell."""
        with contextlib.suppress(OSError, UserError):
            self.proposer.look()
            self._looked = time.monotonic()

    def _seal(self) -> None:
        """Compact the log if that is due, while there is nothing else to do."""
        with contextlib.suppress(OSError):
            self.proposer.board.seal_if_due()

    def _stage(self, claim: Claim, proposal: Proposal) -> Stage:
        search, parent = self.session.search, self.proposer.history.get(next(iter(proposal.parents), ""))
        return stage_of(proposal, parent, search.settings, trial_seed(search.seed, claim.uid))

    def _too_large(self, proposal: Proposal) -> str | None:
        if not (allowed := limits_of(self.session.search.settings)):
            return None
        cost = self._costs(proposal.architecture)
        return excess(together([cost, self.proposer.history[proposal.base]]) if proposal.base else cost, allowed)

    def _takes(self, architecture: Architecture) -> bool:
        return self.limits == NO_LIMITS or self.limits.takes(self._costs(architecture).parameters)

    def _costs(self, architecture: Architecture) -> CountResult:
        if architecture not in self._counts:
            timed = "max_latency_ms" in limits_of(self.session.search.settings)
            self._counts[architecture] = self._count(architecture, timed)
        return self._counts[architecture]

    def _count(self, architecture: Architecture, timed: bool) -> CountResult:
        output = self.scratch / "count"
        output.mkdir(parents=True, exist_ok=True)
        asked = CountSpec(
            space=self.session.search.space,
            architecture=architecture,
            timed=timed,
            data=str(self.session.data),
            output=str(output),
            threads=self.threads,
        )
        return ask_child(self.host, "count", asked, output, CountResult, self.threads) or CountResult()
