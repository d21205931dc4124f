"""A child that does several jobs: none of them notices the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from msearch_core.loading import CODE_PATH
from msearch_core.training import spec
from msearch_core.training.client import TrainingHost
from msearch_core.training.host import MOST_JOBS
from msearch_core.training.spec import CountResult, CountSpec, Parent, TrialResult
from tests.hosting import (
    DEEPER,
    DENSE,
    FOREVER,
    IMAGE,
    SPACE,
    TARGET,
    children_of,
    predictions,
    run,
    wait_for,
    write_trial,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made: Path = tmp_path_factory.mktemp("serving")
    (made / "faulty.py").write_text(SPACE)
    return made


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[TrainingHost]:
    with TrainingHost(folder / "host.log", {CODE_PATH: str(folder)}) as started:
        yield started


def run_warm(host: TrainingHost, path: Path) -> TrialResult:
    ended = host.start("train", path, 1).wait(100)
    assert ended is not None
    return spec.read_result(path.parent, ended.signal)


def the_child(host: TrainingHost) -> int:
    """The process that waits for another job."""
    (child,) = children_of(host)
    return child.pid


def test_trials_are_the_same_in_a_used_child_and_in_a_fresh_one(host: TrainingHost, trial) -> None:
    noisy = {"dropout": 0.3, "l2": 1e-4, "decay": "cosine"}
    kinds = {
        "dense": {"architecture": DENSE},
        "image": {"architecture": IMAGE, "space": "image", "hyperparameters": {"flip": True}},
        "deeper": {"architecture": DEEPER, "hyperparameters": noisy},
        "other seed": {"architecture": DEEPER, "hyperparameters": noisy, "seed": 7},
        "again": {"architecture": DENSE},
    }
    used, fresh = ({name: trial(f"{name} {how}", **each) for name, each in kinds.items()} for how in ("used", "fresh"))
    workers = set()
    for path in used.values():
        assert run_warm(host, path).status == "completed"
        workers.add(the_child(host))
    assert len(workers) == 1
    for name, path in fresh.items():
        assert run(host, path).status == "completed"
        assert np.array_equal(predictions(path)[TARGET], predictions(used[name])[TARGET]), name
        assert spec.read_result(path.parent).curve == spec.read_result(used[name].parent).curve

    parent = Parent(weights=str(used["deeper"].parent / spec.WEIGHTS), architecture=DEEPER)
    for name, start in (("heir used", run_warm), ("heir fresh", run)):
        assert start(host, trial(name, architecture=DEEPER, parent=parent)).inherited_fraction == 1
    folder = used["deeper"].parents[1]
    heirs = [predictions(folder / name / "spec.json")[TARGET] for name in ("heir used", "heir fresh")]
    assert np.array_equal(*heirs)


def test_a_signal_is_for_one_job(host: TrainingHost, trial) -> None:
    for number in range(3):
        path = trial(f"endless {number}", steps=FOREVER)
        job = host.start("train", path, 1)
        while job.wait(0.001) is None:
            job.signal(signal.SIGUSR1)
        assert spec.read_result(path.parent).status == "stopped"
        assert run_warm(host, trial(f"whole {number}", steps=20)).status == "completed"


def test_a_signal_that_comes_with_the_job_is_not_lost(host: TrainingHost, trial) -> None:
    run_warm(host, trial("before", steps=20))
    worker = the_child(host)
    path = trial("leaving", steps=FOREVER)
    job = host.start("train", path, 1)
    job.signal(signal.SIGTERM)
    assert job.wait(20)
    assert spec.read_result(path.parent).status == "preempted"
    assert the_child(host) == worker


@pytest.mark.parametrize("block", ["raising()", "vast()", "crashing()"])
def test_after_a_fault_a_fresh_child_takes_over(host: TrainingHost, folder: Path, trial, block: str) -> None:
    run_warm(host, trial("before", steps=20))
    worker = the_child(host)
    faulty = run_warm(host, trial("faulty", architecture=(block,), space=str(folder / "faulty.py")))
    assert faulty.status == ("oom" if block == "vast()" else "failed")
    assert run_warm(host, trial("after", steps=20)).status == "completed"
    assert the_child(host) != worker


def test_an_idle_child_that_is_killed_is_replaced(host: TrainingHost, trial) -> None:
    run_warm(host, trial("before", steps=20))
    worker = psutil.Process(the_child(host))
    worker.kill()
    wait_for(lambda: not worker.is_running() or worker not in children_of(host))
    assert run_warm(host, trial("after", steps=20)).status == "completed"


def test_counts_and_trials_share_a_child_and_other_numbers_of_threads_do_not(
    host: TrainingHost, trial, digits: Path, tmp_path: Path
) -> None:
    run_warm(host, trial("one", steps=20))
    worker = the_child(host)
    asked = CountSpec(space="tabular", architecture=DENSE, data=str(digits), output=str(tmp_path))
    spec.write(asked, tmp_path / "spec.json")
    assert host.start("count", tmp_path / "spec.json", 1).wait(60)
    assert spec.read(CountResult, tmp_path / spec.RESULT).parameters == 64 * 32 + 32 + 32 * 10 + 10
    assert the_child(host) == worker
    path = trial("two", steps=20, threads=2)
    assert host.start("train", path, 2).wait(60)
    assert spec.read_result(path.parent).status == "completed"
    assert the_child(host) != worker


def test_a_child_is_replaced_before_its_memory_has_grown_much(tmp_path: Path, digits: Path) -> None:
    with TrainingHost(tmp_path / "log") as host:
        held: dict[int, list[float]] = {}
        for number in range(MOST_JOBS + 2):
            run_warm(host, write_trial(tmp_path / f"{number}", digits, steps=20, architecture=DEEPER * 2))
            for child in children_of(host):  # none is there where it was just dismissed
                held.setdefault(child.pid, []).append(child.memory_info().rss)
    assert len(held) == 2
    assert max(map(len, held.values())) <= MOST_JOBS
    first = next(iter(held.values()))
    assert max(first) < 1.25 * first[0]


def test_an_idle_child_ends_with_its_host(tmp_path: Path, digits: Path) -> None:
    with TrainingHost(tmp_path / "log") as host:
        run_warm(host, write_trial(tmp_path / "first", digits, steps=20))
        (child,) = children_of(host)
        os.kill(host.pid, signal.SIGKILL)
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
        assert run_warm(host, write_trial(tmp_path / "second", digits, steps=20)).status == "completed"
