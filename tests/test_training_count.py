"""What an architecture costs is known before it is trained, and is what its trial will say."""

from __future__ import annotations

from pathlib import Path

from msearch_core.training.count import count
from msearch_core.training.spec import CountSpec
from tests.training_data import line

DENSE = "dense(units=32,activation=relu,batch_norm=False)"


def test_costs_without_training(tmp_path: Path) -> None:
    asked = CountSpec(space="tabular", architecture=(DENSE,), data=str(line(tmp_path)), output=str(tmp_path))
    counted = count(asked)
    weights = 3 * 32 + 32 * 1
    assert counted.parameters == weights + 32 + 1
    assert counted.flops == 2 * weights
    assert counted.model_bytes is not None
    assert 4 * counted.parameters < counted.model_bytes < 4 * counted.parameters + 2000
    assert counted.latency_ms is None
    timed = count(asked.model_copy(update={"timed": True}))
    assert timed.latency_ms is not None
    assert 0 < timed.latency_ms < 10_000
    assert timed.model_copy(update={"latency_ms": None}) == counted
