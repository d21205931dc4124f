"""Parameters of architectures, without training them."""

from __future__ import annotations

from pathlib import Path

from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.space import SearchSpace
from msearch_core.training import spec
from msearch_core.training.build import build_model, count_parameters
from msearch_core.training.spec import CountResult, CountSpec


def run(spec_path: str) -> None:
    """Count for a ``CountSpec`` file and write ``result.json`` into its output folder."""
    asked = spec.read(CountSpec, Path(spec_path))
    problem = open_prepared(Path(asked.data)).problem
    space: SearchSpace = fitted_space(load_space(asked.space), problem)
    counts: list[int | None] = []
    for architecture in asked.architectures:
        try:
            counts.append(count_parameters(build_model(problem, space, architecture, {})))
        except Exception:  # whatever a block raises, its trial will say
            counts.append(None)
    spec.write(CountResult(parameters=tuple(counts)), Path(asked.output) / spec.RESULT)
