"""Each kind of winner in each format, used where there is no msearch, on raw input, against the recorded test score.

    python -m benchmarks.exports                                   # small searches; sounds are made up
    python -m benchmarks.exports --audio train --audio-test test   # folders of class folders with WAV files
    python -m benchmarks.exports --kinds sequence --trials 8
    python -m benchmarks.exports --families                        # every family of blocks of the large spaces

Each search is whole, from the data to the winner. Its model is exported in all formats, which scores it on the
validation split; then a fresh interpreter, whose packages are those of this environment without msearch, loads each
from disk and answers the raw examples of the test split.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile

import msearch_core
from benchmarks.problems import flats, shapes, states, tags, wine
from msearch_core.data.options import DataOptions, data_options
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import open_prepared
from msearch_core.data.problem import fitted_space
from msearch_core.errors import UserError
from msearch_core.export import FORMATS
from msearch_core.exporting.about import about
from msearch_core.exporting.checking import ask, read_answers
from msearch_core.exporting.raw import write_parts
from msearch_core.loading import load_space
from msearch_core.objectives import find_objective
from msearch_core.space import Architecture, SearchSpace

ALONE = f"""
import importlib.util, runpy, sys
sys.path.append({sysconfig.get_path("purelib")!r})
assert importlib.util.find_spec("msearch_core") is None, "msearch is installed here"
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Run by an interpreter that sees no file that would lead it to an editable installation."""


def digits(_folder: Path) -> DataOptions:
    """Scikit-learn's digits: 8 x 8 images."""
    return DataOptions("digits")


def sounds(folder: Path) -> DataOptions:
    """Made-up sounds of three kinds and any length, in noise."""
    rng = np.random.default_rng(0)
    for number in range(240):
        kind = ("low", "high", "rising")[number % 3]
        (folder / "sounds" / kind).mkdir(parents=True, exist_ok=True)
        time = np.arange(rng.integers(2000, 6000)) / 8000
        pitch = {"low": 300 + 0 * time, "high": 1200 + 0 * time, "rising": 300 + 900 * time}[kind]
        sound = np.sin(2 * np.pi * np.cumsum(pitch) / 8000) + rng.normal(size=len(time))
        wavfile.write(folder / "sounds" / kind / f"{number}.wav", 8000, (8000 * sound).clip(-32768, 32767).astype("i2"))
    return DataOptions(str(folder / "sounds"))


KINDS: dict[str, Callable[[Path], DataOptions]] = {
    "table": flats,
    "image": digits,
    "audio": sounds,
    "sequence": shapes,
    "several labels": tags,
    "two tasks": wine,
    "labels of steps": states,
}


def run(kind: str, options: DataOptions, folder: Path, arguments: argparse.Namespace) -> float:
    """Search, export, ask; prints a line a format and returns how far the worst score is from the recorded one."""
    found = msearch_core.search(
        options.data,
        target=list(options.target) or None,
        task=[f"{name}={task}" for name, task in options.task.items()] or None,
        test=options.test,
        log=str(folder / "log"),
        trials=arguments.trials,
        steps=arguments.steps,
        trainers=2,
        ensemble_every=arguments.trials,
    )
    began = time.monotonic()
    made = found.export(str(folder / "bundle"), FORMATS)
    seconds = time.monotonic() - began
    search, source, moved = found.log.search(), data_options(found.run.data), found.run.moved
    data = open_prepared(prepare_cached(source, seed=search.split_seed, moved=moved))
    objective = find_objective(data.problem, search.objective)
    write_parts(source, data, "test", search.split_seed, moved, about(data.problem), folder / "inputs")
    ask(
        folder / "bundle",
        FORMATS,
        folder / "inputs",
        folder / "answers",
        python=(sys.executable, "-I", "-S", "-c", ALONE),
    )
    recorded, split, worst = found.winner.test[objective.name], data.splits["test"], 0.0
    for each in FORMATS:
        said: Any = read_answers(data.problem, each, folder / "answers")
        score = objective.score(split.y, said, split.weight)
        worst = max(worst, abs(score - recorded) / max(1.0, abs(recorded)))
        size = sum(file.stat().st_size for file in (folder / "bundle").rglob("*") if _is_of(file, each)) / 1e3
        blocks = f"{found.best['kind']}, {len(split)} examples" if each == FORMATS[0] else ""
        print(
            f"{kind:<16}{each:<12}{objective.name:<11}{made.recorded:>10.4f}{made.scores[each]:>10.4f}"
            f"{recorded:>10.4f}{score:>10.4f}{size:>9.0f}   {blocks}",
            flush=True,
        )
    print(f"{'':<16}exported and checked in {seconds:.1f} s", flush=True)
    return worst


