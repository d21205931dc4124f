"""Search algorithms: pure functions ``propose(history, pending, space, rng, **options) -> Proposal``.

None of them does I/O, holds state between calls or imports TensorFlow, so a decision can be replayed anywhere from
the history it saw and the generator's seed. Their keyword-only arguments are options that a user may set.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msearch_core.algorithms import (
    constrained_coordinate_descent,
    coordinate_descent,
    harmonica,
    linear_model,
    local_search,
    random_search,
    regularized_evolution,
    surrogate,
    tpe,
)
from msearch_core.errors import UserError
from msearch_core.space import Proposal

Algorithm = Callable[..., Proposal]
"""``propose(history: Sequence[Outcome], pending: Sequence[Proposal], space: SearchSpace, rng: np.random.Generator)``"""

ALGORITHMS: Mapping[str, Algorithm] = {
    "coordinate_descent": coordinate_descent.propose,
    "constrained_coordinate_descent": constrained_coordinate_descent.propose,
    "harmonica": harmonica.propose,
    "linear_model": linear_model.propose,
    "local_search": local_search.propose,
    "random": random_search.propose,
    "regularized_evolution": regularized_evolution.propose,
    "surrogate": surrogate.propose,
    "tpe": tpe.propose,
}
DEFAULT = "coordinate_descent"
_MORE_THAN = {"growth": 1}
"""What an option that is neither a share nor a whole number must be more than, where that is not nothing."""


def default_options(name: str) -> dict[str, int | float]:
    """The options of an algorithm with their defaults."""
    parameters = inspect.signature(ALGORITHMS[name]).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuse options that an algorithm does not have.

    Raises:
        UserError: the algorithm or an option is unknown, or a value is not a number that makes sense.
    """
    if name not in ALGORITHMS:
        raise UserError(f"--algorithm: there is no {name!r}; expected one of {', '.join(ALGORITHMS)}")
    known = default_options(name)
    for option, value in options.items():
        if option not in known:
            expected = ", ".join(known) or "none at all"
            raise UserError(f"--algorithm-options: {name} has no option {option!r}; expected one of {expected}")
        whole = isinstance(known[option], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not math.isfinite(value):
            kind = "a whole number" if whole else "a number"
            raise UserError(f"--algorithm-options: {option} must be {kind} such as {known[option]}, not {value!r}")
        if option.endswith(("_probability", "_share")):
            fits, bounds = 0 <= value <= 1, "between 0 and 1"
        elif whole:
            fits, bounds = value >= 1, "at least 1"
        else:
            fits, bounds = value > _MORE_THAN.get(option, 0), f"more than {_MORE_THAN.get(option, 0)}"
        if not fits:
            raise UserError(f"--algorithm-options: {option} must be {bounds}, not {value}")


def algorithm(name: str, options: Mapping[str, Any] | None = None) -> Algorithm:
    """An algorithm with a user's options.

    Raises:
        UserError: see ``check_options``.
    """
    check_options(name, options or {})
    return partial(ALGORITHMS[name], **(options or {}))
