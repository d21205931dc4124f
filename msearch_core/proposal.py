"""What a trial tries: an architecture, its hyperparameters and where they come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from msearch_core.distributions import Value
from msearch_core.fingerprint import digest

Architecture: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """What to try next: the output of an algorithm and the input of a trial.

    Attributes:
        architecture: names of blocks, from input to output.
        hyperparameters: by name; how the architecture is trained.
        kind: ``seed`` for a suggestion, ``search`` for an algorithm's own proposal, ``distill`` for one that learns
            from a teacher too, ``promote`` for its parent trained on to the next rung, ``ensemble`` for what is made
            of earlier trials.
        parents: uids of the trials it descends from; weights are inherited from the first, or by `shares`. For an
            ensemble, those to choose its members from.
        mutation: how it differs from its parent, for a person to read.
        algorithm: the name of the algorithm that made it.
        teacher: uid of the trial or ensemble whose outputs are learned from beside the labels.
        base: of an ensemble that has an architecture, uid of the trial or ensemble that stays as it is while a tower
            of that architecture is trained beside it.
        shares: by uid of those parents whose weights are averaged how much each counts; they sum to one. Empty where
            the first parent's alone are inherited.
    """

    architecture: Architecture
    hyperparameters: Mapping[str, Value] = field(default_factory=dict)
    kind: str = "search"
    parents: tuple[str, ...] = ()
    mutation: Mapping[str, Any] | None = None
    algorithm: str | None = None
    teacher: str | None = None
    base: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Proposal:
        """The proposal back from ``dataclasses.asdict`` by way of JSON."""
        lists = {name: tuple(record.get(name) or ()) for name in ("architecture", "parents")}
        return cls(**{**record, **lists})

    @cached_property
    def key(self) -> str:
        """A hash of what is tried; two proposals with one key would be the same trial."""
        others = [each for each in (self.teacher, self.base) if each]
        return digest([self.kind, self.architecture, dict(sorted(self.hyperparameters.items())), self.parents, *others])


def architecture_hash(architecture: Sequence[str]) -> str:
    """Sixteen hexadecimal digits that name an architecture."""
    return digest(list(architecture))


def described_proposal(record: Mapping[str, Any]) -> str:
    """A proposal, as it stands in a claim, on one line; what an ensemble is chosen from or grows from stands for it."""
    architecture, base = record["architecture"], record.get("base")
    return described(architecture, [base] if base else () if architecture else record["parents"])


def described(architecture: Sequence[str], members: Collection[str] = ()) -> str:
    """An architecture on one line, or the trials that an ensemble is made of, with the tower that it grew by."""
    together = f"ensemble of {', '.join(members)}"
    if not architecture:
        return together
    blocks = " > ".join(architecture)
    return f"{blocks} in an {together}" if members else blocks
