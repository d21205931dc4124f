"""What an architecture may cost: limits of a search, and of a trainer, that are checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msearch_core.algorithms.history import COSTS, Outcome
from msearch_core.training.spec import CountResult

LIMITS = {
    "max_params": ("parameters", "{:,} parameters"),
    "max_flops": ("flops", "{:,} FLOPs an example"),
    "max_latency_ms": ("latency_ms", "{:,.3g} ms a prediction"),
    "max_bytes": ("model_bytes", "{:,} bytes"),
}
"""By setting: the cost that it limits, and how an amount of it is said."""


def limits_of(settings: Mapping[str, Any]) -> dict[str, float]:
    """The limits that a search has set, by setting."""
    return {setting: settings[setting] for setting in LIMITS if settings.get(setting) is not None}


def together(costs: Iterable[CountResult | Outcome]) -> CountResult:
    """What several models cost where each of them is asked; what is not known of one counts as nothing."""
    models = list(costs)
    return CountResult(**{cost: sum(getattr(each, cost) or 0 for each in models) for cost in COSTS})


def excess(cost: CountResult, allowed: Mapping[str, float]) -> str | None:
    """Say which limit an architecture breaks, such as ``1,234 parameters, 1,000 are allowed``; ``None`` if none.

    Args:
        cost: what the architecture costs; what is not known breaks no limit.
        allowed: as ``limits`` gives them.
    """
    for setting, limit in allowed.items():
        name, said = LIMITS[setting]
        amount = getattr(cost, name)
        if amount is not None and amount > limit:
            return f"{said.format(amount)}, {limit:,} are allowed"
    return None


@dataclass(frozen=True)
class Limits:
    """Which models a trainer takes, by their trainable parameters. Other trainers of the search take the others.

    Attributes:
        min_params: the fewest, ``None`` for any.
        max_params: the most, ``None`` for any.
    """

    min_params: int | None = None
    max_params: int | None = None

    def takes(self, parameters: int | None) -> bool:
        """Whether a model of so many parameters is for this trainer; one that nobody can count is for everyone."""
        if parameters is None:
            return True
        return (self.min_params or 0) <= parameters and (self.max_params is None or parameters <= self.max_params)


NO_LIMITS = Limits()
