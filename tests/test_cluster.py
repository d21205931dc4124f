"""A search on a disturbed cluster: the benchmark in short."""

from pathlib import Path

import pytest

from benchmarks import cluster

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(1800)]


def test_nothing_is_lost_whatever_happens(tmp_path: Path) -> None:
    found = cluster.run(tmp_path, budget=12, steps=400, say=print, failing=10.0)
    assert (found["rows"], found["lost"], found["duplicate_uids"], found["check_errors"]) == (12, 0, 0, 0)
    assert found["taken_over"] > 0
