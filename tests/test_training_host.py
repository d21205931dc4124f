"""Trials in real children of a real host: what comes back, and who survives whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.data.prepared import open_prepared
from msearch_core.loading import CODE_PATH
from msearch_core.objectives import evaluate
from msearch_core.programs import PACKAGE_ROOT
from msearch_core.training import spec
from msearch_core.training.client import LAST_WORDS, TrainingHost
from msearch_core.training.spec import (
    Base,
    CountResult,
    CountSpec,
    Member,
    Parent,
    TrialSpec,
    WinnerResult,
    WinnerSpec,
)
from tests.hosting import (
    DEEPER,
    DENSE,
    FOREVER,
    IMAGE,
    SPACE,
    TARGET,
    children_of,
    predictions,
    run,
    wait_for,
    write_trial,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("host")


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[TrainingHost]:
    environment = {CODE_PATH: str(folder), "LISTING": str(folder / "modules.json")}
    with TrainingHost(folder / "host.log", environment) as started:
        yield started


def test_a_trial_says_all_about_itself(host: TrainingHost, trial, digits: Path) -> None:
    path = trial(
        hyperparameters={"learning_rate": 0.01, "dropout": 0.1, "l2": 1e-4, "clip_norm": 1.0, "decay": "cosine"}
    )
    result = run(host, path)
    assert result.status == "completed"
    assert {name for name, value in result if value is None} == {"error", "inheritance", "mixture"}
    assert result.objective is not None
    assert result.objective > 0.9
    assert result.objective == max(result.curve or ())
    assert (result.steps, len(result.curve or ())) == (100, 10)
    assert {"build", "trace", "warm_start", "train", "evaluate", "checkpoint"} <= set(result.timings or {})
    prepared = open_prepared(digits)
    outputs = predictions(path)
    assert all(values.dtype == np.float32 for values in outputs.values())
    assert evaluate(prepared.problem, prepared.splits["validation"].y, outputs) == result.metrics


def test_the_same_spec_gives_the_same_model(host: TrainingHost, trial) -> None:
    dropped = {"hyperparameters": {"dropout": 0.3}}
    streamed = trial("streamed", in_memory_mb=0.01, **dropped)
    paths = [trial("first", **dropped), trial("second", **dropped), streamed, trial("other", seed=2, **dropped)]
    for path in paths:
        run(host, path)
    first, second, read, other = (predictions(path)[TARGET] for path in paths)
    assert np.array_equal(first, second)
    assert np.array_equal(first, read)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", ["dense", "image", "growing"])
def test_a_resumed_trial_ends_like_an_uninterrupted_one(host: TrainingHost, trial, tmp_path: Path, kind: str) -> None:
    options = {
        "architecture": IMAGE if kind == "image" else DEEPER,
        "space": "image" if kind == "image" else "tabular",
        "steps": 4000,
        "hyperparameters": {"dropout": 0.2, "optimizer": "adamw", "decay": "cosine"},
    }
    if kind == "growing":
        frozen = trial("frozen")
        run(host, frozen)
        member = Member(weights=str(frozen.parent / spec.WEIGHTS), architecture=DENSE, share=1.0, adds="logits")
        options["base"] = Base(members=(member,), outputs=str(tmp_path / "outputs"), growth="adaptive")
    whole = trial("whole", **options)
    run(host, whole)

    first = trial("first", checkpoint_seconds=0.2, **options)
    job = host.start("train", first)
    wait_for(lambda: (first.parent / spec.CHECKPOINT).exists())
    job.signal(signal.SIGTERM)
    assert job.wait(20)
    left = spec.read_result(first.parent)
    assert left.status == "preempted"
    assert 0 < (left.steps or 0) < 4000

    second = trial("second", resume=str(first.parent / spec.CHECKPOINT), **options)
    result, expected = run(host, second), spec.read_result(whole.parent)
    assert (result.status, result.steps, result.curve) == ("completed", 4000, expected.curve)
    assert result.mixture == expected.mixture
    assert (result.mixture is None) == (kind != "growing")
    assert np.array_equal(predictions(second)[TARGET], predictions(whole)[TARGET])


def test_a_child_inherits(host: TrainingHost, trial) -> None:
    parent = trial("parent", architecture=DEEPER)
    run(host, parent)
    weights = str(parent.parent / spec.WEIGHTS)
    child = run(host, trial("child", architecture=DENSE * 2, parent=Parent(weights=weights, architecture=DEEPER)))
    assert child.inheritance == {"b0_dense_dense": "copied", "b1_dense_dense": "fresh", "head": "fresh"}
    assert 0 < (child.inherited_fraction or 0) < 1


def test_finish_now_is_stopped_and_evaluated(host: TrainingHost, trial, digits: Path) -> None:
    path = trial(steps=FOREVER, checkpoint_seconds=0.5)
    job = host.start("train", path)
    wait_for(lambda: (path.parent / spec.CHECKPOINT).exists())
    job.signal(signal.SIGUSR1)
    assert job.wait(20)
    result = spec.read_result(path.parent)
    assert (result.status, result.error) == ("stopped", None)
    prepared = open_prepared(digits)
    scores = evaluate(prepared.problem, prepared.splits["validation"].y, predictions(path))
    assert result.objective == scores["accuracy"]
    assert 0 < (result.steps or 0) < FOREVER


def test_signals_before_the_first_step_are_not_lost(host: TrainingHost, trial) -> None:
    path = trial(steps=FOREVER)
    job = host.start("train", path)
    job.signal(signal.SIGTERM)
    assert job.wait(20)
    assert spec.read_result(path.parent).status == "preempted"
    assert (path.parent / spec.CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"hyperparameters": {"optimizer": "sgd", "learning_rate": 1e30}}, "diverged", "not finite"),
        ({"steps": FOREVER, "time_limit_seconds": 1.0}, "stopped", "time limit"),
        ({"architecture": ("raising()",), "space": "faulty.py"}, "failed", "RuntimeError: the block is at fault"),
        ({"architecture": ("vast()",), "space": "faulty.py"}, "oom", ""),
        ({"architecture": ("crashing()",), "space": "faulty.py"}, "failed", "signal 11"),
        ({"architecture": ("dense(units=3)",)}, "infeasible", "not a block"),
        ({"objective": "rmse"}, "failed", "expected one of accuracy"),
        ({"hyperparameters": {"optimizer": "newton"}}, "failed", "newton"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_wrong_is_classified(host: TrainingHost, trial, folder, changes, status: str, error: str) -> None:
    (folder / "faulty.py").write_text(SPACE)
    if changes.get("space"):
        changes = changes | {"space": str(folder / "faulty.py")}
    result = run(host, trial(**changes))
    assert result.status == status
    assert error in (result.error or "")
    assert "\n" not in (result.error or "")


def test_training_keeps_its_memory_unless_the_user_wants_otherwise(host: TrainingHost, tmp_path: Path) -> None:
    variable = "TF_CPU_ALLOCATOR_USE_BFC"
    assert psutil.Process(host.pid).environ()[variable] == "true"
    with TrainingHost(tmp_path / "host.log", {variable: "false"}) as other:
        assert psutil.Process(other.pid).environ()[variable] == "false"


def test_no_child_has_prefect_loaded(host: TrainingHost, trial, folder: Path) -> None:
    (folder / "faulty.py").write_text(SPACE)
    assert run(host, trial(architecture=("listing()",), space=str(folder / "faulty.py"))).status == "completed"
    modules = json.loads((folder / "modules.json").read_text())
    assert "tensorflow" in modules
    assert [name for name in modules if name.partition(".")[0] in {"prefect", "flows"}] == []


def test_a_killed_child_hurts_no_other(host: TrainingHost, trial) -> None:
    doomed, other = host.start("train", trial("doomed", steps=FOREVER)), host.start("train", trial("other"))
    wait_for(lambda: len(children_of(host)) == 2)
    doomed.kill()
    ended = doomed.wait(20)
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    finished = other.wait(60)
    assert finished is not None
    assert finished.exit_code == 0


def test_children_die_with_their_host_and_a_new_one_takes_over(tmp_path: Path, digits: Path) -> None:
    with TrainingHost(tmp_path / "log") as host:
        job = host.start("train", write_trial(tmp_path / "first", digits, steps=FOREVER))
        assert host.wait_ready(60)
        wait_for(lambda: len(children_of(host)) == 1)
        child = children_of(host)[0]
        os.kill(host.pid, signal.SIGKILL)
        ended = job.wait(20)
        assert ended is not None
        assert ended.host_died
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
        assert run(host, write_trial(tmp_path / "second", digits)).status == "completed"


def test_what_a_host_says_before_it_dies_is_told(
    tmp_path: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its log lies in a folder that is removed with it."""
    (tmp_path / "log").write_text("said by another\n")
    with TrainingHost(tmp_path / "log", {"KERAS_BACKEND": "nonsense"}) as host:
        ended = host.start("train", write_trial(tmp_path / "trial", digits)).wait(60)
        assert ended is not None
        assert ended.host_died
    told = capsys.readouterr().err.strip().splitlines()
    assert told[0] == "the training host ended with 1; its last words:"
    assert "nonsense" in told[-1]
    assert len(told) <= 1 + LAST_WORDS
    with TrainingHost(tmp_path / "log") as host:
        host.start("train", write_trial(tmp_path / "left", digits, steps=FOREVER))
        assert host.wait_ready(60)
    assert not capsys.readouterr().err, "it was told to go"


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path, digits: Path) -> None:
    path = write_trial(tmp_path / "trial", digits, steps=FOREVER)
    code = (
        "import pathlib, sys, time; from msearch_core.training.client import TrainingHost;"
        f"host = TrainingHost(pathlib.Path({str(tmp_path / 'log')!r}));"
        f"host.start('train', pathlib.Path({str(path)!r}));"
        "print(host.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=PACKAGE_ROOT)
    assert parent.stdout is not None
    host = psutil.Process(int(parent.stdout.readline()))
    wait_for(lambda: len(host.children()) == 1, 60)
    processes = [host, *host.children()]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes))


