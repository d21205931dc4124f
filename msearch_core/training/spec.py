"""What a training process is told and what it answers: JSON files, validated at both ends. Free of TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from msearch_core.algorithms.early_stopping import EVALUATIONS
from msearch_core.space import Value

RESULT = "result.json"
PROGRESS = "progress.json"
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.safetensors"
CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.keras"
BUNDLE = "bundle.json"
CONDITIONS = ("steps", "threads", "in_memory_mb")
"""Fields of a `TrialSpec` that a result depends on and that are no columns of the row: they go into its ``extra``."""

Status = Literal["completed", "stopped", "diverged", "oom", "failed", "infeasible", "preempted"]
Model = TypeVar("Model", bound=BaseModel)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parent(_Record):
    """Whose weights a trial starts from.

    Attributes:
        weights: a local safetensors file.
        architecture: the blocks it was trained with.
        share: how much it counts where several are averaged.
    """

    weights: str
    architecture: tuple[str, ...]
    share: float = Field(default=1.0, ge=0)


class Member(_Record):
    """One trained model of an ensemble, or a model by itself, whose share is 1.

    Attributes:
        weights: a local safetensors file.
        architecture: the blocks it was trained with.
        share: its weight in the mean or the sum.
        adds: what of the members is added up: what they say in the end, or logits.
    """

    weights: str
    architecture: tuple[str, ...]
    share: float = 1.0
    adds: Literal["outputs", "logits"] = "outputs"


class Teacher(_Record):
    """Who a student learns from, beside the labels.

    Attributes:
        members: the teacher's models.
        outputs: a local file for what it says of the train split; made by whoever needs it first.
        method: how the student is compared with it (`msearch_core.training.distillation`).
    """

    members: tuple[Member, ...]
    outputs: str
    method: Literal["logits", "probabilities", "cross_entropy", "balanced"]


class Base(_Record):
    """The frozen models beside which a tower is trained.

    Attributes:
        members: the models.
        outputs: a local file for what they say of the train and validation splits; made by whoever needs it first.
        growth: how the tower begins and whether the weights of the sum are learned (`msearch_core.training.growing`).
    """

    members: tuple[Member, ...]
    outputs: str
    growth: Literal["adaptive", "residual"]


class TrialSpec(_Record):
    """One trial, with local paths throughout.

    Attributes:
        space: as ``msearch_core.loading.load_space`` takes it.
        steps: gradient steps of a whole training, those before ``resume`` and ``trained_on`` included.
        evaluations: how many of a whole training's evaluations the trial comes to; it ends then.
        data: a folder of prepared data.
        others: those with whose weights the parent's are averaged.
        optimizer_state: whether the optimizer's moments are inherited too, and kept for the trial's own children.
        rewarm: the share of the steps over which a trial that inherits warms its learning rate up.
        trained_on: the checkpoint with which the parent ended; the trial goes on from there.
        resume: a checkpoint that an earlier attempt at this trial left.
        threads: how many cores TensorFlow may use.
        time_limit_seconds: training stops then and is evaluated.
        stop_at: training stops after so many steps, as if it had been told to, and is evaluated.
        checkpoint_seconds: how often a checkpoint is written.
        in_memory_mb: a train split whose inputs take more is read in pieces while it trains.
        tensorboard: a folder, local or a URL that TensorFlow can write, for TensorBoard's files.
        output: an existing folder for the trial's files; ``result.json`` is the last of them.
    """

    uid: str
    space: str
    architecture: tuple[str, ...]
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    seed: int = Field(ge=0)
    steps: int = Field(ge=1)
    evaluations: int = Field(default=EVALUATIONS, ge=1, le=EVALUATIONS)
    batch_size: int = Field(ge=1)
    data: str
    objective: str
    parent: Parent | None = None
    others: tuple[Parent, ...] = ()
    optimizer_state: Literal["fresh", "inherit"] = "fresh"
    rewarm: float = Field(default=0.0, ge=0, le=1)
    trained_on: str | None = None
    teacher: Teacher | None = None
    base: Base | None = None
    resume: str | None = None
    threads: int = Field(default=1, ge=1)
    time_limit_seconds: float | None = None
    stop_at: int | None = Field(default=None, ge=0)
    checkpoint_seconds: float = 30.0
    in_memory_mb: float = 1024.0
    tensorboard: str | None = None
    output: str


class ProgressRecord(_Record):
    """How far a trial under way has come: its curve so far and what its model costs."""

    curve: tuple[float, ...]
    parameters: int
    flops: int


class TrialResult(_Record):
    """What came of a trial; the names are those of the trial database's row.

    ``preempted`` alone is no row's status: the trial left ``checkpoint.safetensors`` for its next attempt.
    ``mixture`` is no column: by what the logits of frozen models and those of the tower trained beside them count.
    """

    status: Status
    error: str | None = None
    objective: float | None = None
    objective_se: float | None = None
    metrics: dict[str, float] | None = None
    curve: tuple[float, ...] | None = None
    steps: int | None = None
    parameters: int | None = None
    model_bytes: int | None = None
    flops: int | None = None
    latency_ms: float | None = None
    train_seconds: float | None = None
    wall_seconds: float | None = None
    timings: dict[str, float] | None = None
    peak_mb: float | None = None
    inherited_fraction: float | None = None
    inheritance: dict[str, Literal["copied", "morphed", "fresh"]] | None = None
    extra: dict[str, Any] | None = None
    mixture: tuple[float, float] | None = None

    def warned(self, *lines: str) -> Self:
        """The same with further lines under ``warnings`` in ``extra``: what was amiss and did not end the trial."""
        if not lines:
            return self
        extra = self.extra or {}
        return self.model_copy(update={"extra": {**extra, "warnings": [*extra.get("warnings", ()), *lines]}})


class CountSpec(_Record):
    """An architecture whose costs are to be counted; its latency only if it is to be ``timed``."""

    space: str
    architecture: tuple[str, ...]
    timed: bool = False
    data: str
    threads: int = Field(default=1, ge=1)
    output: str


class CountResult(_Record):
    """What the architecture costs; ``None`` where it cannot be built, or was not asked."""

    parameters: int | None = None
    flops: int | None = None
    model_bytes: int | None = None
    latency_ms: float | None = None


class EnsembleSpec(_Record):
    """An ensemble to be made of earlier trials.

    Attributes:
        predictions: by uid of each candidate a local file of its validation outputs.
        costs: by uid of each candidate what it costs.
        limits: what the members may cost together, by setting.
        combine: ``average`` of members chosen greedily, or ``learned`` weights of all.
    """

    uid: str
    predictions: dict[str, str]
    costs: dict[str, CountResult] = Field(default_factory=dict)
    limits: dict[str, float] = Field(default_factory=dict)
    combine: Literal["average", "learned"]
    data: str
    objective: str
    threads: int = Field(default=1, ge=1)
    output: str


class EnsembleResult(TrialResult):
    """What came of an ensemble.

    Attributes:
        members: by uid the shares of the trials that are in it, which sum to one.
    """

    members: dict[str, float] = Field(default_factory=dict)


class WinnerSpec(_Record):
    """The model, or the ensemble of several, to test and to make ready for use.

    Attributes:
        objective: that of the search, which may be the user's own; the problem's usual one if not given.
    """

    uid: str
    space: str
    objective: str | None = None
    members: tuple[Member, ...]
    hyperparameters: dict[str, Value] = Field(default_factory=dict)
    data: str
    threads: int = Field(default=1, ge=1)
    output: str


class WinnerResult(_Record):
    """Metrics by name on the validation and the test split, or why there are none.

    Attributes:
        answers: what the model gets right and wrong on the validation split (`msearch_core.answers`).
    """

    status: Literal["completed", "failed"]
    error: str | None = None
    validation: dict[str, float] | None = None
    test: dict[str, float] | None = None
    answers: dict[str, Any] | None = None


class ExportSpec(_Record):
    """The model, or the ensemble of several, to write in some formats.

    Attributes:
        formats: those of `msearch_core.exporting.bundle.predict.FILES`.
        bundle: an existing folder for the files.
        output: an existing folder for ``result.json`` and for what the model says of the validation split.
    """

    uid: str
    space: str
    members: tuple[Member, ...]
    data: str
    formats: tuple[str, ...]
    bundle: str
    threads: int = Field(default=1, ge=1)
    output: str


class ExportResult(_Record):
    """What came of an export.

    Attributes:
        own_layers: the layers that Keras does not have, by name, each with its module and the module's file.
    """

    status: Literal["completed", "failed"]
    error: str | None = None
    own_layers: dict[str, tuple[str, str]] = Field(default_factory=dict)


class ScoreSpec(_Record):
    """Models that were trained before, to be scored on other data.

    Attributes:
        models: the members of each, one alone where it is no ensemble.
        data: a folder of prepared data, encoded as the models know it.
        splits: which sides of it.
    """

    space: str
    objective: str
    models: tuple[tuple[Member, ...], ...]
    data: str
    splits: tuple[Literal["validation", "test"], ...]
    threads: int = Field(default=1, ge=1)
    output: str


class Score(_Record):
    """One model's scores, by split, or why it has none."""

    error: str | None = None
    objective: dict[str, float] = Field(default_factory=dict)
    objective_se: dict[str, float] = Field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)


