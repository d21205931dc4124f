"""The notebook of the README's tour, run as Jupyter runs it: in a kernel whose event loop is at work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "tour.ipynb"
PLOTLY = "application/vnd.plotly.v1+json"


def test_it_is_kept_without_outputs() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
def test_it_runs_from_the_search_to_the_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MSEARCH_"))]:
        monkeypatch.delenv(name)
    paths = [str(NOTEBOOK.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    notebook = nbformat.read(NOTEBOOK, 4)
    notebook.cells.append(nbformat.v4.new_code_cell("import asyncio\n\nassert asyncio.get_running_loop().is_running()"))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = {cell.source.splitlines()[-1]: cell.outputs[-1].data for cell in notebook.cells if cell.get("outputs")}
    said: dict[str, Any] = {line: data.get("text/plain", "") for line, data in shown.items()}
    assert "accuracy" in said["result.winner.test"]
    rows = said['result.trials[["uid", "objective", "architecture", "parameters", "wall_seconds"]]']
    assert all(f"0001-00000{slot}" in rows for slot in (1, 2, 3))
    assert "probability_malignant" in said['result.predict("breast_cancer").head()']
    assert [PLOTLY in shown[f"result.plot_{name}()"] for name in ("progress", "lineage")] == [True, True]
    assert (tmp_path / "tour-log/winners/1.json").exists()
    streams = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"
    ]
    assert not streams, streams
