"""What a user asks for: the options of ``msearch search``, of the library and of the Prefect deployment alike."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from msearch_core.algorithms import ALGORITHMS, DEFAULT
from msearch_core.credentials import Location
from msearch_core.errors import UserError

DEFAULT_TRIALS = 20
DEFAULT_MINUTES = 10.0
UNLIMITED_TRIALS = 1_000_000
"""The number of slots where time alone ends a run."""


class SearchConfig(BaseModel):
    """A search as it is asked for. Unknown keys are refused, since a misspelt option must not be dropped silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data: Location = Field(min_length=1, description="a name, a file or a folder, local or any fsspec URL")
    target: str | None = Field(None, description="the column to predict, for a table")
    test: Location | None = Field(None, description="a separate source of test examples")
    group: str | None = Field(None, description="a column; rows that share its value share a split")
    space: str | None = Field(None, description="a built-in space, module:attribute or file.py:attribute")
    trials: int | None = Field(None, ge=1, le=UNLIMITED_TRIALS, description="total number of trials; exact")
    minutes: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="total time; trials under way are still recorded"
    )
    trainers: int | None = Field(None, ge=1, le=1000, description="how many trials run at a time")
    steps: int = Field(500, ge=1, description="gradient steps a trial")
    batch_size: int = Field(64, ge=1, description="examples a step")
    max_params: int | None = Field(None, ge=1, description="upper limit of trainable parameters")
    log: Location | None = Field(None, description="folder of the trial database, local or any fsspec URL")
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="name of the search")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the splits, the proposals and the trials")
    algorithm: str = Field(DEFAULT, description="search algorithm")
    objective: str | None = Field(None, description="validation metric to optimise")
    suggest: list[list[str]] = Field(default_factory=list, description="architectures to try first")
    pool: str | None = Field(None, description="Prefect work pool for the trainers; local processes if not given")

    @field_validator("algorithm")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in ALGORITHMS:
            raise ValueError(f"there is no algorithm of that name; expected one of {', '.join(ALGORITHMS)}")
        return name

    @property
    def budget(self) -> tuple[int, float | None]:
        """Trials and minutes: what was asked for, or 20 trials and 10 minutes where nothing was."""
        if self.trials is None and self.minutes is None:
            return DEFAULT_TRIALS, DEFAULT_MINUTES
        return self.trials or UNLIMITED_TRIALS, self.minutes


def make_config(**options: Any) -> SearchConfig:
    """Validate options.

    Raises:
        UserError: the first of them that is wrong, with what was expected.
    """
    try:
        return SearchConfig(**options)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "options"
        if first["type"] == "extra_forbidden":
            raise UserError(
                f"unknown option {option}; expected one of {', '.join(SearchConfig.model_fields)}"
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        got = "" if "credentials" in message else f" (got {first['input']!r})"
        raise UserError(f"{option}: {message[0].lower()}{message[1:]}{got}") from None


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