FAMILIES = {
    "tabular_full": "table",
    "image_full": "image",
    "audio": "audio",
    "sequence": "sequence",
    "sequence_labels": "labels of steps",
}
"""A kind of data for each space of many blocks."""


def covering(space: SearchSpace, seed: int = 0) -> list[Architecture]:
    """Architectures drawn from a space that hold each of its families of blocks."""
    rng, missing, found = np.random.default_rng(seed), {each.family.name for each in space.blocks}, []
    while missing:
        drawn = space.random_architecture(rng)
        new = {each.family.name for each in space.resolve(drawn)} & missing
        if new:
            found.append(drawn)
            missing -= new
    return found


def export_families(name: str, folder: Path) -> int:
    """Train architectures with every family of blocks, export each in all formats; returns how many could not be."""
    options = KINDS[FAMILIES[name]](folder)
    source = open_prepared(prepare_cached(options, seed=0))
    architectures = covering(fitted_space(load_space(name), source.problem))
    found = msearch_core.search(
        options.data,
        target=list(options.target) or None,
        space=name,
        suggest=[list(each) for each in architectures],
        log=str(folder / "log"),
        trials=len(architectures),
        steps=20,
        trainers=2,
    )
    failures = 0
    for row in found.trials.sort_values("uid").itertuples():
        for each in FORMATS:
            told = ""
            try:
                made = found.export(str(folder / "bundle" / str(row.uid) / each), [each], str(row.uid))
                told = f"{made.recorded:.4f} {made.scores[each]:.4f}"
            except UserError as error:
                failures += 1
                told = f"FAILED: {error}"
            print(f"{name:<16}{each:<12}{told}   {' > '.join(row.architecture)}", flush=True)
    return failures


def _is_of(file: Path, format_name: str) -> bool:
    from msearch_core.exporting.bundle.predict import FILES

    return file.is_file() and FILES[format_name] in file.parts


def main() -> None:
    """Parse the options, run the searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--trials", type=int, default=5, help="the last of them is an ensemble")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--audio", help="folder of class folders with WAV files, in place of made-up sounds")
    parser.add_argument("--audio-test", help="folder of its test split")
    parser.add_argument(
        "--families", nargs="*", choices=list(FAMILIES), help="spaces whose blocks are exported instead"
    )
    arguments = parser.parse_args()
    if arguments.families is not None:
        failures = 0
        for name in arguments.families or FAMILIES:
            with tempfile.TemporaryDirectory() as folder:
                failures += export_families(name, Path(folder))
        print(f"{failures} exports failed")
        sys.exit(failures > 0)
    print(
        f"{'kind':<16}{'format':<12}{'score':<11}{'validation':>10}{'exported':>10}{'test':>10}{'exported':>10}{'kB':>9}"
    )
    worst = 0.0
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            options = KINDS[kind](folder)
            if kind == "audio" and arguments.audio:
                options = DataOptions(arguments.audio, test=arguments.audio_test)
            worst = max(worst, run(kind, options, folder, arguments))
    print(f"the worst test score is {worst:.1e} from the recorded one")
    sys.exit(worst > 1e-3)


if __name__ == "__main__":
    main()
