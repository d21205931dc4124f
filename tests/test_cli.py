"""The command line's answers that need no search."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msearch_core.algorithms.history import COLUMNS
from msearch_core.listing import as_lines, list_trials
from msearch_core.report.scores import why_none
from msearch_core.trial_log import TrialLog
from tests.test_log_contract import run_record, search_record, trial


def msearch(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "msearch_core.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def refusal(*arguments: str, cwd: Path | None = None, **environment: str) -> str:
    """What is said, in one line, of a command that is refused."""
    refused = msearch(*arguments, cwd=cwd, **environment)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    return refused.stderr


def test_without_a_command_there_is_the_help_and_nothing_else() -> None:
    alone = msearch()
    assert (alone.returncode, alone.stderr) == (2, "")
    assert "Commands" in alone.stdout


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    code = """
import signal
from msearch_core.cli import end_in_order
signal.signal(signal.SIGHUP, signal.SIG_IGN)
end_in_order()
print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, signal.getsignal(signal.SIGTERM).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "default_int_handler"]


def test_a_terminal_that_cannot_be_drawn_on_is_told_of_each_trial(log: str) -> None:
    from rich.console import Console

    from msearch_core.progress import Progress, follow

    opened = TrialLog(log)
    opened.add_run(run_record())
    opened.append(trial(5, run="0001", objective=0.8, direction="max", architecture=("dense(units=64)",)))
    console = Console(force_terminal=True, _environ={"TERM": "dumb"}, file=StringIO())
    follow(Progress(opened.search(), opened.board(opened.runs()[0], COLUMNS)), console, iter([]))
    assert "0001-000005" in console.file.getvalue()


@pytest.fixture
def log(tmp_path: Path) -> str:
    log = TrialLog(str(tmp_path / "log"))
    log.open(search_record())
    for slot, objective in ((1, 0.5), (2, 0.9), (3, 0.7)):
        log.append(
            trial(slot, objective=objective, direction="max", architecture=("dense(units=64)",), parameters=slot)
        )
    log.append(trial(4, objective=None, status="failed", error="boom", direction="max"))
    return str(tmp_path / "log")


def test_trials_are_listed_best_first(log: str) -> None:
    listed = json.loads(msearch("trials", log, "--format", "json", "--columns", "uid,objective,status").stdout)
    assert [row["uid"][-1] for row in listed] == ["2", "3", "1", "4"]
    assert listed[-1] == {"uid": "0001-000004", "objective": None, "status": "failed"}


def test_trials_in_other_orders_and_forms(log: str) -> None:
    csv = msearch("trials", log, "--format", "csv", "--sort", "parameters", "--columns", "uid,parameters").stdout
    assert csv.splitlines()[:2] == ["uid,parameters", "0001-000001,1.0"]
    table = msearch("trials", log, "--sort", "-uid").stdout
    assert table.index("0001-000004") < table.index("0001-000001")
    assert "dense(units=64)" in table


def test_errors_are_shown_where_there_are_some(log: str) -> None:
    assert msearch("trials", log).stdout.splitlines()[-1].endswith(" boom")
    assert "error" not in msearch("trials", log, "--where", "status == completed").stdout


def test_where_no_trial_has_a_score_the_commonest_error_is_said() -> None:
    errors = pd.DataFrame({"error": ["rare", "ValueError: boom", None, "ValueError: boom"], "run": "0002"})
    errors.loc[4] = ["of another run", "0001"]
    assert why_none(errors, "0002", "log") == (
        "none of the 4 trials has a score; 2 ended with 'ValueError: boom'; see: msearch trials log"
    )
    assert why_none(errors[2:3], "0002", "log") == "none of the 1 trials has a score; see: msearch trials log"


@pytest.mark.parametrize("name", ["architecture", "parents", "curve"])
def test_trials_are_sorted_by_lists_too(name: str, tmp_path: Path) -> None:
    log = TrialLog(str(tmp_path / "log"))
    log.open(search_record())
    first, second = ((0.5, 0.6), (0.5, 0.7)) if name == "curve" else (("a",), ("a", "b"))
    for slot, values in ((1, second), (2, None), (3, first)):
        log.append(trial(slot, **{name: values}))
    for sort, expected in ((name, "312"), (f"-{name}", "132")):
        assert "".join(uid[-1] for uid in list_trials(log.trials(), sort)["uid"]) == expected


