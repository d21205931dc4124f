"""What a user asks for: the options of ``msearch search``, of the library and of the Prefect deployment alike."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from msearch_core.algorithms import ALGORITHMS, DEFAULT, check_options
from msearch_core.credentials import Location
from msearch_core.data.options import DataOptions, data_options
from msearch_core.errors import UserError
from msearch_core.trial_log.records import UNLIMITED_TRIALS
from msearch_core.urls import expanded, is_url

DEFAULT_TRIALS = 20
DEFAULT_MINUTES = 10.0
PositiveOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class SearchConfig(BaseModel):
    """A search as it is asked for. Unknown keys are refused, since a misspelt option must not be dropped silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data: Location = Field(
        min_length=1, description="a name, a file, a folder or your source.py:attribute; any fsspec URL"
    )
    target: str | list[str] | None = Field(None, description="the column to predict, or several")
    test: Location | None = Field(None, description="a separate source of test examples")
    group: str | None = Field(None, description="a column; rows that share its value share a split")
    task: str | list[str] | None = Field(
        None, description="classification, multilabel or regression; or target=task, where there are several"
    )
    task_weight: dict[str, PositiveOrZero] = Field(
        default_factory=dict, description="by target its share of loss and score"
    )
    weight: str | None = Field(None, description="a column of numbers: how much each example counts")
    balance: bool = Field(False, description="let all classes weigh the same, however rare they are")
    space: str | None = Field(None, description="a built-in space, module:attribute or file.py:attribute")
    trials: int | None = Field(None, ge=1, le=UNLIMITED_TRIALS, description="total number of trials; exact")
    minutes: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="total time; trials under way are still recorded"
    )
    trainers: int | None = Field(None, ge=1, le=1000, description="how many trials run at a time")
    steps: int = Field(500, ge=1, description="gradient steps a trial")
    batch_size: int = Field(64, ge=1, description="examples a step")
    max_params: int | None = Field(None, ge=1, description="upper limit of trainable parameters")
    max_flops: int | None = Field(None, ge=1, description="upper limit of floating-point operations an example")
    max_latency_ms: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="upper limit of the milliseconds that one prediction takes"
    )
    max_bytes: int | None = Field(None, ge=1, description="upper limit of the model's size in bytes")
    minimize: Literal["parameters", "flops", "latency_ms", "model_bytes"] | None = Field(
        None, description="a cost to be kept small besides the objective"
    )
    early_stopping: Literal["asha", "median", "promotion"] | None = Field(
        None,
        description="end trials early that fall behind those of all trainers; or end all early and promote the best",
    )
    ensemble_every: int | None = Field(None, ge=2, description="one trial in so many is an ensemble of earlier ones")
    ensemble_search: Literal["none", "nonadaptive", "adaptive", "residual"] | None = Field(
        None,
        description="how ensembles come about: nonadaptive (members chosen among trials, the default), adaptive or "
        "residual (a new tower is trained beside the frozen ones), or none",
    )
    combine: Literal["average", "learned"] | None = Field(
        None, description="how an ensemble weighs its members: average (the default) or learned"
    )
    distill_every: int | None = Field(None, ge=2, description="one trial in so many learns from the best one so far")
    distillation: Literal["logits", "probabilities", "cross_entropy", "balanced"] | None = Field(
        None,
        description="what a student is compared with: cross_entropy (the default), logits, probabilities, balanced",
    )
    inheritance: Literal["parent", "average", "weighted", "none"] | None = Field(
        None,
        description="whose weights a child starts from: parent (the default), the average of several trials, the same "
        "weighted by their losses, or none",
    )
    optimizer_state: Literal["fresh", "inherit"] | None = Field(
        None, description="whether a child's optimizer begins fresh (the default) or with its parent's moments"
    )
    rewarm: float | None = Field(
        None, ge=0, le=1, description="share of its steps over which a child that inherits warms its learning rate up"
    )
    log: Location | None = Field(None, description="folder of the trial database, or its gs:// or s3:// URL")
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="name of the search")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the splits, the proposals and the trials")
    algorithm: str = Field(DEFAULT, description="search algorithm")
    algorithm_options: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="parameters of the search algorithm"
    )
    objective: str | None = Field(None, description="validation metric to optimise, or your file.py:function")
    suggest: list[list[str]] = Field(default_factory=list, description="architectures to try first")
    tensorboard: Location | None = Field(
        None, description="a folder for TensorBoard's files, local or a URL that TensorFlow can write"
    )
    pool: str | None = Field(None, description="Prefect work pool for the trainers; local processes if not given")

    @field_validator("algorithm")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in ALGORITHMS:
            raise ValueError(f"there is no algorithm of that name; expected one of {', '.join(ALGORITHMS)}")
        return name

    @field_validator("tensorboard")
    @classmethod
    def _is_installed(cls, folder: str | None) -> str | None:
        if folder and find_spec("tensorboard") is None:
            raise ValueError("it needs TensorBoard; pip install 'msearch[tensorboard]'")
        return None if folder is None else absolute_folder(folder)

    @property
    def source(self) -> DataOptions:
        """What is read, and what of it means what.

        Raises:
            UserError: there is no such task, or a target is named twice.
        """
        return data_options(self.model_dump())

    @property
    def data_name(self) -> str:
        """What the data is called, in short: a name, or the last part of a path or URL, without its query."""
        path = self.data.partition("?")[0] if is_url(self.data) else self.data
        return re.sub(r"[^A-Za-z0-9_.:-]+", "-", path.rstrip("/").rpartition("/")[2]) or "data"

    @property
    def settings(self) -> dict[str, Any]:
        """How every trial is proposed and trained: the same for all runs of a log; ``None`` where nothing is asked."""
        own = {
            "steps", "batch_size", "max_params", "max_flops", "max_latency_ms", "max_bytes", "minimize",
            "early_stopping", "ensemble_every", "combine", "distill_every", "distillation", "inheritance",
            "optimizer_state", "rewarm", "ensemble_search",
        }  # fmt: skip
        return {**self.model_dump(include=own), "algorithm_options": self.algorithm_options or None}

    @property
    def budget(self) -> tuple[int, float | None]:
        """Trials and minutes: what was asked for, or 20 trials and 10 minutes where nothing was."""
        if self.trials is None and self.minutes is None:
            return DEFAULT_TRIALS, DEFAULT_MINUTES
        return self.trials or UNLIMITED_TRIALS, self.minutes


