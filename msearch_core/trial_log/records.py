"""The small JSON records beside the trials: the search, its runs, early ends and winners."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from msearch_core.errors import UserError
from msearch_core.trial import dumps
from msearch_core.trial_log.store import Store

UNLIMITED_TRIALS = 1_000_000
"""The number of slots where time alone ends a run."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A frozen dataclass that is stored as one JSON object. Keys of a later version are ignored when read."""

    def to_bytes(self) -> bytes:
        """The record as JSON."""
        return dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The record back.

        Raises:
            ValueError: the bytes are not a JSON object with the keys needed.
        """
        known = {each.name for each in dataclasses.fields(cls)}
        loaded = json.loads(data)
        if not isinstance(loaded, dict):
            raise ValueError(f"expected a JSON object for a {cls.__name__}")
        try:
            return cls(**{key: value for key, value in loaded.items() if key in known})
        except TypeError as error:
            raise ValueError(f"not a {cls.__name__}: {error}") from error

    @classmethod
    def read(cls, store: Store, name: str) -> Self:
        """The record in one of the log's files.

        Raises:
            FileNotFoundError: there is no such file.
            UserError: it holds something else.
        """
        try:
            return cls.from_bytes(store.read(name))
        except ValueError as error:
            raise UserError(
                f"{store.url}/{name} cannot be read ({error}); expected a {cls.__name__} in JSON; "
                "restore the file or move it out of the log"
            ) from error


@dataclass(frozen=True, kw_only=True)
class SearchRecord(Record):
    """What is fixed for a log's life.

    Attributes:
        id: a random name of this search.
        name: what the user calls it.
        space: import name of the search space.
        space_fingerprint: hash of what the space means.
        objective: the validation metric that is optimised.
        direction: ``max`` or ``min``.
        algorithm: name of the search algorithm.
        seed: seed of every proposal and trial.
        split_seed: seed of the split.
        task: ``classification`` or ``regression``.
        settings: how every trial is trained: steps, batch size, limits.
        versions: packages at the time of creation.
        objective_fingerprint: hash of what an objective of the user's own computes; empty for a built-in one.
    """

    id: str
    name: str
    space: str
    space_fingerprint: str
    objective: str
    direction: str
    algorithm: str
    seed: int
    split_seed: int
    task: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    objective_fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class RunRecord(Record):
    """A budget on one state of the data. Its extensions are further records of the same run.

    Attributes:
        run: the run's name, such as ``0001``.
        extension: 1 for the first budget, then counting.
        trials: the total number of slots.
        minutes: the total time that searching may take, ``None`` for no limit.
        data: where the data is, with target, group and test source.
        data_fingerprint: hash of the data's content.
        moved: rows that were put in another split than their hash says, so that each class is everywhere.
        suggestions: architectures to try in the first slots.
    """

    run: str
    extension: int
    trials: int
    minutes: float | None
    data: Mapping[str, Any]
    data_fingerprint: str
    moved: Mapping[str, str] = field(default_factory=dict)
    suggestions: Sequence[Sequence[str]] = ()

    @property
    def is_open_ended(self) -> bool:
        """Whether time alone ends the run."""
        return self.trials >= UNLIMITED_TRIALS

    @property
    def budget(self) -> str:
        """What ends the run, such as ``20 trials or 10 minutes``."""
        trials = [] if self.is_open_ended else [f"{self.trials:,} trials"]
        return " or ".join([*trials, *([] if self.minutes is None else [f"{self.minutes:g} minutes"])])

    def counted(self, done: int) -> str:
        """So many trials of the run, such as ``5 of 20 trials``."""
        return f"{done:,} trials" if self.is_open_ended else f"{done:,} of {self.trials:,} trials"


@dataclass(frozen=True, kw_only=True)
class StopRecord(Record):
    """Ends one budget of a run early.

    Attributes:
        reason: one line.
        minutes: how long the search had been at it, where time was the reason.
    """

    reason: str
    minutes: float | None = None


@dataclass(frozen=True, kw_only=True)
class WinnerRecord(Record):
    """The best trial when a run ended.

    Attributes:
        run: the run that ended.
        trials: how many of its trials were on record then.
        uid: the winning trial.
        model: URL of the bundle that holds the finished model.
        validation: metrics by name.
        test: metrics by name.
        test_openings: how often the test split had been scored in this log, this time included.
        answers: what it gets right and wrong on the validation split, by target (`msearch_core.answers`).
        dropped: the columns of the data that it does not look at, each with the reason.
    """

    run: str
    trials: int
    uid: str
    model: str
    validation: Mapping[str, float]
    test: Mapping[str, float]
    test_openings: int
    answers: Mapping[str, Any] = field(default_factory=dict)
    dropped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainersRecord(Record):
    """How many trainers a run is to have from now on.

    Attributes:
        trainers: their number.
    """

    trainers: int


@dataclass(frozen=True, kw_only=True)
class ProductionRecord(Record):
    """What is in use from now on.

    Attributes:
        uid: the trial whose model it is.
        run: the run that the trial belongs to.
        reason: why, in one line.
        validation: metrics by name, on the data at the time.
    """

    uid: str
    run: str
    reason: str
    validation: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RefreshRecord(Record):
    """What a look at the data that found something new came to.

    Attributes:
        manifest: fingerprint of the data's files.
        data_fingerprint: fingerprint of the data's examples.
        run: the run on them.
        rescored: the scores of earlier trials on the new validation data, by uid; ``None`` where they have none.
        promoted: the trial that went into use, or ``None``.
        reason: why it did or did not, in one line.
        test: fresh test metrics of the model that was in use before (``before``) and of the run's winner (``winner``).
            They are reported, and decide nothing.
    """

    manifest: str
    data_fingerprint: str
    run: str
    rescored: Mapping[str, float | None] = field(default_factory=dict)
    promoted: str | None = None
    reason: str = ""
    test: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
