"""Whether the estimators keep scikit-learn's conventions: every check that it has, most of which fit several times.

    python -m benchmarks.estimator_checks                     # both estimators
    python -m benchmarks.estimator_checks SearchRegressor

Each fit is a real search of one trial, in one process that has TensorFlow loaded. Printed for each check: how it came
out and how long it took; at the end, how many passed, and what failed. The checks that need no fit, and a few that do,
run in `tests/test_estimators.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from typing import Any

from sklearn.utils.estimator_checks import check_estimator

from msearch_core import SearchClassifier, SearchRegressor, keep_warm

ESTIMATORS = {
    "SearchClassifier": SearchClassifier(trials=1, steps=60, random_state=0),
    "SearchRegressor": SearchRegressor(trials=1, steps=200, random_state=0),
}
"""The least that learns what the checks want learned."""

_FEW = "its 16 rows are copies of 4 examples, and copies share a side of the split: too few to train, validate and test"
EXPECTED = {
    "check_sample_weights_shape": _FEW,
    "check_sample_weights_not_overwritten": _FEW,
    "check_sample_weight_equivalence_on_dense_data": "an example of weight 2 is drawn into as many batches as one of "
    "weight 1, and two copies into twice as many; and weights have no part in which side of the split is which",
}
"""Checks that do not apply, and why."""


def main() -> None:
    """Run the checks, and exit with 1 if one fails that should not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(ESTIMATORS), help="SearchClassifier, SearchRegressor")
    parser.add_argument("--out", help="JSON file to write the outcomes to")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    outcomes: list[dict[str, Any]] = []
    with keep_warm():
        for name in asked.names:
            outcomes += run(name)
    counts = {status: sum(each["status"] == status for each in outcomes) for status in ("passed", "xfail", "failed")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if asked.out:
        with open(asked.out, "w") as file:
            json.dump(outcomes, file, indent=1)
    sys.exit(1 if counts["failed"] else 0)


def run(name: str) -> list[dict[str, Any]]:
    """Run all checks of one estimator."""
    outcomes: list[dict[str, Any]] = []
    began = time.monotonic()

    def note(check_name: str, exception: Exception | None, status: str, **_: Any) -> None:
        nonlocal began
        seconds, began = time.monotonic() - began, time.monotonic()
        why = f": {' '.join(str(exception).split())[:300]}" if status == "failed" else ""
        print(f"{name} {check_name} {status} {seconds:.1f} s{why}", flush=True)
        outcomes.append({"estimator": name, "check": check_name, "status": status, "seconds": seconds})

    check_estimator(ESTIMATORS[name], expected_failed_checks=EXPECTED, on_fail=None, on_skip=None, callback=note)
    return outcomes


if __name__ == "__main__":
    main()