class ScoreResult(_Record):
    """The scores of the models, in the order asked."""

    scores: tuple[Score, ...]


def write(record: BaseModel, path: Path) -> None:
    """Write a spec or a result as JSON, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(record.model_dump_json(indent=1))
    temporary.replace(path)


def read(kind: type[Model], path: Path) -> Model:
    """Read a spec or a result.

    Raises:
        pydantic.ValidationError: the file holds something else.
        OSError: there is no such file.
    """
    return kind.model_validate_json(path.read_bytes())


def read_result(output: Path, signal: int | None = None) -> TrialResult:
    """What came of a trial whose process has ended, also where it could not say so itself.

    Args:
        output: the trial's output folder.
        signal: what killed the process, if something did. Without a result, SIGKILL is taken for the system's
            answer to a lack of memory: a trainer that killed the process itself knows better.
    """
    if (output / RESULT).exists():
        return read(TrialResult, output / RESULT)
    if signal == 9:
        return TrialResult(status="oom", error="the training process was killed, most likely for lack of memory")
    how = f"was ended by signal {signal}" if signal else "ended without a result"
    return TrialResult(status="failed", error=f"the training process {how}")


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """The entries whose value is a finite number: JSON knows no others."""
    return {name: value for name, value in values.items() if abs(value) < float("inf")}


def one_line(error: BaseException, limit: int = 300) -> str:
    """An exception as one line: its type and the first line of its message."""
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {message}"[:limit].rstrip(": ")
