"""Whether the estimators keep scikit-learn's conventions: every check that it has, most of which fit several times.

    python -m benchmarks.estimator_checks                     # both estimators
    python -m benchmarks.estimator_checks SearchRegressor

Each fit is a real search of one trial, in one process that has TensorFlow loaded. Printed for each check: how it came
out and how long it took; at the end, how many passed, and what failed. The checks that need no fit, and a few that do,
run in `tests/test_estimators.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from functools import partial
from typing import Any
from unittest import SkipTest

from sklearn.utils.estimator_checks import estimator_checks_generator

from msearch_core import SearchClassifier, SearchRegressor, keep_warm

ESTIMATORS = {
    "SearchClassifier": SearchClassifier(trials=1, steps=60, random_state=0),
    "SearchRegressor": SearchRegressor(trials=1, steps=200, random_state=0),
}
"""The least that learns what the checks want learned."""

_FEW = "its 16 rows are copies of 4 examples, and copies share a side of the split: too few to train, validate and test"
_WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "an example of weight 2 is drawn into as many batches as one of "
    "weight 1, and two copies into twice as many; and weights have no part in which side of the split is which"
}
EXPECTED = {
    "SearchClassifier": {"check_sample_weights_shape": _FEW, "check_sample_weights_not_overwritten": _FEW, **_WEIGHTS},
    "SearchRegressor": _WEIGHTS,
}
"""Checks that do not apply, and why."""


def main() -> None:
    """Run the checks, and exit with 1 if one comes out otherwise than expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(ESTIMATORS), help="SearchClassifier, SearchRegressor")
    parser.add_argument("--part", default="1/1", help="2/3 runs the second third of the checks")
    asked = parser.parse_args()
    part, parts = map(int, asked.part.split("/"))
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with keep_warm():
        for name in asked.names:
            checks = list(estimator_checks_generator(ESTIMATORS[name]))
            for estimator, check in checks[(part - 1) * len(checks) // parts : part * len(checks) // parts]:
                counts[run(estimator, check)] += 1
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    print(f"{told}; {time.monotonic() - began:.0f} s")
    sys.exit(1 if {"failed", "passed against expectation"} & set(counts) else 0)


def run(estimator: Any, check: Any) -> str:
    """Run one check, and tell how it came out."""
    began, why = time.monotonic(), ""
    expected = EXPECTED[type(estimator).__name__].get(name_of(check))
    try:
        check(estimator)
        outcome = "passed against expectation" if expected else "passed"
    except SkipTest as reason:
        outcome, why = "skipped", f": {reason}"
    except Exception as error:
        outcome = "failed as expected" if expected else "failed"
        why = f": {expected or ' '.join(str(error).split())[:300]}"
    print(f"{type(estimator).__name__} {name_of(check)} {outcome}, {time.monotonic() - began:.1f} s{why}", flush=True)
    return outcome


def name_of(check: Any) -> str:
    """The check's own name."""
    while isinstance(check, partial):
        check = check.func
    return str(check.__name__)


if __name__ == "__main__":
    main()
