"""What the trial log survives: killed writers and sealers, racing claims, a budget spent by trainers that are killed.

    python -m benchmarks.log_faults                       # 1,000 kills, 10,000 claims, 2,000 slots on a local disk
    python -m benchmarks.log_faults --store gcs --kills 100         # on a server of its own; also: s3, memory
    python -m benchmarks.log_faults --url gs://bucket/faults --parts claims

Each part prints what it counted; every number after "lost", "twice", "torn" and "failed" must be 0.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import queue
import random
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import servers
from msearch_core.data.problem import Problem, Target
from msearch_core.loading import load_space
from msearch_core.session import Session
from msearch_core.training.proposing import Proposer
from msearch_core.training.rows import make_row
from msearch_core.training.spec import TrialResult
from msearch_core.trial import Trial
from msearch_core.trial_log import Claim, Heartbeat, Identity, RunRecord, SearchRecord, TrialLog
from msearch_core.trial_log.claims import Claims
from msearch_core.trial_log.layout import Uid

# Children that start in milliseconds, so that most kills hit one at work.
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["msearch_core.training.trainer", "gcsfs", "s3fs", "pandas"])
READ_OPTIONS: dict[str, dict[str, Any]] = {"gs": {"token": "anon"}}


def search_record(algorithm: str = "random") -> SearchRecord:
    """A search that needs no data."""
    return SearchRecord(
        id="faults", name="faults", space="tabular", space_fingerprint="f", objective="accuracy", direction="max",
        algorithm=algorithm, seed=0, split_seed=0, task="classification", settings={},
    )  # fmt: skip


def run_record(trials: int) -> RunRecord:
    """A budget on no data."""
    return RunRecord(run="0001", extension=1, trials=trials, minutes=None, data={}, data_fingerprint="d")


def read_plainly(url: str) -> pd.DataFrame:
    """As a user would; the GCS test server takes no credentials."""
    return pd.read_parquet(f"{url}/trials", storage_options=READ_OPTIONS.get(url.partition("://")[0]))


def write(url: str, first: int, acknowledged: Any) -> None:
    """Append rows for ever; say of each when it is on record."""
    log, slot = TrialLog(url), first
    while True:
        uid = str(Uid("0001", slot))
        row = Trial(uid=uid, search="s", run="0001", slot=slot, kind="search", status="completed", objective=0.5)
        log.append(row)
        acknowledged.send(uid)
        slot += 1
        time.sleep(0.05)  # a log that grows without bound would measure the disk


def seal(url: str) -> None:
    """Compact for ever."""
    while True:
        TrialLog(url).seal()


def read(url: str, report: Any) -> None:
    """Read plainly for ever; report how many reads there were, and each that failed or saw something amiss."""
    while True:
        try:
            frame = read_plainly(url)
            amiss = "" if frame["uid"].is_unique and (frame["status"] == "completed").all() else "a row twice or torn"
        except Exception as error:
            amiss = f"{type(error).__name__}: {error}"
        report.send(amiss)


@contextmanager
def running(processes: list[BaseProcess]) -> Iterator[None]:
    """Start processes, and kill whatever is left of them."""
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def drain(pipes: list[Any]) -> list[Any]:
    """All that has been sent so far; what a killed sender left half-written is passed over."""
    found = []
    for pipe in pipes:
        try:
            while pipe.poll():
                found.append(pipe.recv())
        except (EOFError, OSError):
            continue
    return found


def kills(url: str, count: int, writers: int = 8, sealers: int = 3, readers: int = 2) -> dict[str, int]:
    """Kill writers and sealers at random moments, beside plain readers; then count what became of the rows."""
    TrialLog(url).open(search_record())
    rng = random.Random(0)
    acknowledged: set[str] = set()
    pipes, reports = [], []
    firsts = iter(range(1, 10**9, 10**5))  # each writer that is started has slots of its own

    def start(role: str) -> BaseProcess:
        if role == "writer":
            receiver, sender = FORK.Pipe(duplex=False)
            pipes.append(receiver)
            return FORK.Process(target=write, args=(url, next(firsts), sender), daemon=True)
        return FORK.Process(target=seal, args=(url,), daemon=True)

    roles = ["writer"] * writers + ["sealer"] * sealers
    for _ in range(readers):
        receiver, sender = FORK.Pipe(duplex=False)
        reports.append((receiver, FORK.Process(target=read, args=(url, sender), daemon=True)))
    workers = [start(role) for role in roles]
    seen: list[str] = []
    with running([process for _, process in reports]), running(workers):
        done = 0
        while done < count:
            time.sleep(rng.uniform(0.05, 0.3))
            acknowledged.update(drain(pipes))
            seen += drain([receiver for receiver, _ in reports])
            index = rng.randrange(len(workers))
            workers[index].kill()
            workers[index].join()
            workers[index] = start(roles[index])
            workers[index].start()
            done += 1
        acknowledged.update(drain(pipes))
        seen += drain([receiver for receiver, _ in reports])
    log = TrialLog(url)
    log.seal()
    frame = read_plainly(log.url)
    return {
        "kills": count,
        "acknowledged": len(acknowledged),
        "rows": len(frame),
        "lost": len(acknowledged - set(frame["uid"])),
        "twice": int(frame["uid"].duplicated().sum()),
        "torn": int((frame["status"] != "completed").sum()),
        "reads": len(seen),
        "failed": sum(bool(amiss) for amiss in seen),
    }


def claim_all(url: str, count: int, gate: Any, won: Any) -> None:
    """Try to claim each slot in turn; report which were won."""
    log, me = TrialLog(url), Identity.of_this_process()
    board = log.board(run_record(count))
    gate.wait()
    mine = []
    for slot in range(1, count + 1):
        claim = Claim(
            uid=str(Uid("0001", slot)),
            attempt=1,
            owner=dataclasses.asdict(me),
            proposal={"architecture": []},
            key="0" * 16,
        )
        if board.claim(claim):
            mine.append(claim.uid)
    won.put(mine)


def claims(url: str, count: int, racers: int = 8) -> dict[str, int]:
    """Processes race for the same claims; count the winners of each. Threads in ``memory://``, which is one process."""
    if url.startswith("memory:"):
        barrier, taken = threading.Barrier(racers), queue.Queue[list[str]]()
        with ThreadPoolExecutor(racers) as pool:
            list(pool.map(lambda _: claim_all(url, count, barrier, taken), range(racers)))
        winners = [uid for _ in range(racers) for uid in taken.get()]
    else:
        gate, won = FORK.Barrier(racers), FORK.Queue()
        with running([FORK.Process(target=claim_all, args=(url, count, gate, won)) for _ in range(racers)]):
            winners = [uid for _ in range(racers) for uid in won.get()]
    owners = Claims(TrialLog(url).store)
    owners.refresh([""], lambda _: False)
    return {
        "claims": count,
        "winners": len(winners),
        "twice": len(winners) - len(set(winners)),
        "lost": count - len(set(winners) & owners.latest.keys()),
    }


