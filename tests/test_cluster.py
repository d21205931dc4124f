"""A search on a disturbed cluster: the benchmark in short."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def disturbed(folder: Path, settled: bool) -> dict[str, Any]:
    found = cluster.run(folder, budget=12, steps=400, say=print, failing=10.0, settled=settled)
    assert (found["rows"], found["lost"], found["duplicate_uids"], found["check_errors"]) == (12, 0, 0, 0)
    assert found["taken_over"] > 0
    return found


def test_nothing_is_lost_whatever_happens(tmp_path: Path) -> None:
    disturbed(tmp_path, settled=False)


@pytest.mark.cluster
def test_the_runs_of_a_dead_machine_end(tmp_path: Path) -> None:
    found = disturbed(tmp_path, settled=True)
    assert set(found["trainer_runs"]) <= {"Completed", "Cancelled", "Crashed"}
