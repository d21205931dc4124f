"""Writing a trained model in other formats, in a process of its own: converters are not always gentle."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.loading import load_space
from msearch_core.training import checkpoints, spec
from msearch_core.training.child import use_threads
from msearch_core.training.ensemble import load_members
from msearch_core.training.export_formats import write
from msearch_core.training.export_models import own_layers
from msearch_core.training.loop import make_predict
from msearch_core.training.spec import ExportResult, ExportSpec


def run(spec_path: str) -> None:
    """Write the model of an ``ExportSpec`` file into its bundle, and ``result.json``."""
    asked = spec.read(ExportSpec, Path(spec_path))
    try:
        result = export(asked)
    except Exception as error:
        print(f"export {asked.uid}: {error!r}", file=sys.stderr)  # noqa: T201 (the host's log)
        result = ExportResult(status="failed", error=spec.one_line(error))
    spec.write(result, Path(asked.output) / spec.RESULT)


def export(asked: ExportSpec) -> ExportResult:
    """Write the model's files, and what it says of the validation split before it is exported."""
    use_threads(asked.threads)
    data = open_prepared(Path(asked.data))
    tower = load_members(data.problem, fitted_space(load_space(asked.space), data.problem), asked.members)
    x = data.splits["validation"].x
    checkpoints.save(Path(asked.output) / spec.PREDICTIONS, make_predict(tower, data.problem, x.dtype)(np.asarray(x)))
    for each in asked.formats:
        try:
            write(each, data.problem, tower, Path(asked.bundle))
        except Exception as error:
            print(f"{each}: {error!r}", file=sys.stderr)  # noqa: T201 (the host's log)
            return ExportResult(status="failed", error=f"{each}: {spec.one_line(error)}")
    own = {name: (kind.__module__, _file(kind.__module__)) for name, kind in own_layers(tower).items()}
    return ExportResult(status="completed", own_layers=own)


def _file(module: str) -> str:
    return str(getattr(sys.modules[module], "__file__", None) or "")
