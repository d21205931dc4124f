"""What an architecture may cost: limits that are checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msearch_core.training.spec import CountResult

LIMITS = {
    "max_params": ("parameters", "{:,} parameters"),
    "max_flops": ("flops", "{:,} FLOPs an example"),
    "max_latency_ms": ("latency_ms", "{:,.3g} ms a prediction"),
    "max_bytes": ("model_bytes", "{:,} bytes"),
}
"""By setting: the cost that it limits, and how an amount of it is said."""


def limits(settings: Mapping[str, Any]) -> dict[str, float]:
    """The limits that a search has set, by setting."""
    return {setting: settings[setting] for setting in LIMITS if settings.get(setting) is not None}


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
