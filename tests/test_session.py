"""Joining a search: what is created, joined, extended or refused."""

import json
import sys
from pathlib import Path

import pytest

from msearch_core.config import make_config
from msearch_core.errors import UserError
from msearch_core.session import join, rejoin
from msearch_core.trial_log import StopRecord, TrialLog, layout
from tests.test_board import claim
from tests.test_log_contract import trial


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "table.csv"
    path.write_text("a,b,y\n" + "".join(f"{i},{i * 7 % 11},{'no' if i % 2 else 'yes'}\n" for i in range(60)))
    return path


def config(table: Path, **options: object):
    return make_config(**{"data": str(table), "target": "y", "log": str(table.parent / "log"), **options})


def test_a_search_begins_and_the_same_command_joins_it(table: Path) -> None:
    first, second = join(config(table, trials=5)), join(config(table, trials=5))
    assert (first.search.id, first.run) == (second.search.id, second.run)
    assert (first.run.run, first.run.extension, first.run.trials, first.run.minutes) == ("0001", 1, 5, None)
    assert first.search.objective == "accuracy"
    assert first.space.input_shape == (2,)
    assert first.log.trials().empty


def test_a_trainer_needs_the_log_alone(table: Path) -> None:
    joined = join(config(table, trials=5))
    again = rejoin(joined.log.url, "0001")
    assert (again.search, again.run, again.problem) == (joined.search, joined.run, joined.problem)
    assert again.space.fingerprint == joined.space.fingerprint


def test_a_larger_budget_extends_the_run_and_a_smaller_one_does_not(table: Path) -> None:
    join(config(table, trials=5))
    assert join(config(table, trials=3)).run.trials == 5
    extended = join(config(table, trials=8)).run
    assert (extended.run, extended.extension, extended.trials) == ("0001", 2, 8)
    assert join(config(table, trials=8)).run == extended


def test_trials_after_minutes_are_bounded(table: Path) -> None:
    join(config(table, minutes=5))
    bounded = join(config(table, trials=20)).run
    assert (bounded.extension, bounded.trials, bounded.minutes) == (2, 20, None)
    assert join(config(table, trials=20)).run == bounded


def test_trials_that_are_under_way_belong_to_the_bound(table: Path) -> None:
    """Else the run would be complete by their rows while one of its own slots has none."""
    joined = join(config(table, minutes=5))
    board = joined.log.board(joined.run)
    for slot in (1, 2, 4):
        assert board.claim(claim(slot, key=f"{slot:016x}"))
    joined.log.append(trial(1), board)
    bounded = join(config(table, trials=2)).run
    assert (bounded.extension, bounded.trials) == (2, 4)
    for slot in (2, 4):
        joined.log.append(trial(slot), board)
    board.look()
    assert not board.is_over
    assert list(board.free()) == [3]
    assert join(config(table, trials=2)).run == bounded


def test_minutes_after_trials_are_bounded(table: Path) -> None:
    join(config(table, trials=5))
    timed = join(config(table, minutes=5)).run
    assert (timed.extension, timed.is_open_ended, timed.minutes) == (2, True, 5.0)
    assert join(config(table, minutes=5)).run == timed


def test_a_complete_run_is_not_extended_by_time_alone(table: Path) -> None:
    joined = join(config(table, trials=2, minutes=1))
    for slot in (1, 2):
        joined.log.append(trial(slot))
    assert join(config(table, trials=2)).run == joined.run
    assert join(config(table, trials=2, minutes=9)).run == joined.run
    assert join(config(table, trials=3)).run.trials == 3


def test_suggestions_belong_to_a_run(table: Path) -> None:
    architecture = ["dense(units=32,activation=relu,batch_norm=False)"]
    assert join(config(table, suggest=[architecture])).run.suggestions == [architecture]
    assert join(config(table, suggest=[architecture])).run.extension == 1
    with pytest.raises(UserError, match="began with other suggestions"):
        join(config(table, suggest=[architecture * 2]))


def test_tables_of_one_name_do_not_share_a_log_by_accident(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table.parent)
    other = table.parent / "other" / table.name
    other.parent.mkdir()
    other.write_text(table.read_text().replace("yes", "perhaps"))
    join(make_config(data=str(table), target="y"))
    with pytest.raises(UserError, match="a --name of its own"):
        join(make_config(data=str(other), target="y"))
    join(make_config(data=str(other), target="y", name="other"))


def test_a_folder_named_like_a_known_set_hides_nothing(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table.parent)
    (table.parent / "iris").mkdir()
    assert join(make_config(data="iris")).run.data["data"] == "iris"


def test_more_minutes_extend_a_run_that_time_ended(table: Path) -> None:
    first = join(config(table, minutes=1))
    first.log.stop(first.run, StopRecord(reason="1 minutes", minutes=1.0))
    assert join(config(table, minutes=1)).run == first.run
    longer = join(config(table, minutes=2)).run
    assert (longer.extension, longer.minutes) == (2, 2.0)
    assert first.log.minutes_used(longer) == 1.0


def test_new_data_starts_a_new_run_and_moves_no_row(table: Path) -> None:
    first = join(config(table, trials=5))
    with table.open("a") as file:
        file.write("".join(f"{i},{i * 7 % 11},{'no' if i % 2 else 'yes'}\n" for i in range(60, 90)))
    second = join(config(table, trials=5))
    assert second.run.run == "0002"
    assert second.run.data_fingerprint != first.run.data_fingerprint
    assert first.run.moved.items() <= second.run.moved.items()