def test_what_would_steer_the_terminal_is_not_printed(log: str) -> None:
    TrialLog(log).append(trial(5, objective=None, status="failed", error="\x1b[2J\x1b[31mok\x9b1m", direction="max"))
    listed = msearch("trials", log, "--columns", "uid,error").stdout
    assert "[31mok" in listed
    assert not {"\x1b", "\x9b"} & set(listed)


def test_the_newest_run_comes_first_and_of_equals_the_one_with_less_loss(log: str) -> None:
    for slot, loss in ((5, 0.9), (6, 0.1)):
        TrialLog(log).append(trial(slot, objective=1.0, metrics={"log_loss": loss}, run="0001", direction="max"))
    TrialLog(log).append(dataclasses.replace(trial(1, direction="max"), uid="0002-000001", run="0002", objective=0.1))
    listed = json.loads(msearch("trials", log, "--format", "json", "--columns", "uid,uid").stdout)
    assert [row["uid"] for row in listed][:3] == ["0002-000001", "0001-000006", "0001-000005"]


def test_trials_of_runs_on_different_data_are_told_apart(log: str) -> None:
    assert "different data" not in msearch("trials", log).stdout
    for slot, run in ((11, "0001"), (12, "0002")):
        TrialLog(log).append(dataclasses.replace(trial(slot), run=run, data_fingerprint=run, direction="max"))
    assert "runs 0001, 0002 are on different data" in msearch("trials", log).stdout
    assert "different data" not in msearch("trials", log, "--where", "run == 0002").stdout
    assert json.loads(msearch("trials", log, "--format", "json").stdout)


def test_effects_of_blocks_that_cannot_be_told_yet_are_not_left_out_in_silence(log: str) -> None:
    said = "what each block does for the score is not estimated: that takes 20 trials with a score"
    assert said in msearch("compare", log, "--by", "block").stdout
    assert said not in msearch("compare", log, "--by", "kind").stdout


def test_long_cells_are_folded_in_the_last_column(log: str) -> None:
    listed = msearch("trials", log, "--columns", "uid,architecture,error,uid", COLUMNS="50").stdout.splitlines()
    assert listed[0].split() == ["uid", "architecture", "error", "uid"]
    frame = pd.DataFrame({"name": ["a", "bcd"], "text": ["one two three four five six seven eight", ""]})
    assert as_lines(frame, 10) == [
        "name  text",
        "a     one two three four five six",
        "      seven eight",
        "bcd",
    ]


