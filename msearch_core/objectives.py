"""What a search can optimise: scores of a problem with one target or several, by name.

Targets ``y`` and outputs are mappings by target name. Outputs are probabilities ``float32 (examples, classes)`` for a
classification and ``float32 (examples, labels)`` for several labels, and numbers ``float32 (examples,)`` in the
target's own unit for a regression; with a target for each step there is a time axis after the first, and only an
example's own steps are scored.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from msearch_core.data.problem import Problem, Target, Task
from msearch_core.errors import UserError
from msearch_core.fingerprint import digest, source
from msearch_core.loading import load_code
from msearch_core.metrics import METRICS, Direction, Metric

Arrays: TypeAlias = Mapping[str, np.ndarray]
JACKKNIFE_GROUPS = 50
MEAN_SCORE = "mean_score"
LOSS = "loss"


@dataclass(frozen=True)
class Objective:
    """A score of a problem that a search can optimise.

    Attributes:
        name: what it is called.
        direction: whether more or less is better.
        function: ``function(y, outputs, weight)`` of arrays by target; ``weight`` may be ``None``.
        fingerprint: names what a function of the user's own computes; empty for a built-in score.
    """

    name: str
    direction: Direction
    function: Callable[[Arrays, Arrays, np.ndarray | None], float]
    fingerprint: str = ""

    def score(self, y: Arrays, outputs: Arrays, weight: np.ndarray | None = None) -> float:
        """The score.

        Args:
            y: the targets by name, as in a `msearch_core.data.problem.Split`.
            outputs: by name, what a model says.
            weight: ``float32 (examples,)``, how much each example counts.
        """
        return float(self.function(y, outputs, weight))

    def standard_error(
        self, y: Arrays, outputs: Arrays, weight: np.ndarray | None = None, group: np.ndarray | None = None
    ) -> float:
        """How far the score may be off because the examples are but a sample.

        The grouped jackknife (Quenouille 1949, Tukey 1958), so that it holds for any score: leave out one of at most
        fifty parts of the examples at a time and see how the score varies. NaN where all weight is in one part.

        Args:
            y: as for `score`.
            outputs: as for `score`.
            weight: as for `score`.
            group: ``int (examples,)``, which examples belong together; these are drawn, and left out, together.
        """
        drawn = np.arange(len(next(iter(y.values())))) if group is None else np.unique(group, return_inverse=True)[1]
        count = int(drawn.max(initial=-1)) + 1
        parts = min(JACKKNIFE_GROUPS, count)
        if parts < 2:
            return math.nan
        member = (np.random.default_rng(0).permutation(count) % parts)[drawn]
        scores = []
        for part in range(parts):
            kept = member != part
            rest = None if weight is None else weight[kept]
            if rest is not None and not rest.any():
                return math.nan
            scores.append(self.score(_kept(y, kept), _kept(outputs, kept), rest))
        return float(np.sqrt((parts - 1) * np.var(scores)))


def _kept(arrays: Arrays, rows: np.ndarray) -> Arrays:
    return {name: values[rows] for name, values in arrays.items()}


DEFAULT: Mapping[Task, str] = {"classification": "accuracy", "multilabel": "f1_micro", "regression": "rmse"}
SHARE: Mapping[Task, str] = {"classification": "accuracy", "multilabel": "f1_micro", "regression": "r2"}
"""What each target adds to the mean score of several: numbers without a unit, of which 1 is the best."""


def find_objective(problem: Problem, name: str | None = None) -> Objective:
    """The objective of that name, or the problem's usual one.

    Args:
        problem: what is to be predicted.
        name: one of the metrics of the task; with several targets ``<target>/<metric>`` or ``mean_score``, the mean of
            the accuracy, micro-averaged F1 or R2 of each target by the targets' weights; or a function of the user's
            own, ``file.py:function`` or ``module:function``. It is called with ``(y, outputs)``, arrays if there is one
            target and mappings by target else; more is better unless it has an attribute ``direction = "min"``.

    Raises:
        UserError: there is no such objective, or it does not go with the task.
    """
    named = _objectives(problem)
    if name is None:
        return named[DEFAULT[problem.targets[0].task] if len(problem.targets) == 1 else MEAN_SCORE]
    if ":" in name and name not in named:
        return _users_own(problem, name)
    if name not in named:
        what = problem.targets[0].task if len(problem.targets) == 1 else "search for several targets"
        raise UserError(
            f"{name!r} is no objective of a {what}; expected one of {', '.join(named)}, or file.py:function"
        )
    return named[name]


def evaluate(problem: Problem, y: Arrays, outputs: Arrays, weight: np.ndarray | None = None) -> dict[str, float]:
    """Every score of the problem by name, as `find_objective` takes it; with several targets also their joint loss.

    Args:
        problem: what is to be predicted.
        y: as for `Objective.score`.
        outputs: as for `Objective.score`.
        weight: as for `Objective.score`.
    """
    scores = {name: each.score(y, outputs, weight) for name, each in _objectives(problem).items()}
    return scores if len(problem.targets) == 1 else {**scores, LOSS: loss(problem, y, outputs, weight)}


def loss(problem: Problem, y: Arrays, outputs: Arrays, weight: np.ndarray | None = None) -> float:
    """What tells equal scores apart: the mean, by the targets' weights, of log loss and of RMSE in standard deviations.

    Args:
        problem: what is to be predicted.
        y: as for `Objective.score`.
        outputs: as for `Objective.score`.
        weight: as for `Objective.score`.
    """
    losses = []
    for target in problem.targets:
        metric = METRICS[target.task]["rmse" if target.task == "regression" else "log_loss"]
        losses.append(metric.of(target, y[target.name], outputs[target.name], weight) / target.scale)
    return _mean(problem, losses)


def _objectives(problem: Problem) -> dict[str, Objective]:
    alone = len(problem.targets) == 1
    found: dict[str, Objective] = {} if alone else {MEAN_SCORE: Objective(MEAN_SCORE, "max", _mean_score(problem))}
    for target in problem.targets:
        for metric in METRICS[target.task].values():
            name = metric.name if alone else f"{target.name}/{metric.name}"
            found[name] = Objective(name, metric.direction, _of_target(target, metric))
    return found


def _of_target(target: Target, metric: Metric) -> Callable[[Arrays, Arrays, np.ndarray | None], float]:
    return lambda y, outputs, weight: metric.of(target, y[target.name], outputs[target.name], weight)


def _mean_score(problem: Problem) -> Callable[[Arrays, Arrays, np.ndarray | None], float]:
    def score(y: Arrays, outputs: Arrays, weight: np.ndarray | None) -> float:
        shares = [METRICS[target.task][SHARE[target.task]] for target in problem.targets]
        pairs = zip(problem.targets, shares, strict=True)
        return _mean(problem, [share.of(each, y[each.name], outputs[each.name], weight) for each, share in pairs])

    return score


def _mean(problem: Problem, values: list[float]) -> float:
    return float(np.average(values, weights=[target.weight for target in problem.targets]))


def _users_own(problem: Problem, name: str) -> Objective:
    function = load_code(name, "objective", "an objective")
    direction: Any = getattr(function, "direction", "max")
    if not callable(function) or direction not in ("max", "min"):
        raise UserError(f"{name!r} is no objective; expected a function (y, outputs) with direction 'max' or 'min'")
    own: Any = function
    only = problem.targets[0].name if len(problem.targets) == 1 else None

    def score(y: Arrays, outputs: Arrays, weight: np.ndarray | None) -> float:
        del weight
        return float(own(y, outputs) if only is None else own(y[only], outputs[only]))

    return Objective(name, direction, score, digest(source(own)) if inspect.isfunction(own) else "")