def absolute_folder(folder: str) -> str:
    """A local folder made absolute, so that it is the same one for a process that runs elsewhere; URLs stay."""
    return folder if is_url(folder) else str(expanded(folder).absolute())


def make_config(**options: Any) -> SearchConfig:
    """Validate options.

    Raises:
        UserError: the first of them that is wrong, with what was expected.
    """
    try:
        config = SearchConfig(**options)
    except ValidationError as error:
        raise wrong_option(error) from None
    check_options(config.algorithm, config.algorithm_options)
    return config


def wrong_option(error: ValidationError) -> UserError:
    """The first of the options that are wrong, with what was expected, in one line."""
    first = error.errors()[0]
    option = _flag(first["loc"][0]) if first["loc"] else "options"
    if first["type"] == "extra_forbidden":
        return unknown_option(str(first["loc"][0]), SearchConfig.model_fields)
    message = first["msg"].removeprefix("Value error, ")
    # Of an option that is missing the input is all the others, and a log's URL may hold what nobody should see.
    got = "" if first["type"] == "missing" or "credentials" in message else f" (got {_short(first['input'])})"
    return UserError(f"{option}: {message[0].lower()}{message[1:]}{got}")


def unknown_option(name: str, expected: Iterable[str]) -> UserError:
    """That there is no such option, and what may have been meant."""
    known = list(expected)
    close = difflib.get_close_matches(name, known, 1)
    meant = f"did you mean {_flag(close[0])}? Expected" if close else "expected"
    return UserError(f"unknown option {_flag(name)}; {meant} one of {', '.join(known)}")


def _flag(name: object) -> str:
    return "--" + str(name).replace("_", "-")


def _short(value: object, limit: int = 80) -> str:
    """A value as one line: a table that stands where a path should takes many."""
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[:limit] + " ..."


def parse_options(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the command line, with those that hold several values taken apart.

    Args:
        texts: the options; ``task_weight`` a list of ``TARGET=NUMBER``, ``algorithm_options`` a JSON object as text.

    Raises:
        UserError: one of the two is neither.
    """
    options = dict(texts)
    if "task_weight" in options:
        parted = [text.rpartition("=") for text in options["task_weight"]]
        wrong = next(
            (text for text, (name, _, _) in zip(options["task_weight"], parted, strict=True) if not name), None
        )
        if wrong is not None:
            raise UserError(f"--task-weight: expected TARGET=NUMBER (got {wrong!r})")
        options["task_weight"] = {name: number for name, _, number in parted}
    if "algorithm_options" in options:
        try:
            options["algorithm_options"] = json.loads(options["algorithm_options"])
        except ValueError:
            given = options["algorithm_options"]
            raise UserError(f"--algorithm-options: expected a JSON object (got {given!r})") from None
    return options


def read_config(path: Path) -> Mapping[str, Any]:
    """Read options from a TOML or JSON file.

    Raises:
        UserError: the file cannot be read or is neither.
    """
    loaded = _parse(path, "--config")
    if not isinstance(loaded, dict):
        raise UserError(f"--config: {path} holds a {type(loaded).__name__}; expected names with values")
    return {key.replace("-", "_"): value for key, value in loaded.items()}


def read_suggestions(path: Path) -> list[list[str]]:
    """Read architectures from a JSON or TOML file: a list of lists of block names, in TOML under ``architectures``.

    Raises:
        UserError: the file cannot be read or holds something else.
    """
    loaded = _parse(path, "--suggest")
    found = loaded.get("architectures") if isinstance(loaded, dict) else loaded
    if not isinstance(found, list) or not all(isinstance(each, list) for each in found):
        raise UserError(f'--suggest: {path} must hold a list of architectures, such as [["dense(units=64)"]]')
    return [[str(name) for name in architecture] for architecture in found]


def _parse(path: Path, option: str) -> Any:
    try:
        text = path.read_text()
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise UserError(f"{option}: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{option}: {path} is not valid {path.suffix.lstrip('.') or 'JSON'}: {error}") from error