def test_lists_of_what_there_is() -> None:
    assert "tabular" in msearch("spaces").stdout
    assert "residual_convolution" in msearch("blocks").stdout
    assert "coordinate_descent (default)" in msearch("algorithms").stdout


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of things that cannot be searched."""
    good = pd.DataFrame({"a": np.arange(60.0), "y": ["no", "yes"] * 30})
    good.to_csv(tmp_path / "good.csv", index=False)
    (tmp_path / "empty.csv").write_text("")
    good.assign(y="yes").to_csv(tmp_path / "one_class.csv", index=False)
    good.assign(y=good["y"].where(good.index > 3)).to_csv(tmp_path / "nan_labels.csv", index=False)
    good.assign(y=good["y"].where(good.index > 0, "rare")).to_csv(tmp_path / "lonely.csv", index=False)
    for label in ("cat", "dog"):
        (tmp_path / "images" / label).mkdir(parents=True)
        (tmp_path / "images" / label / "1.png").write_bytes(b"no picture")
    (tmp_path / "other_log").mkdir()
    TrialLog(str(tmp_path / "other_log")).open(search_record(task="regression"))
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "suggest.json").write_text('[["dense(units=7)"]]')
    (tmp_path / "config.toml").write_text("trails = 3\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "spaceless.py").write_text("print('hello')\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digitz"], "digits"),
        (["nowhere.csv", "--target", "y"], "nowhere.csv"),
        (["good.csv"], "--target"),
        (["good.csv", "--target", "z"], "'z'"),
        (["good.csv", "--target", "y", "--space", "nowhere"], "msearch spaces"),
        (["good.csv", "--target", "y", "--space", "..."], "msearch spaces"),
        (["good.csv", "--target", "y", "--space", "broken.py"], "ZeroDivisionError"),
        (["good.csv", "--target", "y", "--space", "spaceless.py"], "'space'"),
        (["good.csv", "--target", "y", "--algorithm", "psychic"], "coordinate_descent"),
        (["good.csv", "--target", "y", "--algorithm-options", "{"], "--algorithm-options"),
        (["good.csv", "--target", "y", "--task", "clustering"], "multilabel"),
        (["good.csv", "--target", "y", "--task-weight", "y"], "TARGET=NUMBER"),
        (["good.csv", "--target", "y", "--weight", "z"], "'z' for --weight"),
        (["good.csv", "--target", "a", "--target", "y"], "no column to learn from"),
        (["good.csv", "--target", "y", "--minimize", "pain"], "latency_ms"),
        (["mine.py:source"], "there is no file"),
        (["good.csv", "--target", "y", "--objective", "beauty"], "accuracy"),
        (["good.csv", "--target", "y", "--trials", "0"], "--trials"),
        (["good.csv", "--target", "y", "--minutes", "0"], "--minutes"),
        (["good.csv", "--target", "y", "--trials", "many"], "integer"),
        (["good.csv", "--target", "y", "--nonsense", "1"], "--nonsense"),
        (["good.csv", "--target", "y", "--log", "other_log"], "another --log"),
        (["good.csv", "--target", "y", "--log", "file"], "--log"),
        (["good.csv", "--target", "y", "--log", "memory://x"], "one process"),
        (["good.csv", "--target", "y", "--suggest", "suggest.json"], "dense(units=7)"),
        (["good.csv", "--target", "y", "--suggest", "missing.json"], "missing.json"),
        (["good.csv", "--target", "y", "--config", "config.toml"], "trails"),
        (["good.csv", "--target", "y", "--pool", "cluster"], "PREFECT_API_URL"),
        (["empty.csv", "--target", "y"], "empty.csv"),
        (["one_class.csv", "--target", "y"], "one class"),
        (["nan_labels.csv", "--target", "y"], "4"),
        (["lonely.csv", "--target", "y"], "rare"),
        (["images"], "1.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(bad: Path, arguments: list[str], message: str) -> None:
    before = written(bad)
    done = msearch("search", *arguments, cwd=bad, XDG_CACHE_HOME=str(bad / "cache"), XDG_STATE_HOME=str(bad / "cache"))
    assert done.returncode == 2, done
    assert message in done.stderr
    assert done.stderr.startswith("msearch: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert written(bad) == before, "something was written"


def written(folder: Path) -> list[Path]:
    """All that is there but the cache and what Python keeps of a space that it has imported."""
    return sorted(path for path in folder.rglob("*") if not {"cache", "__pycache__"} & set(path.parts))


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    done = msearch("trials", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "holds no search" in done.stderr


def test_an_unknown_column_is_named(log: str) -> None:
    assert "there is no column 'beauty'" in msearch("trials", log, "--columns", "beauty").stderr


def test_a_model_that_is_none_is_named(tmp_path: Path) -> None:
    done = msearch("predict", str(tmp_path), "digits")
    assert done.returncode == 2
    assert "there is no model" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("conditions", "slots"),
    [
        (["objective >= 0.7"], ["2", "3"]),
        (["status == failed"], ["4"]),
        (["architecture ~ dense", "parameters < 3"], ["2", "1"]),
        (["uid != 0001-000002", "status = completed"], ["3", "1"]),
        (["status == stopped", "objective ~ 0.9"], []),
        (["status == stopped", "started_at >= 2026"], []),
    ],
)
def test_conditions_choose_trials(log: str, conditions: list[str], slots: list[str]) -> None:
    options = [part for condition in conditions for part in ("--where", condition)]
    listed = json.loads(msearch("trials", log, "--format", "json", *options).stdout)
    assert [row["uid"][-1] for row in listed] == slots


@pytest.mark.parametrize(
    ("condition", "message"),
    [("nonsense", "is no condition"), ("beauty > 1", "no column 'beauty'"), ("objective > high", "holds numbers")],
)
def test_a_wrong_condition_is_one_line(log: str, condition: str, message: str) -> None:
    done = msearch("trials", log, "--where", condition)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


def test_a_file_of_options_may_hold_those_that_are_lists(bad: Path) -> None:
    (bad / "options.toml").write_text('target = ["nope"]\n')
    done = msearch("search", str(bad / "good.csv"), "--config", str(bad / "options.toml"), "--log", str(bad / "log"))
    assert (done.returncode, "no column 'nope'" in done.stderr) == (2, True)


def test_check_seal_and_prune_say_what_they_did(log: str) -> None:
    assert msearch("seal", log).stdout == "sealed 0 trials\n"
    assert "would remove 0 files" in msearch("prune", log, "--dry-run").stdout
    sound = msearch("check", log)
    assert (sound.returncode, "4 trials (0 not sealed yet)" in sound.stdout, sound.stdout.endswith("sound\n")) == (
        0,
        True,
        True,
    )
    Path(log, "trials", "00000002.parquet").write_bytes(b"torn")
    broken = msearch("check", log)
    assert broken.returncode == 1
    assert "trials/00000002.parquet cannot be decoded" in broken.stdout
    repaired = msearch("check", log, "--repair")
    assert (repaired.returncode, "rebuilt trials/00000002.parquet" in repaired.stdout) == (0, True)


def test_what_is_amiss_with_many_files_is_one_line(log: str) -> None:
    for slot in (5, 6, 7):
        TrialLog(log).append(trial(slot, weights=f"weights/0001-{slot:06d}.1.safetensors", direction="max"))
    told = msearch("check", log)
    assert told.returncode == 0
    (line,) = [each for each in told.stdout.splitlines() if each.startswith("note")]
    assert line.endswith("is named by a row and gone: its children start fresh (and 2 more like it)")
    assert len(json.loads(msearch("check", log, "--format", "json").stdout)["findings"]) == 3


def test_the_number_of_trainers_of_a_run_that_is_not_there(log: str) -> None:
    said = refusal("trainers", log, "3")
    assert "has no run yet" in said


def test_the_number_of_trainers_of_a_run_that_has_ended(log: str) -> None:
    for trials, code in ((2, 2), (9, 0)):
        TrialLog(log).add_run(run_record(trials, extension=trials))
        answered = msearch("trainers", log, "3")
        assert answered.returncode == code
    assert "run 0001: 3 trainers from now on" in answered.stdout


@pytest.mark.parametrize("command", [["deploy"], ["data-updated", "digits"]])
def test_what_needs_a_server_says_so(command: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    for url in ({}, {"PREFECT_API_URL": ""}):
        refused = subprocess.run(
            [sys.executable, "-m", "msearch_core.cli", *command], capture_output=True, text=True, env=environment | url
        )
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "needs a Prefect server: set PREFECT_API_URL" in refused.stderr


def test_what_is_no_address_of_a_server_is_one_line() -> None:
    said = refusal("deploy", PREFECT_API_URL="127.0.0.1:4200")
    assert "PREFECT_API_URL is '127.0.0.1:4200'; set it to" in said


@pytest.mark.parametrize("command", [["report"], ["export"], ["predict", "LOG", "new.csv"]])
def test_what_would_be_gone_with_the_command_is_refused(command: list[str], log: str) -> None:
    name, *rest = command
    said = refusal(name, *(rest or [log]), "--out", "memory://out.csv")
    assert "lives in one process only" in said


def test_a_misspelt_option_of_a_refresh_is_told_with_its_own(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text('data = "digits"\nlog = "log"\nkep = 3\n')
    said = refusal("refresh", "search.toml", cwd=tmp_path)
    assert "unknown option --kep; did you mean --keep? Expected one of keep, overlap, data, " in said


@pytest.mark.timeout(60)
def test_an_address_that_is_no_prefect_api_is_told_at_once() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        refused = msearch("data-updated", "digits", PREFECT_API_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "PREFECT_API_URL should end with /api" in refused.stderr


def test_a_refresh_without_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text('data = "digits"')
    said = refusal("refresh", "search.toml", cwd=tmp_path)
    assert "needs the log" in said


def test_nothing_to_promote_is_one_line(log: str) -> None:
    assert "nothing has been in use yet" in msearch("promote", log, "--history").stdout
    said = refusal("promote", log)
    assert "only winners can be put into use: none yet" in said
