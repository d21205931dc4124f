"""The proof that an exported model says what it said in the search: asked again in a fresh process, and scored."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from msearch_core.data.problem import Problem, Split, Target
from msearch_core.errors import UserError
from msearch_core.exporting import answer
from msearch_core.exporting.about import prefixes
from msearch_core.exporting.bundle.encode import LIKELY
from msearch_core.objectives import Objective

TOLERANCE = 1e-3
"""How far a score may be from the recorded one, and what the model says, on the average, from what it said; of numbers
that have a unit in shares of them."""


def ask(
    bundle: Path,
    formats: Sequence[str],
    inputs: Path,
    outputs: Path,
    modules: Mapping[str, str] | None = None,
    python: Sequence[str] = (sys.executable, "-I"),
) -> None:
    """Let a fresh process load the bundle from disk and answer.

    Args:
        bundle: the folder.
        formats: which of its models.
        inputs: a folder of parts, as `msearch_core.exporting.raw.write_parts` leaves it.
        outputs: a folder for the answers; made if it does not exist.
        modules: files by module name that have layers of the user's own.
        python: the interpreter; by default this one, isolated from environment variables and the working folder.

    Raises:
        UserError: a model cannot be loaded there.
    """
    outputs.mkdir(parents=True, exist_ok=True)
    asked = {
        "bundle": str(bundle),
        "formats": list(formats),
        "inputs": str(inputs),
        "outputs": str(outputs),
        "modules": dict(modules or {}),
    }
    interpreter = [each for each in python if each != "-I"] if modules else list(python)
    # The bundle's modules are handed out without their compiled form.
    command = [*python[:1], "-B", *interpreter[1:], str(answer.__file__), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"it ended with {done.returncode}"]
        raise UserError(
            f"the exported model cannot be used by a fresh process: {lines[-1].strip()[:300]}; try another --format"
        )


def read_answers(problem: Problem, format_name: str, outputs: Path) -> dict[str, np.ndarray]:
    """What a format's model said, as an objective takes it.

    Args:
        problem: the targets.
        format_name: of the model.
        outputs: where `ask` has left the answers.

    Raises:
        UserError: the labels are not those of the likeliest outputs.
    """
    parts = []
    for path in sorted(outputs.glob(f"{format_name}-*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            parts.append(dict(arrays))
    said = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = {}
    for prefix, target in zip(prefixes(problem.targets), problem.targets, strict=True):
        found[target.name] = said[f"{prefix}{'probabilities' if target.labels else 'value'}"].astype(np.float32)
        if not _labels_agree(target, prefix, said):
            raise UserError(f"the exported {format_name} model gives {target.name!r} other labels than are likely")
    return found


def check_score(
    objective: Objective,
    problem: Problem,
    split: Split,
    said: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    recorded: float | None,
) -> float:
    """Score what an exported model said.

    Args:
        objective: of the search.
        problem: the targets.
        split: what it was asked about.
        said: by target, what it said.
        expected: what the model in the log says now.
        recorded: the score in the log; ``None`` where that was on other data.

    Returns:
        The score.

    Raises:
        UserError: it is another one, or the model says something else.
    """
    score = objective.score(split.y, said, split.weight)
    wanted = objective.score(split.y, expected, split.weight) if recorded is None else recorded
    unit = max(1.0, abs(wanted))
    if not abs(score - wanted) <= TOLERANCE * unit:
        raise UserError(f"its {objective.name} is {score:.6g} and was {wanted:.6g} in the search; nothing was exported")
    for target in problem.targets:
        off = np.abs(said[target.name].astype(np.float64) - expected[target.name])
        mean = float(np.mean(off[target.true_steps(split.y[target.name])] if target.per_step else off))
        if not mean <= TOLERANCE * target.scale:
            raise UserError(f"it answers {target.name!r} otherwise, by {mean:.2g} on the average; nothing was exported")
    return score


def _labels_agree(target: Target, prefix: str, said: Mapping[str, np.ndarray]) -> bool:
    labels = np.array(target.labels, str)
    likely = said.get(f"{prefix}probabilities")
    if target.task == "classification" and likely is not None:
        number = likely.argmax(axis=-1)
        if f"{prefix}class" in said:
            return bool(np.array_equal(said[f"{prefix}class"], number))
        return bool(np.array_equal(said[f"{prefix}label"], labels[number]))
    if target.task == "multilabel" and likely is not None and f"{prefix}labels" in said:
        return bool(np.array_equal(said[f"{prefix}labels"], np.where(likely >= LIKELY, labels, "")))
    return True