@pytest.mark.parametrize(
    ("architecture", "parameters"), [(DENSE, 64 * 32 + 32 + 32 * 10 + 10), (("wrong()",), None)], ids=["right", "wrong"]
)
def test_counting(host: TrainingHost, tmp_path: Path, digits: Path, architecture, parameters) -> None:
    asked = CountSpec(space="tabular", architecture=architecture, data=str(digits), output=str(tmp_path))
    spec.write(asked, tmp_path / "spec.json")
    assert host.start("count", tmp_path / "spec.json").wait(60)
    assert spec.read(CountResult, tmp_path / spec.RESULT).parameters == parameters


def test_the_winner_is_tested_and_takes_raw_input(host: TrainingHost, trial, tmp_path: Path, digits: Path) -> None:
    from msearch_core.data.preprocessing import to_model_inputs
    from msearch_core.training.predict import predict

    path = trial(space="image", architecture=IMAGE, hyperparameters={"dropout": 0.1})
    result = run(host, path)
    asked = spec.read(TrialSpec, path)
    output = tmp_path / "bundle"
    output.mkdir()
    told = WinnerSpec(
        **asked.model_dump(include={"uid", "space", "hyperparameters", "data"}),
        members=(Member(weights=str(path.parent / spec.WEIGHTS), architecture=asked.architecture),),
        output=str(output),
    )
    spec.write(told, output / "spec.json")
    assert host.start("winner", output / "spec.json").wait(60)
    winner = spec.read(WinnerResult, output / spec.RESULT)
    assert (winner.status, winner.error) == ("completed", None)
    assert winner.validation == pytest.approx(result.metrics)
    assert winner.test is not None

    prepared = open_prepared(digits)
    test = prepared.splits["test"]
    np.savez(tmp_path / "raw.npz", x=to_model_inputs(prepared.problem, test.x))
    table = predict(str(output), str(tmp_path / "raw.npz"))
    assert list(table.columns) == ["prediction", *(f"probability_{label}" for label in range(10))]
    assert np.mean(table["prediction"].astype(int) == test.y[TARGET]) == pytest.approx(winner.test["accuracy"])
    assert json.loads((output / spec.BUNDLE).read_text())["scores"]["test"] == winner.test


@given(st.text(max_size=500))
def test_an_error_is_one_line(message: str) -> None:
    line = spec.one_line(ValueError(message))
    assert line.startswith("ValueError")
    assert len(line.splitlines()) == 1
    assert len(line) <= 300
