"""What it costs that trainers share one log.

    python -m benchmarks.scaling simulate --trainers 64 256
    python -m benchmarks.scaling real --trainers 1 2 4

``simulate`` replaces training by sleeping; the log, the claims, the heartbeats and the algorithm are the real ones. A
few processes with a thread a trainer stand for as many machines, so what is measured includes their queueing for the
cores of this one and is an upper bound. Lost is what a trainer neither sleeps nor waits for the last trials of others:
from the time when a trial should end to the begin of the next, its row, its look at the log, its proposal, its claim,
and a look in mid-trial as far as it goes on after the trial's end. The processes' start is left out. Processor time
that goes into looks beside a trial, for which a real one would have to make room, is told by itself.

``real`` runs the same search with different numbers of trainers: trials a minute, the share of their time in which
trainers have no trial under way, and how much work was done twice.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msearch_core.config import make_config
from msearch_core.session import Session, join, rejoin
from msearch_core.training.spec import TrialResult
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import TrialLog
from msearch_core.trial_log.claims import Claim
from msearch_core.trial_log.patience import patiently

PROCESSES = 4
SPREAD = 0.3
"""Trials differ in length by so much, so that trainers do not move in step."""


@dataclass
class Account:
    """Where one trainer's time went.

    Attributes:
        asleep: seconds in place of training.
        lost: seconds from the time when one sleep should end to the begin of the next.
        looking: processor seconds in looks at the log, and in compacting it, during the sleeps.
        trials: how many it did.
        waits: the single times lost.
        work: processor seconds in each of them, which is what is left of them on a machine of one's own, but for the
            disk.
    """

    asleep: float = 0.0
    lost: float = 0.0
    looking: float = 0.0
    trials: int = 0
    waits: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)


class Sleeper(Trainer):
    """A trainer whose trials are sleeps, with the looks at the log that it makes meanwhile."""

    def __init__(self, session: Session, scratch: Path, seconds: float) -> None:
        super().__init__(session, host=None, scratch=scratch)  # type: ignore[arg-type]
        self.seconds = seconds
        self.account = Account()
        self._awake, self._worked = time.monotonic(), 0.0

    def _train(self, claim: Claim, *_: Any) -> TrialResult:
        began = time.monotonic()
        self.account.waits.append(began - self._awake)
        self.account.work.append(time.thread_time() - self._worked)
        rng = np.random.default_rng(abs(hash(claim.uid)))
        length = self.seconds * (1 + SPREAD * rng.uniform(-1, 1))
        worked = time.thread_time()
        self._seal()
        while (left := began + length - time.monotonic()) > 0:
            time.sleep(min(left, pause := self.look_seconds()))
            if left > pause:
                self.proposer.look()
                self._seal()
        # A look that goes on for longer than the trial holds its trainer up.
        self._awake, self._worked = began + length, time.thread_time()
        self.account.asleep += length
        self.account.looking += self._worked - worked
        self.account.lost += self.account.waits[-1]
        self.account.trials += 1
        score = float(rng.beta(8, 2))
        return TrialResult(status="completed", objective=score, metrics={"log_loss": 1 - score}, steps=100)

    def work(self) -> None:
        """Until the run is over."""
        self._awake, self._worked = time.monotonic(), time.thread_time()
        with self.heartbeat():
            for claim in self.claims():
                patiently(lambda claim=claim: self.run(claim))  # type: ignore[misc]


def crowd(log: str, run: str, count: int, seconds: float, accounts: Any) -> None:
    """So many trainers in this process."""
    session = rejoin(log, run)
    with tempfile.TemporaryDirectory() as scratch:
        trainers = [Sleeper(session, Path(scratch) / str(number), seconds) for number in range(count)]
        threads = [threading.Thread(target=trainer.work) for trainer in trainers]
        for thread in threads:
            # They begin one after the other, as machines do.
            thread.start()
            time.sleep(0.5 * seconds / count)
        for thread in threads:
            thread.join()
    accounts.put([vars(trainer.account) for trainer in trainers])


def simulate(trainers: int, trials_each: int, seconds: float) -> dict[str, Any]:
    """Run a simulated search with so many trainers."""
    with tempfile.TemporaryDirectory(prefix="msearch-scaling-") as folder:
        budget = trainers * trials_each
        session = join(make_config(data="digits", trials=budget, log=f"{folder}/log"))
        context = multiprocessing.get_context("spawn")
        accounts = context.Queue()
        share = trainers // PROCESSES
        processes = [
            context.Process(target=crowd, args=(session.log.url, session.run.run, share, seconds, accounts))
            for _ in range(PROCESSES)
        ]
        began = time.monotonic()
        for process in processes:
            process.start()
        found = [account for _ in processes for account in accounts.get()]
        for process in processes:
            process.join()
        frame = TrialLog(session.log.url).trials()
        assert sorted(frame["slot"]) == list(range(1, budget + 1)), "a slot was lost or doubled"
        asleep, lost, looking = (sum(account[key] for account in found) for key in ("asleep", "lost", "looking"))
        waits, work = (np.concatenate([account[key] for account in found]) for key in ("waits", "work"))
        return {
            "trainers": trainers,
            "trials": budget,
            "seconds_a_trial": seconds,
            "wall_seconds": round(time.monotonic() - began, 1),
            "lost_share": round(lost / (asleep + lost), 4),
            "lost_seconds_a_trial": _spread(waits),
            "processor_seconds_a_trial": _spread(work),
            "processor_share": round(float(work.sum()) / asleep, 4),
            "looking_processor_share": round(looking / asleep, 4),
            "load": os.getloadavg()[0],
            "duplicates": duplicates(frame),
        }  # fmt: skip


def _spread(values: np.ndarray) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 3), "p99": round(float(np.quantile(values, 0.99)), 3)}


def duplicates(frame: pd.DataFrame) -> int:
    """How many trials did what another one had done: the same blocks, hyperparameters and parents."""
    texts = [frame[column].map(lambda value: json.dumps(value, default=list)) for column in ("architecture", "parents")]
    return int(pd.concat([*texts, frame["hyperparameters"]], axis=1).duplicated().sum())


def real(trainers: int, trials: int, steps: int) -> dict[str, Any]:
    """Run a real search with so many trainers."""
    with tempfile.TemporaryDirectory(prefix="msearch-scaling-") as folder:
        log = f"{folder}/log"
        command = ["search", "digits", "--trials", str(trials), "--steps", str(steps), "--trainers", str(trainers)]
        subprocess.run([sys.executable, "-m", "msearch_core.cli", *command, "--log", log], check=True, cwd=folder)
        frame = TrialLog(log).trials()
        began, ended = frame["started_at"].min(), frame["finished_at"].max()
        seconds = (ended - began).total_seconds()
        return {
            "trainers": trainers,
            "trials_a_minute": round(60 * trials / seconds, 2),
            "idle_share": round(1 - float(frame["wall_seconds"].sum()) / (trainers * seconds), 4),
            "duplicates": duplicates(frame),
            "best": float(frame["objective"].max()),
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for; one line of JSON a number of trainers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["simulate", "real"])
    parser.add_argument("--trainers", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--trials", type=int, default=24, help="budget of a real search")
    parser.add_argument("--trials-each", type=int, default=4, help="trials a simulated trainer does")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a simulated trial")
    parser.add_argument("--steps", type=int, default=1000, help="of a real trial")
    asked = parser.parse_args(arguments)
    for count in asked.trainers:
        if asked.what == "simulate":
            found = simulate(count, asked.trials_each, asked.seconds)
        else:
            found = real(count, asked.trials, asked.steps)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
