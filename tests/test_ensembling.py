"""Making an ensemble of what earlier trials have said, within what its members may cost together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from msearch_core.data.prepared import save
from msearch_core.training import checkpoints
from msearch_core.training.ensembling import assemble
from msearch_core.training.measure import Stopwatch
from msearch_core.training.spec import CountResult, EnsembleResult, EnsembleSpec
from tests.training_data import linear

ERRORS = {"best": 20.0, "second": 21.0, "third": 22.0, "small": 30.0}
"""By candidate the standard deviation of its errors, which are independent."""
PARAMETERS = {"best": 600, "second": 500, "third": 500, "small": 400}


@pytest.fixture
def asked(tmp_path: Path) -> EnsembleSpec:
    data = linear()
    save(data, tmp_path / "data")
    truth = data.splits["validation"].y["y"]
    rng = np.random.default_rng(0)
    files = {uid: tmp_path / f"{uid}.safetensors" for uid in ERRORS}
    for uid, file in files.items():
        checkpoints.save(file, {"y": (truth + ERRORS[uid] * rng.normal(size=len(truth))).astype(np.float32)})
    return EnsembleSpec(
        uid="0001-000009",
        predictions={uid: str(file) for uid, file in files.items()},
        costs={uid: CountResult(parameters=amount) for uid, amount in PARAMETERS.items()},
        combine="average",
        data=str(tmp_path / "data"),
        objective="rmse",
        output=str(tmp_path),
    )


def made(asked: EnsembleSpec, combine: Literal["average", "learned"], **limits: float) -> EnsembleResult:
    result = assemble(asked.model_copy(update={"combine": combine, "limits": limits}), Stopwatch())
    assert result.status == "completed"
    assert sum(result.members.values()) == pytest.approx(1)
    return result


@pytest.mark.parametrize("combine", ["average", "learned"])
def test_members_keep_the_limit_together(asked: EnsembleSpec, combine: Literal["average", "learned"]) -> None:
    free, limited = made(asked, combine), made(asked, combine, max_params=1000)
    assert set(free.members) == set(PARAMETERS)
    assert set(limited.members) == {"best", "small"}
    assert list(made(asked, combine, max_params=999).members) == ["best"]
    assert free.objective is not None
    assert limited.objective is not None
    assert free.objective < limited.objective
