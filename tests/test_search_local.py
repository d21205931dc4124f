"""Searches on this machine from the command line to the winner, undisturbed and disturbed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from tests.searching import (
    Workplace,
    check_budget,
    claims,
    finish,
    is_alive,
    is_released,
    results,
    trials,
    under_way,
    unfinished,
    wait_for,
    winners,
    workplace,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ALWAYS = [
    "search", "kind", "status", "attempt", "objective_name", "direction", "architecture", "architecture_hash", "space",
    "space_fingerprint", "algorithm", "history", "redraws", "parents", "hyperparameters", "seed", "split_seed",
    "data_fingerprint", "trainer", "host", "versions", "schema_version", "started_at", "finished_at", "wall_seconds",
    "timings", "batch_size",
]  # fmt: skip
"""Columns that hold something in the row of every trial."""
TRAINED = [
    "objective", "objective_se", "metrics", "curve", "steps", "cumulative_steps", "inherited_fraction", "parameters",
    "model_bytes", "flops", "latency_ms", "train_seconds", "peak_mb", "weights", "predictions",
]  # fmt: skip
"""Columns that hold something in the row of a trial that has a score."""


@pytest.fixture
def place(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workplace]:
    with workplace(tmp_path, tmp_path_factory) as made:
        yield made


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time of change."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def check_whole(log: Path, frame: pd.DataFrame) -> None:
    """Assert that nothing is missing in the rows, nor from the files that they name."""
    assert frame[ALWAYS].notna().all(axis=None), frame[ALWAYS].isna().sum()
    scored = frame[frame["status"].isin(["completed", "stopped"])]
    assert scored[TRAINED].notna().all(axis=None), scored[TRAINED].isna().sum()
    for column in ("weights", "predictions"):
        assert all((log / name).stat().st_size for name in scored[column])
    assert all(json.loads(row.metrics)[row.objective_name] == row.objective for row in scored.itertuples())
    phases = {"propose", "claim", "process", "data", "build", "trace", "train", "evaluate", "checkpoint", "publish"}
    for row in scored[scored["kind"].isin(["seed", "search"])].itertuples():
        timings = json.loads(row.timings)
        # A trial that was taken over was proposed and claimed by another trainer, which did not live to tell.
        assert phases - ({"propose", "claim"} if row.attempt > 1 else set()) <= set(timings)
        assert 0 < sum(timings.values()) <= row.wall_seconds + 0.01
    assert all({"keras", "tensorflow", "msearch"} <= set(json.loads(each)) for each in frame["versions"])
    assert (frame["finished_at"] > frame["started_at"]).all()
    failed = frame.drop(scored.index)
    assert failed["error"].str.len().gt(0).all()
    assert not failed["error"].str.contains("\n").any()


def check_lineage(frame: pd.DataFrame, steps: int) -> int:
    """Assert that children say what they have of their parents; returns how many there are."""
    by_uid = frame.set_index("uid", drop=False)
    children = [row for _, row in frame.iterrows() if len(row["parents"])]
    for row in children:
        parent = by_uid.loc[row["parents"][0]]
        assert parent["finished_at"] < row["finished_at"]
        assert row["algorithm"] == "coordinate_descent"
        assert json.loads(row["mutation"])["change"] in ("deepen", "replace", "train on", "none")
        provenance = set(json.loads(row["inheritance"]).values())
        assert provenance <= {"copied", "morphed", "fresh"}
        assert (provenance != {"fresh"}) == (row["inherited_fraction"] > 0)
        inherited = parent["cumulative_steps"] if row["inherited_fraction"] > 0 else 0
        assert row["cumulative_steps"] == row["steps"] + inherited
    strangers = frame[frame["parents"].map(len) == 0]
    assert (strangers["cumulative_steps"] == strangers["steps"]).all()
    assert (strangers["inherited_fraction"] == 0).all()
    assert (frame["steps"] == steps).all()
    return len(children)


def test_a_search_from_the_command_to_the_prediction(place: Workplace) -> None:
    log = place.folder / "log"
    command = ["search", "breast_cancer", "--trainers", "2", "--steps", "40", "--log", "log"]
    process = place.msearch(*command, "--trials", "6")
    wait_for(lambda: process.poll() is not None or (log / "trials/00000000.parquet").exists(), "the log begins")
    seen: set[str] = set()
    reads = 0
    while process.poll() is None:
        uids = trials(log)["uid"]
        assert uids.is_unique
        assert seen <= set(uids), "a row has vanished"
        seen = set(uids)
        reads += 1
        time.sleep(0.03)
    printed = finish(process)
    assert reads > 20
    place.wait_until_gone()
    assert not list(place.temporary.iterdir()), "temporary files are left"

    frame = check_budget(log, 6)
    check_whole(log, frame)
    assert check_lineage(frame, steps=40) > 0
    assert set(frame["status"]) == {"completed"}
    assert set(frame["kind"]) == {"seed", "search"}
    (winner,) = winners(log)
    won = frame.set_index("uid").loc[winner["uid"]]
    assert won["objective"] == frame["objective"].max() == winner["validation"]["accuracy"]
    assert winner["test_openings"] == 1
    model = Path(winner["model"].removeprefix("file://"))
    assert {path.name for path in model.iterdir()} == {"model.keras", "bundle.json"}
    for wanted in (
        *frame["uid"],
        " > ".join(won["architecture"]),
        f"accuracy {winner['validation']['accuracy']:.4f}",
        f"accuracy {winner['test']['accuracy']:.4f}",
        str(model),
        f"msearch predict {log}",
    ):
        assert wanted in printed, printed

    before = listing(log)
    again = place.run(*command, "--trials", "6")
    assert "nothing left to do" in again
    assert winner["uid"] in again
    assert listing(log) == before, "a search with nothing left to do wrote something"

    place.run(*command, "--trials", "8")
    extended = check_budget(log, 8)
    check_whole(log, extended)
    check_lineage(extended, steps=40)
    pd.testing.assert_frame_equal(extended[:6], frame)
    first, second = winners(log)
    assert first == winner
    assert second["trials"] == 8
    assert second["test_openings"] == (1 if second["uid"] == winner["uid"] else 2)

    predicted = pd.read_csv(StringIO(place.run("predict", "log", "breast_cancer")))
    known = load_breast_cancer()
    assert len(predicted) == len(known.target)
    assert set(predicted["prediction"]) == set(known.target_names)
    assert (predicted["prediction"] == known.target_names[known.target]).mean() > 0.9


def test_a_search_that_is_cut_short_in_every_way_ends_with_its_exact_budget(place: Workplace) -> None:
    log = place.folder / "log"
    steps = 6_000
    command = ["search", "breast_cancer", "--trials", "6", "--trainers", "2", "--steps", str(steps), "--log", "log"]
    cut: list[dict[str, Any]] = []

    def interrupt_when(ready: Any, what: str) -> Any:
        process = place.msearch(*command)
        found = wait_for(lambda: process.poll() is not None or ready(), what)
        assert process.poll() is None, finish(process)
        return process, found

    # The command line alone is killed: it can tell nobody, and yet nobody goes on without it.
    process, _ = interrupt_when(lambda: under_way(log), "a trial is under way")
    assert len(place.processes()) >= 5, "command, server, search, trainers and their hosts"
    process.kill()
    finish(process, -signal.SIGKILL)
    place.wait_until_gone()
    cut += unfinished(log)
    assert cut
    assert not any(is_released(log, claim) for claim in cut)

    # Ctrl-C.
    process, _ = interrupt_when(lambda: results(log) and under_way(log), "a trial has ended and another is under way")
    os.killpg(process.pid, signal.SIGINT)
    printed = finish(process, 130)
    assert "the same command goes on" in printed
    assert "Traceback" not in printed
    place.wait_until_gone()
    assert all(is_released(log, claim) for claim in unfinished(log))
    cut += unfinished(log)
    assert not winners(log)

    # Everything is killed at once.
    process, _ = interrupt_when(lambda: under_way(log), "a trial is under way")
    place.kill()
    finish(process, -signal.SIGKILL)
    place.wait_until_gone()
    cut += unfinished(log)

    # One trainer is killed, and the search goes on to its end.
    process, victims = interrupt_when(
        lambda: [claim for claim in under_way(log) if claim["attempt"] == 1], "a first attempt is under way"
    )
    victim = victims[0]
    trainer = psutil.Process(victim["owner"]["pid"])
    assert "flows.local_trainer" in trainer.cmdline()
    household = [process.pid for process in trainer.children(recursive=True)]
    assert household, "its training host"
    trainer.kill()
    wait_for(lambda: not any(map(is_alive, household)), "the trainer's training host has ended too")
    finish(process)
    place.wait_until_gone()

    frame = check_budget(log, 6)
    check_whole(log, frame)
    assert set(frame["status"]) == {"completed"}
    check_lineage(frame, steps)
    attempts = frame.set_index("uid")["attempt"]
    assert attempts[victim["uid"]] == 2
    assert all(attempts[claim["uid"]] > claim["attempt"] for claim in cut)
    proposals = {claim["uid"]: claim["proposal"] for claim in cut}
    assert all(claim["proposal"] == proposals.get(claim["uid"], claim["proposal"]) for claim in claims(log))
    (winner,) = winners(log)
    assert winner["test_openings"] == 1


def write_pictures(folder: Path, classes: int, each: int) -> None:
    """Digits as PNG files, 16 pixels wide, in a folder for each class."""
    digits = load_digits(n_class=classes)
    for label in range(classes):
        (folder / f"digit-{label}").mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.target == label][:each]):
            picture = Image.fromarray((image * 15).astype(np.uint8)).resize((16, 16))
            picture.save(folder / f"digit-{label}" / f"{number}.png")


def test_a_folder_of_pictures_searched_against_the_clock(place: Workplace) -> None:
    log = place.folder / "log"
    write_pictures(place.folder / "pictures", classes=3, each=60)
    printed = place.run(
        "search", "pictures", "--minutes", "0.4", "--trainers", "2", "--steps", "200000", "--log", "log"
    )  # fmt: skip
    frame = trials(log)
    check_whole(log, frame)
    assert len(frame) == len(results(log)) >= 1
    assert not unfinished(log)
    stopped = frame[frame["status"] == "stopped"]
    assert len(stopped)
    assert (stopped["steps"] < 200_000).all()
    assert (stopped["objective"] > 0.5).any()
    stop = json.loads((log / "runs/0001.1.stop.json").read_text())
    assert "minutes" in stop["reason"]
    assert winners(log)[0]["uid"] in printed

    (place.folder / "unlabelled").mkdir()
    for label in range(3):
        source = place.folder / f"pictures/digit-{label}/7.png"
        source.rename(place.folder / f"unlabelled/{label}.png")
    predicted = pd.read_csv(StringIO(place.run("predict", "log", "unlabelled")))
    assert set(predicted["prediction"]) <= {"digit-0", "digit-1", "digit-2"}
    assert len(predicted) == 3


SPACE = '''"""Dense blocks, two of which are no good."""

from msearch_core.blocks.dense import dense
from msearch_core.space import Choice, SearchSpace, block


@block()
def broken(inputs, name):
    """Cannot be built."""
    raise RuntimeError("this block is out of order\\nand says so at length")


@block()
def explosive(inputs, name):
    """Overflows."""
    import keras

    hidden = keras.layers.Dense(8, name=f"{name}_dense")(inputs)
    return keras.layers.Rescaling(1e30, name=f"{name}_more")(keras.layers.Rescaling(1e30, name=f"{name}_much")(hidden))


space = SearchSpace(
    name="mine",
    blocks=(*dense.variants(units=(16, 32, 64)), broken(), explosive()),
    hyperparameters={"learning_rate": Choice((0.003, 0.01))},
    max_depth=2,
    suggestions=(("broken()",), ("explosive()",), ("dense(units=32)",), ("dense(units=64)", "broken()")),
)
'''


def wine_table() -> pd.DataFrame:
    """Wines with numbers, categories, missing values in both, and text labels."""
    wine = load_wine(as_frame=True)
    rng = np.random.default_rng(0)
    table = wine.data[["alcohol", "malic_acid", "flavanoids", "proline"]].copy()
    table["colour"] = pd.cut(wine.data["color_intensity"], 4, labels=["pale", "ruby", "garnet", "inky"]).astype(object)
    table["hue"] = np.where(wine.data["hue"] > 1, "warm", "cold")
    for column in ("malic_acid", "colour"):
        table.loc[rng.random(len(table)) < 0.1, column] = None
    return table.assign(cultivar=np.array(["barolo", "grignolino", "barbera"])[wine.target])


def test_a_table_searched_in_a_space_of_ones_own_where_blocks_fail(place: Workplace) -> None:
    log = place.folder / "log"
    (place.folder / "mine.py").write_text(SPACE)
    table = wine_table()
    table.assign(country="Italy").to_csv(place.folder / "wine.csv", index=False)
    printed = place.run(
        "search", "wine.csv", "--target", "cultivar", "--space", "mine.py",
        "--trials", "6", "--trainers", "2", "--steps", "60", "--log", "log",
    )  # fmt: skip
    assert "left out of the data: 'country' is constant\n" in printed
    flows = "".join(path.read_text() for path in (place.cache / "state").rglob("search-*.log"))
    assert "WARNING | Flow run 'search-wine.csv' - left out of the data: 'country' is constant\n" in flows
    frame = check_budget(log, 6)
    check_whole(log, frame)
    assert list(frame["status"][:4]) == ["failed", "diverged", "completed", "failed"]
    assert "this block is out of order" in frame["error"][0]
    assert frame["objective"][:2].isna().all()
    (winner,) = winners(log)
    assert winner["validation"]["accuracy"] > 0.6

    unlabelled = table.drop(columns="cultivar")
    unlabelled.loc[0, "colour"] = "turquoise"
    unlabelled.loc[1, ["alcohol", "hue"]] = None
    unlabelled.to_csv(place.folder / "new.csv", index=False)
    place.run("predict", "log", "new.csv", "--out", "predicted.csv")
    predicted = pd.read_csv(place.folder / "predicted.csv")
    assert len(predicted) == len(table)
    assert set(predicted["prediction"]) <= set(table["cultivar"])
    assert (predicted["prediction"] == table["cultivar"]).mean() > 0.6
    probabilities = predicted[[f"probability_{label}" for label in sorted(set(table["cultivar"]))]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-3)
    assert "accuracy" in place.run("export", "log", "--out", "taken")


DEADLY = """
import os
import keras
import psutil
from msearch_core.space import SearchSpace, block

@block()
def deadly(inputs, name, units):
    psutil.Process(os.getppid()).parent().kill()
    return keras.layers.Dense(units)(inputs)

space = SearchSpace("deadly", [deadly(units=units) for units in (1, 2, 3, 4)], {})
"""


@pytest.mark.cluster
def test_a_machine_that_kills_all_trainers_does_not_spend_the_budget(place: Workplace) -> None:
    (place.folder / "mine.py").write_text(DEADLY)
    process = place.msearch(
        "search", "iris", "--space", "mine.py:space", "--trials", "3", "--trainers", "1", "--log", "log"
    )  # fmt: skip
    finish(process, 2)
    assert len(results(place.folder / "log")) == 2, "a trial that three trainers died at is given up"
