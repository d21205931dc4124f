"""What importing costs: each front door loads no more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("tensorflow", "keras", "prefect")


def loaded_after(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter holds after running the code."""
    check = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import msearch_core",
        "import msearch_core.cli",
        "import msearch_core.api",
        "from msearch_core import TrialLog, Trial, search, UserError",
        "import msearch_core.session, msearch_core.training.trainer, msearch_core.training.finishing",
        "import search_spaces.tabular, search_spaces.image",
        "import flows.launch, flows.lifeline",
        "import msearch_core.report.writing, msearch_core.report.compare, msearch_core.report.groups",
        "from msearch_core import SearchClassifier, SearchRegressor, keep_warm",
    ],
)
def test_front_doors_are_light(code: str) -> None:
    assert loaded_after(code) == set()


def test_scikit_learn_waits_for_the_estimators() -> None:
    check = "import sys, msearch_core.api, msearch_core.cli; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_listing_trials_is_light(tmp_path: Path) -> None:
    code = f"""
from msearch_core import TrialLog, Trial
from tests.test_log_contract import search_record, trial
log = TrialLog({str(tmp_path)!r})
log.open(search_record())
log.append(trial(1))
import sys
sys.argv = ["msearch", "trials", {str(tmp_path)!r}]
from msearch_core.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""
    assert loaded_after(code) == set()


def test_training_processes_never_load_prefect() -> None:
    assert loaded_after("from msearch_core.training.host import load_actions; load_actions()") == {
        "tensorflow",
        "keras",
    }
