"""Trials in the children of a training host, without a search around them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from msearch_core.training import spec
from msearch_core.training.checkpoints import load
from msearch_core.training.client import TrainingHost
from msearch_core.training.spec import TrialResult, TrialSpec

DENSE = ("dense(units=32,activation=relu,batch_norm=False)",)
DEEPER = (*DENSE, "dense(units=64,activation=relu,batch_norm=True)")
IMAGE = ("convolution(filters=16,kernel=3)", "flatten()")
FOREVER = 100_000_000
TARGET = "target"
SPACE = """
import json, os, pathlib, sys
from msearch_core.space import SearchSpace, block

@block()
def raising(inputs, name):
    raise RuntimeError("the block is at fault\\nsecond line")

@block()
def vast(inputs, name):
    import keras
    return keras.ops.add(inputs, keras.ops.sum(keras.ops.zeros((2**46,))))

@block()
def crashing(inputs, name):
    os.kill(os.getpid(), 11)

@block()
def listing(inputs, name):
    import keras
    pathlib.Path(os.environ["LISTING"]).write_text(json.dumps(sorted(sys.modules)))
    return keras.layers.Dense(4, name=f"{name}_dense")(inputs)

space = SearchSpace("faulty", (raising(), vast(), crashing(), listing()), {})
"""


def write_trial(output: Path, data: Path, **changes) -> Path:
    output.mkdir()
    options = {
        "uid": output.name,
        "space": "tabular",
        "architecture": DENSE,
        "seed": 1,
        "steps": 100,
        "batch_size": 32,
        "data": str(data),
        "objective": "accuracy",
        "output": str(output),
    }
    spec.write(TrialSpec(**(options | changes)), output / "spec.json")
    return output / "spec.json"


def predictions(path: Path) -> dict[str, np.ndarray]:
    return load(path.parent / spec.PREDICTIONS)


def run(host: TrainingHost, path: Path) -> TrialResult:
    ended = host.start("train", path).wait(100)
    assert ended is not None
    return spec.read_result(path.parent, ended.signal)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def children_of(host: TrainingHost) -> list[psutil.Process]:
    return psutil.Process(host.pid).children()