def test_a_trainer_refuses_data_that_changed(table: Path) -> None:
    joined = join(config(table, trials=5))
    table.write_text(table.read_text().replace("yes", "perhaps"))
    with pytest.raises(UserError, match="is not the data that run 0001"):
        rejoin(joined.log.url, "0001")
    with pytest.raises(UserError, match="has no run '0007'"):
        rejoin(joined.log.url, "0007")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "with seed 0, not 1"),
        ({"steps": 7}, "with steps 500, not 7"),
        ({"algorithm": "random"}, "with algorithm coordinate_descent, not random"),
        ({"objective": "log_loss"}, "with objective accuracy, not log_loss"),
        ({"max_params": 10}, "with max-params None, not 10"),
        ({"minimize": "flops"}, "with minimize None, not flops"),
        ({"algorithm_options": {"beam_size": 2}}, "with algorithm-options None, not"),
        ({"target": "b", "task": ["classification"]}, "with target y, not b"),
        ({"weight": "b"}, "with weight None, not b"),
        ({"group": "a"}, "with group None, not a"),
        ({"balance": True}, "with balance None, not True"),
    ],
)
def test_a_log_of_another_search_is_refused(table: Path, options: dict[str, object], message: str) -> None:
    join(config(table, trials=5))
    with pytest.raises(UserError, match=message):
        join(config(table, trials=5, **options))
    assert len(TrialLog(str(table.parent / "log")).runs()) == 1


def test_a_log_begun_before_there_were_further_settings_still_opens(table: Path) -> None:
    first = join(config(table, trials=5))
    record = table.parent / "log" / layout.SEARCH
    stored = json.loads(record.read_text())
    stored["settings"] = {"steps": 500, "batch_size": 64, "max_params": None}
    record.write_text(json.dumps(stored))
    (run,) = (table.parent / "log" / "runs").glob("*.json")
    stored = json.loads(run.read_text())
    stored["data"] = {"data": str(table), "target": "y", "group": None, "test": None}
    run.write_text(json.dumps(stored))
    assert join(config(table, trials=5)).search.id == first.search.id
    assert rejoin(first.log.url, "0001").problem == first.problem


def test_several_targets_and_their_weights_reach_the_trainers(table: Path) -> None:
    options = {"log": str(table.parent / "log"), "task_weight": {"b": 2}}
    joined = join(make_config(data=str(table), target=["y", "b"], **options))
    assert joined.search.objective == "mean_score"
    assert joined.search.task == "classification+classification"
    assert joined.space.heads == ("y", "b")
    again = rejoin(joined.log.url, "0001")
    assert again.problem == joined.problem
    assert [target.weight for target in again.problem.targets] == [1.0, 2.0]


def test_an_objective_and_a_source_of_the_users_own(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(table.parent)
    monkeypatch.setenv("MSEARCH_CODE_PATH", str(table.parent))
    (table.parent / "mine.py").write_text(
        "import pandas as pd\ndef source(): return pd.read_csv('table.csv')\ndef score(y, outputs): return 0.0\n"
    )
    joined = join(make_config(data="mine.py:source", target="y", objective="mine.py:score"))
    assert joined.search.objective == f"{table.parent}/mine.py:score"
    assert joined.run.data["data"] == f"{table.parent}/mine.py:source"
    assert joined.problem.input_shape == (2,)
    (table.parent / "mine.py").rename(table.parent / "theirs.py")
    with pytest.raises(UserError, match=r"no file .*mine\.py"):
        rejoin(joined.log.url, "0001", joined.data)


@pytest.mark.parametrize(
    ("edited", "message"),
    [
        (
            "def score(y, outputs):\n    return 1.0\n",
            "has changed since .* its scores would not compare",
        ),
        ("def score(y, outputs):\n    return 0.0\nscore.direction = 'min'\n", "with direction max, not min"),
        ("def score(y, outputs):\n    'Only words.'\n    return 0.0  # and more\n", None),
    ],
)
def test_an_objective_that_computes_something_else_is_another_search(
    table: Path, monkeypatch: pytest.MonkeyPatch, edited: str, message: str | None
) -> None:
    monkeypatch.setenv("MSEARCH_CODE_PATH", str(table.parent))
    own = table.parent / "mine.py"
    own.write_text("def score(y, outputs):\n    return 0.0\n")
    asked = config(table, trials=5, objective=f"{own}:score")
    first = join(asked)
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]  # the file is read again, as by another process
    own.write_text(edited)
    if message is None:
        assert join(asked).run == first.run
        return
    with pytest.raises(UserError, match=message):
        join(asked)
    if "direction" not in message:
        with pytest.raises(UserError, match="of this machine is not the one"):
            rejoin(first.log.url, "0001")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "nowhere"}, "no search space"),
        ({"space": "image"}, "needs image data and this is vector data; try --space tabular"),
        ({"objective": "beauty"}, "'beauty' is no objective of a classification"),
        ({"suggest": [["dense(units=1)"]]}, "is not valid in the space"),
    ],
)
def test_wrong_options_write_nothing(table: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        join(config(table, **options))
    assert not (table.parent / "log").exists()


def test_a_folder_that_cannot_be_written_is_one_line(table: Path) -> None:
    (table.parent / "log").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot use .*log as the log: Not a directory"):
        join(config(table))


def test_a_log_in_memory_is_refused_since_trainers_are_other_processes() -> None:
    with pytest.raises(UserError, match="lives in one process only"):
        join(make_config(data="iris", log="memory://log"))


def test_the_log_names_no_absolute_path_of_its_own(table: Path) -> None:
    """A log may be moved or mounted elsewhere."""
    joined = join(config(table, trials=5))
    log = table.parent / "log"
    log.rename(table.parent / "moved")
    assert TrialLog(str(table.parent / "moved")).search() == joined.search
    assert str(log).encode() not in (table.parent / "moved" / layout.SEARCH).read_bytes()
