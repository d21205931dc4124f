"""Making an ensemble of earlier trials, in a process of its own: members are chosen, nothing is trained."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

from msearch_core.algorithms.ensemble_selection import Outputs, combine, fit_weights, leaders, select
from msearch_core.data.prepared import open_prepared
from msearch_core.objectives import evaluate, find_objective, loss
from msearch_core.training import checkpoints, spec
from msearch_core.training.limits import excess, together
from msearch_core.training.measure import Stopwatch
from msearch_core.training.spec import CountResult, EnsembleResult, EnsembleSpec

SMALLEST_SHARE = 0.01
"""A member with a smaller learned share is left out: it costs as much as any other."""


def run(spec_path: str) -> None:
    """Make the ensemble that an ``EnsembleSpec`` file describes and write ``result.json`` into its output folder."""
    asked = spec.read(EnsembleSpec, Path(spec_path))
    watch = Stopwatch()
    try:
        result = assemble(asked, watch)
    except Exception as error:
        print(f"ensemble {asked.uid} failed: {error!r}", file=sys.stderr)  # noqa: T201 (the trainer's log)
        result = EnsembleResult(status="failed", error=spec.one_line(error))
    spec.write(result.model_copy(update=watch.costs()), Path(asked.output) / spec.RESULT)


def assemble(asked: EnsembleSpec, watch: Stopwatch) -> EnsembleResult:
    """Choose the members and their shares on the validation split, and write the ensemble's outputs there."""
    with watch.timed("data"):
        data = open_prepared(Path(asked.data))
        problem, validation = data.problem, data.splits["validation"]
    objective = find_objective(problem, asked.objective)
    sign = 1.0 if objective.direction == "max" else -1.0

    def score(said: Outputs) -> float:
        return sign * objective.score(validation.y, said, validation.weight)

    def loss_of(said: Outputs) -> float:
        return loss(problem, validation.y, said, validation.weight)

    with watch.timed("select"):
        outputs, left_out = _usable(asked.predictions, (score, loss_of))
        if not outputs:
            return EnsembleResult(status="failed", error="none of its candidates can be used").warned(*left_out)
        said = list(outputs.values())
        costs = [asked.costs.get(uid, CountResult()) for uid in outputs]

        def rank(each: Outputs) -> tuple[float, ...]:
            return score(each), -loss_of(each)

        def allows(places: Set[int]) -> bool:
            return excess(together(costs[place] for place in places), asked.limits) is None

        if asked.combine == "average":
            shares = select(said, rank, allows=allows)
        else:
            candidates = sorted(leaders(said, rank, len(said), allows))
            found = dict(zip(candidates, fit_weights([said[each] for each in candidates], loss_of), strict=True))
            kept = [share if (share := found.get(place, 0.0)) >= SMALLEST_SHARE else 0.0 for place in range(len(said))]
            shares = tuple(share / sum(kept) for share in kept)
        mean = combine(said, shares)
    with watch.timed("evaluate"):
        result = EnsembleResult(
            status="completed",
            objective=objective.score(validation.y, mean, validation.weight),
            objective_se=objective.standard_error(validation.y, mean, validation.weight, validation.group),
            metrics=spec.finite(evaluate(problem, validation.y, mean, validation.weight)),
            steps=0,
            members={uid: share for uid, share in zip(outputs, shares, strict=True) if share},
        ).warned(*left_out)
    with watch.timed("checkpoint"):
        checkpoints.save(Path(asked.output) / spec.PREDICTIONS, mean)
    return result


def _usable(
    files: Mapping[str, str], worths: Sequence[Callable[[Outputs], float]]
) -> tuple[dict[str, Outputs], list[str]]:
    """What the candidates have said, and why some are left out: unreadable outputs, or such that are not finite.

    A score alone does not tell: the label that is not a number counts as the likeliest one.
    """
    outputs: dict[str, Outputs] = {}
    left_out = []
    for uid, path in files.items():
        try:
            said = checkpoints.load(Path(path))
            if not all(math.isfinite(worth(said)) for worth in worths):
                raise ValueError("its outputs are not finite")
        except (ValueError, KeyError) as error:
            left_out.append(f"{uid} was left out: {error}")
        else:
            outputs[uid] = said
    return outputs, left_out
