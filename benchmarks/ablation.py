"""What each way to learn from earlier trials is worth, all else equal: ``python -m benchmarks.ablation``.

Each arm is the same search with one thing changed. ``plain`` is the default: children inherit, and that is all. What
promotions save in steps may be spent on more trials, so one arm has 2.4 times as many, for at most 0.4 of the steps.
Told are the winner's test score, the gradient steps that the search took, and for the arms that make them the test
score of the best ensemble beside its best member's, and of the best student beside its teacher's. The test split is
opened for all of these, which a search never does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.inheritance import COLD
from benchmarks.searches import Problem, Searches, history_of, in_order, mean_error, problems, searches
from msearch_core.algorithms.history import Outcome, best

ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cold": COLD,
    "random": {"algorithm": "random"},
    "asha": {"early_stopping": "asha"},
    "median": {"early_stopping": "median"},
    "promotion": {"early_stopping": "promotion"},
    "promotion of more": {"early_stopping": "promotion", "trials": 2.4},
    "ensembles": {"ensemble_every": 6},
    "students": {"distill_every": 6},
    "both": {"ensemble_every": 6, "distill_every": 6},
}


def measure(run: Searches, name: str, problem: Problem, arm: str, seed: int) -> dict[str, Any]:
    """Run one search and open the test split for what it has found."""
    key = f"{name}-{arm}-{seed}".replace(" ", "-")
    if known := run.known(key):
        return known
    options = {**problem.options, "trials": 1.0, **ARMS[arm]}
    options["trials"] = round(options["trials"] * problem.trials)
    session = run.session(key, **options, seed=seed)
    history, frame = history_of(session), in_order(session)
    objective = session.search.objective
    tested: dict[str, float] = {}

    def test(trial: Outcome) -> float:
        if trial.uid not in tested:
            tested[trial.uid] = float((run.test(session, trial.uid).test or {})[objective])
        return tested[trial.uid]

    winner = best(history, 1)[0]
    figures: dict[str, Any] = {
        "test": test(winner),
        "validation": winner.score,
        "winner": winner.kind,
        "steps": int(frame["steps"].sum()),
        "seconds": round(float(frame["wall_seconds"].sum()), 1),
        "completed": int((frame["status"] == "completed").sum()),
    }
    if together := _best(history, ["ensemble"]):
        member = best([each for each in history if each.uid in together.members], 1)[0]
        figures |= {
            "ensemble": test(together),
            "member": test(member),
            "ensemble_parameters": _parameters(history, together),
        }
    if student := _best(history, ["distill"]):
        teacher = next(each for each in history if each.uid == _teacher(frame, student.uid))
        figures |= {
            "student": test(student),
            "student_parameters": student.parameters,
            "teacher": test(teacher),
            "teacher_parameters": _parameters(history, teacher),
        }
    return run.remember(key, **figures)


def _best(history: Sequence[Outcome], kinds: Sequence[str]) -> Outcome | None:
    return next(iter(best([each for each in history if each.kind in kinds], 1)), None)


def _parameters(history: Sequence[Outcome], trial: Outcome) -> int:
    """Of a model, or of all members of an ensemble."""
    models = trial.members or (trial.uid,)
    return sum(each.parameters or 0 for each in history if each.uid in models)


def _teacher(frame: pd.DataFrame, uid: str) -> str:
    return str(frame.set_index("uid").loc[uid, "teacher"])


def main() -> None:
    """Measure what is not yet in the results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits", "table"], help="digits, table, speech")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--speech", help="a folder with train and test, each a folder of class folders with WAV files")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-searches"), help="for the logs and the results")
    asked = parser.parse_args()
    with searches(asked.folder, asked.folder / "ablation.jsonl") as run:
        for name in asked.data:
            problem = problems(asked.folder, asked.speech)[name]
            found = {arm: [measure(run, name, problem, arm, seed) for seed in asked.seeds] for arm in asked.arms}
            print(f"\n{name}, {problem.trials} trials, {len(asked.seeds)} seeds: mean +- standard error")
            for arm, results in found.items():
                print(f"  {arm:<18}", *(_told(results, each) for each in ("test", "validation", "steps", "seconds")))
                pairs = [("ensemble", "member"), ("student", "teacher")]
                for one, other in pairs:
                    gains = [each[one] - each[other] for each in results if one in each]
                    if gains:
                        print(f"    {one} - {other}: {_told([{'test': gain} for gain in gains], 'test')}")
                if students := [each for each in results if "student" in each]:
                    sizes = [each["student_parameters"] / each["teacher_parameters"] for each in students]
                    print(f"    student / teacher, in parameters: {_told([{'size': size} for size in sizes], 'size')}")


def _told(results: Sequence[dict[str, Any]], figure: str) -> str:
    mean, error = mean_error([each[figure] for each in results])
    return f"{figure} {mean:.4f} +- {error:.4f} " if abs(mean) < 10 else f"{figure} {mean:.0f} +- {error:.0f} "


if __name__ == "__main__":
    main()
