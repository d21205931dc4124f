"""The figures of a search: Plotly figures made from rows of the log, one kind a file."""

from msearch_core.report.plots.curves import curves
from msearch_core.report.plots.effects import effects
from msearch_core.report.plots.hyperparameters import hyperparameters
from msearch_core.report.plots.lineage import lineage
from msearch_core.report.plots.pareto import pareto
from msearch_core.report.plots.predictions import predictions
from msearch_core.report.plots.progress import progress
from msearch_core.report.plots.timeline import timeline

__all__ = [
    "curves",
    "effects",
    "hyperparameters",
    "lineage",
    "pareto",
    "predictions",
    "progress",
    "timeline",
]
