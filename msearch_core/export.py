"""Taking a model away: a folder that needs no msearch, with the proof that it says what it said in the search."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msearch_core.algorithms.history import outcomes
from msearch_core.data.options import data_options
from msearch_core.errors import UserError
from msearch_core.exporting.about import about
from msearch_core.exporting.bundle.predict import FILES
from msearch_core.exporting.card import model_card
from msearch_core.exporting.checking import ask, check_score, read_answers
from msearch_core.exporting.choosing import data_of, model_uid
from msearch_core.exporting.facts import facts
from msearch_core.exporting.folder import new_folder, write_companions
from msearch_core.exporting.raw import write_parts
from msearch_core.objectives import find_objective
from msearch_core.training import checkpoints, spec
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.asking import NO_RESULT, ask_child
from msearch_core.training.client import TrainingHost
from msearch_core.training.spec import ExportResult, ExportSpec
from msearch_core.trial_log import SearchRecord, TrialLog
from msearch_core.trial_log.layout import parse_uid

FORMATS = tuple(FILES)
_PACKAGES = {"onnx": ("tf2onnx", "onnxruntime")}


@dataclass(frozen=True)
class Export:
    """A model that was taken away.

    Attributes:
        folder: the bundle, a local path or an fsspec URL.
        uid: the trial whose model it is.
        formats: of the model.
        objective: the name of the score.
        recorded: the validation score in the log; ``None`` if the data has changed since.
        scores: by format, the validation score of the model that was loaded again from disk by a fresh process.
    """

    folder: str
    uid: str
    formats: tuple[str, ...]
    objective: str
    recorded: float | None
    scores: Mapping[str, float]


def export(
    log: TrialLog,
    uid: str | None = None,
    formats: Sequence[str] = ("keras",),
    out: str = "export",
    host: TrainingHost | None = None,
) -> Export:
    """Write a trial's model in some formats, each of which takes raw input, into a folder that explains itself.

    It is scored again on the validation split, after a fresh process has loaded it from disk, and nothing is left at
    ``out`` if that score is not the recorded one. The test split stays closed. Where the data has changed since, it is
    compared with what the model in the log says of the new validation split.

    Args:
        log: the trial database.
        uid: any trial that has a model; by default the one in use, where one was promoted, else the newest winner.
        formats: ``keras``, ``savedmodel``, ``tflite``, ``onnx``.
        out: a folder that is empty or does not exist, local or any fsspec URL.
        host: the process that owns TensorFlow; by default one is started for this.

    Raises:
        UserError: there is no such model, its data cannot be read, a format cannot be written or read again, or the
            exported model says something else.
    """
    formats = tuple(dict.fromkeys(formats)) or ("keras",)
    _check_formats(formats)
    search = log.search()
    frame = log.trials()
    model = model_uid(log, frame, uid)
    run = next((each for each in log.runs() if each.run == parse_uid(model).run), None)
    if run is None:
        raise UserError(f"{log.url} has no run of {model}; `msearch check` tells what else is lost")
    with new_folder(out) as bundle, tempfile.TemporaryDirectory(prefix="msearch-export-") as folder:
        scratch = Path(folder)
        # TensorFlow loads while the data is read.
        with contextlib.nullcontext(host) if host else TrainingHost(scratch / "host.log") as used:
            data_folder, data, same = data_of(log, search, run)
            known = about(data.problem)
            result = _convert(log, search, model, data_folder, formats, used, scratch, bundle)
        own = dict(result.own_layers.values()) if "keras" in formats else {}
        source = data_options(run.data)
        row = write_parts(source, data, "validation", search.split_seed, run.moved, known, scratch / "inputs")
        write_companions(bundle, known, row, scratch / "inputs" / "00000.npz")

        objective = find_objective(data.problem, search.objective)
        mine = frame[frame["uid"] == model].iloc[0]
        recorded = float(mine["objective"]) if same else None
        expected = checkpoints.load(scratch / spec.PREDICTIONS)
        ask(bundle, formats, scratch / "inputs", scratch / "answers", own)
        scores = {}
        for each in formats:
            said = read_answers(data.problem, each, scratch / "answers")
            try:
                scores[each] = check_score(objective, data.problem, data.splits["validation"], said, expected, recorded)
            except UserError as error:
                raise UserError(f"the {each} model of {model}, loaded again, is another one: {error}") from None
        told = facts(log, search, run, frame, model, scores, same, sorted(result.own_layers) if own else [])
        card = model_card(told, known, formats, with_row=row is not None)
        (bundle / "README.md").write_text(card, encoding="utf-8")
    return Export(out, model, formats, objective.name, recorded, scores)


def _check_formats(formats: Sequence[str]) -> None:
    for each in formats:
        if each not in FORMATS:
            raise UserError(f"there is no format {each!r}; expected some of {', '.join(FORMATS)}")
        for package in _PACKAGES.get(each, ()):
            if importlib.util.find_spec(package) is None:
                raise UserError(f"--format {each} needs the package {package}; pip install 'msearch[onnx]'")


def _convert(
    log: TrialLog,
    search: SearchRecord,
    uid: str,
    data: Path,
    formats: Sequence[str],
    host: TrainingHost,
    scratch: Path,
    bundle: Path,
) -> ExportResult:
    history = {each.uid: each for each in outcomes(log.table(), parse_uid(uid).run)}
    try:
        members = Artefacts(log.store).load_members(history[uid], history, scratch)
    except (FileNotFoundError, KeyError):
        raise UserError(f"the weights of {uid} are gone, pruned perhaps; choose a better trial") from None
    asked = ExportSpec(
        uid=uid,
        space=search.space,
        members=members,
        data=str(data),
        formats=tuple(formats),
        bundle=str(bundle),
        output=str(scratch),
    )
    result = ask_child(host, "export", asked, scratch, ExportResult) or ExportResult(status="failed", error=NO_RESULT)
    if result.status != "completed":
        raise UserError(f"{uid} could not be exported: {result.error}; try another --format")
    return result
