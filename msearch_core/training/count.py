"""What an architecture costs, without training it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.training import checkpoints, spec
from msearch_core.training.build import build_model, count_flops, count_parameters
from msearch_core.training.child import use_threads
from msearch_core.training.loop import make_predict
from msearch_core.training.measure import latency
from msearch_core.training.spec import CountResult, CountSpec


def run(spec_path: str) -> None:
    """Count for a ``CountSpec`` file and write ``result.json`` into its output folder."""
    asked = spec.read(CountSpec, Path(spec_path))
    use_threads(asked.threads)
    counted = CountResult()
    with contextlib.suppress(Exception):  # whatever a block raises, its trial will say
        counted = count(asked)
    spec.write(counted, Path(asked.output) / spec.RESULT)


def count(asked: CountSpec) -> CountResult:
    """Build the model with fresh weights and measure it; the costs are those of a trial's row."""
    data = open_prepared(Path(asked.data))
    space = fitted_space(load_space(asked.space), data.problem)
    model = build_model(data.problem, space, asked.architecture, {})
    weights = Path(asked.output) / spec.WEIGHTS
    checkpoints.save(weights, checkpoints.weights_of(model))
    counted = CountResult(
        parameters=count_parameters(model), flops=count_flops(model), model_bytes=weights.stat().st_size
    )
    weights.unlink()
    if not asked.timed:
        return counted
    example = data.splits["validation"].x[:1]
    return counted.model_copy(update={"latency_ms": latency(make_predict(model, data.problem, example.dtype), example)})