def session_without_data(url: str, trials: int) -> Session:
    """Enough of a session to propose with."""
    problem = Problem("vector", (4,), {"kind": "table"}, (Target("y", "classification", ("a", "b")),))
    space = load_space("tabular").for_input((4,))
    log = TrialLog(url)
    return Session(log, log.search(), run_record(trials), Path(), problem, space)


def train_instantly(url: str, trials: int) -> None:
    """A trainer that takes a trial's score from a table, which takes no time; all else is real."""
    session, me = session_without_data(url, trials), Identity.of_this_process()
    proposer = Proposer(session, me)
    with Heartbeat(session.log.store, me.trainer):
        proposer.look()
        while not proposer.board.is_over:
            proposer.board.seal_if_due()
            claim = proposer.next()
            if claim is None:
                time.sleep(0.05)
            else:
                score = random.Random(claim.key).random()
                result = TrialResult(status="completed", objective=score, steps=1)
                session.log.append(make_row(session, claim, me, result), proposer.board)
            proposer.look()


def budget(url: str, trials: int, trainers: int = 32, kill_every: float = 1.0) -> dict[str, int]:
    """Trainers spend a budget and are killed at random; count the rows of each slot."""
    log = TrialLog(url)
    log.open(search_record())
    log.add_run(run_record(trials))
    rng, killed = random.Random(0), 0
    board = log.board(run_record(trials), ("uid", "run"))
    workers = [FORK.Process(target=train_instantly, args=(url, trials), daemon=True) for _ in range(trainers)]
    with running(workers):
        while not board.is_over:
            time.sleep(kill_every)
            index = rng.randrange(trainers)
            if workers[index].is_alive():
                workers[index].kill()
                killed += 1
            workers[index].join()
            workers[index] = FORK.Process(target=train_instantly, args=(url, trials), daemon=True)
            workers[index].start()
            board.look()
    log.seal()
    slots = read_plainly(log.url)["slot"].astype(int)
    return {
        "slots": trials,
        "killed": killed,
        "rows": len(slots),
        "lost": len(set(range(1, trials + 1)) - set(slots)),
        "twice": int(slots.duplicated().sum()),
    }


def main() -> None:
    """Run the parts and print what each counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="where to make the logs; else it is --store that says")
    parser.add_argument("--store", choices=["local", "gcs", "s3", "memory"], default="local")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--claims", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=2000)
    parser.add_argument("--trainers", type=int, default=32)
    parser.add_argument("--parts", nargs="+", default=["kills", "claims", "budget"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parts: dict[str, Callable[[str], dict[str, int]]] = {
        "kills": lambda url: kills(url, options.kills),
        "claims": lambda url: claims(url, options.claims),
        "budget": lambda url: budget(url, options.slots, options.trainers),
    }
    stores = {"local": tempfile.TemporaryDirectory, "gcs": servers.gcs, "s3": servers.s3}
    with ExitStack() as stack:
        place = options.url or (
            "memory:/" if options.store == "memory" else stack.enter_context(stores[options.store]())
        )
        for name in options.parts:
            began = time.monotonic()
            counted = parts[name](f"{place}/{name}-{uuid.uuid4().hex[:6]}")
            print(f"{name:<8}", *(f"{value:,} {what}" for what, value in counted.items()), sep="  ", end="")
            print(f"  in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
