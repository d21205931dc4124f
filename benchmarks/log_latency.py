"""What a trainer loses to a slow object store: each request is delayed on its way to a GCS-speaking server.

    python -m benchmarks.log_latency --delay 0.04 --trials 200

A real trainer, whose trials end at once: parents' weights are fetched, and weights and validation outputs brought to
the log, as with real trials. Printed are the seconds of a trial, the requests it makes, and how many of these came one
after the other. With ``--trainers 2`` or more each finds news at every look; their requests cannot be told apart then.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import random
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.log_faults import run_record, search_record, session_without_data
from benchmarks.servers import free_port, gcs_server
from msearch_core.training import spec
from msearch_core.training.client import Action, Exit, Job, TrainingHost
from msearch_core.training.trainer import Trainer
from msearch_core.trial_log import TrialLog

SETTINGS = {"steps": 1, "batch_size": 64}

WEIGHTS = b"w" * 400_000
OUTPUTS = b"o" * 15_000


Span = tuple[float, float]


def in_sequence(spans: list[Span]) -> int:
    """How many of these requests came one after the other: the most of which no two overlap."""
    count, free = 0, float("-inf")
    for began, ended in sorted(spans, key=lambda span: span[1]):
        if began >= free:
            count, free = count + 1, ended
    return count


def delaying_proxy(target: int, delay: float, spans: list[Span]) -> ThreadingHTTPServer:
    """An HTTP server that passes each request on to a local port after a delay.

    When is noted in ``spans``, but for beats, for which nobody waits.
    """

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            began = time.monotonic()
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline().strip() or b"0", 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(delay)
            headers = {
                k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "content-length")
            }
            connection = http.client.HTTPConnection("127.0.0.1", target)
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            connection.close()
            if self.command == "GET" or b"heartbeats" not in self.path.encode() + body[:1000]:
                spans.append((began, time.monotonic()))

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class InstantHost(TrainingHost):
    """Trains nothing: each job has ended when it is started, and left what a trial leaves."""

    def __init__(self) -> None:
        """Start no process."""

    def start(self, action: Action, spec_path: Path, threads: int | None = None) -> Job:
        """Leave a result, weights and validation outputs."""
        del threads
        assert action == "train"
        output = spec_path.parent
        uid = spec.read(spec.TrialSpec, spec_path).uid
        (output / spec.WEIGHTS).write_bytes(WEIGHTS)
        (output / spec.PREDICTIONS).write_bytes(OUTPUTS)
        result = spec.TrialResult(status="completed", objective=random.Random(uid).random(), steps=1)
        spec.write(result, output / spec.RESULT)
        job = Job(0, self)
        job._end(Exit(exit_code=0))
        return job


def main() -> None:
    """Start the server and the proxy, work through a budget and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.04, help="seconds added to each request")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--trainers", type=int, default=1)
    options = parser.parse_args()
    spans: list[Span] = []
    port = free_port()
    proxy = delaying_proxy(port, options.delay, spans)
    with gcs_server(port, f"http://127.0.0.1:{proxy.server_address[1]}"):
        log = TrialLog("gs://bucket/log")
        log.open(search_record())
        log.add_run(run_record(options.trials))
        with ThreadPoolExecutor(options.trainers) as pool:
            per_trainer = list(pool.map(lambda _: work(options.trials), range(options.trainers)))
    trials = [trial for trials in per_trainer for trial in trials[len(trials) // 3 :]]
    median = statistics.median(ended - began for began, ended in trials)
    first, last = min(began for began, _ in trials), max(ended for _, ended in trials)
    requests = sum(first <= began < last for began, _ in spans)
    print(
        f"{1000 * options.delay:.0f} ms a request: {median:.3f} s a trial, {requests / len(trials):.1f} requests",
        end="",
    )
    if options.trainers == 1:
        chains = [in_sequence([span for span in spans if began <= span[0] < ended]) for began, ended in trials]
        print(f", {statistics.mean(chains):.1f} of them in sequence (at most {max(chains)}", end="")
        print(f", more than 6 in {sum(chain > 6 for chain in chains)} of {len(chains)} trials)", end="")
    print()


def work(trials: int) -> list[Span]:
    """A trainer on a log of its own making; when each of its trials began and ended."""
    session = session_without_data("gs://bucket/log", trials)
    session = dataclasses.replace(
        session, search=dataclasses.replace(session.search, algorithm="coordinate_descent", settings=SETTINGS)
    )
    spans = []
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(session, InstantHost(), Path(scratch))
        with trainer.heartbeat():
            began = time.monotonic()
            for claim in trainer.claims():
                trainer.run(claim)
                spans.append((began, began := time.monotonic()))
    return spans


if __name__ == "__main__":
    main()
