"""Training a trial again from its row alone, to see how far its score can be trusted. Nothing is written to the log."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from msearch_core.errors import UserError
from msearch_core.readable import score_text
from msearch_core.terminal import Log

if TYPE_CHECKING:
    from msearch_core.training.replaying import Replayer
    from msearch_core.training.spec import TrialResult
    from msearch_core.trial import Trial

STANDARD_ERRORS = 2.0
"""How many standard errors of the difference of the two scores are tolerated."""

Verdict = Literal["bit-equal", "within", "beyond", "other data", "unscored"]


@dataclass(frozen=True)
class Replay:
    """A trial's row beside what came of it when it was trained again.

    Attributes:
        row: as it is on record.
        result: what came of it now.
        threads: cores that were used.
        batch_size: that of the search; a trial that ran out of memory has half of it.
        now: ``data_fingerprint``, ``space_fingerprint``, ``versions``, ``host`` and ``processor`` as they are now.
        equal: what is the same to the last bit, of all that there is on record.
        from_scratch: whether its ancestors were trained again too.
    """

    row: Trial
    result: TrialResult
    threads: int
    batch_size: int
    now: Mapping[str, Any]
    equal: Mapping[str, bool]
    from_scratch: bool = False

    @property
    def difference(self) -> float | None:
        """How much larger the score is now; ``None`` without two scores."""
        if self.row.objective is None or self.result.objective is None:
            return None
        return self.result.objective - self.row.objective

    @property
    def tolerance(self) -> float:
        """Two standard errors of the difference of the two scores, as if they came of different samples."""
        return STANDARD_ERRORS * math.hypot(self.row.objective_se or 0.0, self.result.objective_se or 0.0)

    @property
    def verdict(self) -> Verdict:
        """How close it came; ``unscored`` if one of the two has no score, ``other data`` if they do not compare."""
        if self.difference is None:
            return "unscored"
        if not self.same["data"]:
            return "other data"
        if all(self.equal.values()):
            return "bit-equal"
        return "within" if abs(self.difference) <= self.tolerance else "beyond"

    @property
    def agrees(self) -> bool:
        """Whether it ended as it had ended, on the same data, with a score within the tolerance."""
        return self.result.status == self.row.status and self.verdict not in ("beyond", "other data")

    @property
    def same(self) -> dict[str, bool]:
        """Whether code, data and versions are those on record."""
        return {
            "code": self.row.space_fingerprint == self.now["space_fingerprint"],
            "data": self.row.data_fingerprint == self.now["data_fingerprint"],
            "versions": dict(self.row.versions or {}) == self.now["versions"],
        }

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON takes it."""
        return {
            "uid": self.row.uid,
            "verdict": self.verdict,
            "agrees": self.agrees,
            "recorded": {name: getattr(self.row, name) for name in ("status", "objective", "objective_se", "steps")},
            "replayed": {
                name: getattr(self.result, name) for name in ("status", "error", "objective", "objective_se", "steps")
            },
            "difference": self.difference,
            "tolerance": self.tolerance,
            "same": self.same,
            "equal": dict(self.equal),
            "threads": self.threads,
            "from_scratch": self.from_scratch,
            "notes": list(notes(self)),
        }


def replay(replayer: Replayer, uid: str, *, from_scratch: bool = False) -> Replay:
    """Train a trial again and compare it with its row.

    Args:
        replayer: does it.
        uid: the trial.
        from_scratch: train its ancestors again too, instead of starting from their weights in the log.

    Raises:
        UserError: there is no such trial, it was never trained, or what it was made from is gone.
    """
    from msearch_core.data.prepared import open_prepared
    from msearch_core.session import versions
    from msearch_core.training.measure import processor
    from msearch_core.trial_log import Identity

    row = replayer.row(uid)
    result, output = replayer.replay(uid, from_scratch=from_scratch)
    session = replayer.session(uid)
    now = {
        "data_fingerprint": open_prepared(session.data).fingerprint,
        "space_fingerprint": session.space.fingerprint,
        "versions": versions(),
        "host": Identity.of_this_process().host,
        "processor": processor(),
    }
    equal = {**_equal_scores(row, result), **replayer.equal_files(row, output)}
    batch_size = int(session.search.settings["batch_size"])
    return Replay(row, result, replayer.threads(row), batch_size, now, equal, from_scratch)


def _equal_scores(row: Trial, result: TrialResult) -> dict[str, bool]:
    equal = {"score": row.objective == result.objective}
    if row.curve is not None:
        equal["curve"] = row.curve == result.curve
    if row.kind == "ensemble" and not row.architecture:
        equal["members"] = (row.mutation or {}).get("members") == getattr(result, "members", None)
    return equal


def notes(done: Replay) -> Iterator[str]:
    """What of a trial cannot be repeated exactly, and what was done in its place."""
    row, recorded = done.row, dict((done.row.extra or {}).get("training", {}))
    if row.kind == "rescore":
        yield "a re-scoring trains nothing: the model of the log was scored again"
    elif row.kind == "ensemble" and not row.architecture:
        kind = "those of the candidates, trained again" if done.from_scratch else "the validation outputs in the log"
        yield f"an ensemble trains nothing: its members were chosen again from {kind}"
    elif not recorded:
        yield f"how many threads it had is not on record; {done.threads} were used"
    if row.status == "stopped":
        yield (
            f"it was ended early ({row.error or 'the search was over'}); what ended it depends on other trials and on "
            f"the time, so it was ended again after the same {row.steps} steps"
        )
    if recorded.get("resumed_at"):
        yield (
            f"attempt {row.attempt} went on from step {recorded['resumed_at']} of an earlier one, which may have run "
            "on another machine; the replay trains in one go"
        )
    if row.batch_size and row.batch_size != done.batch_size:
        yield f"memory ran out at batches of {done.batch_size}; the replay begins with those of {row.batch_size}"
    if row.status in ("oom", "failed"):
        yield "whether a trial runs out of memory or crashes depends on the machine"
    if recorded.get("gpus"):
        yield "it was trained on a GPU, whose sums have no fixed order: expect it to be close, not equal"
    elif recorded and recorded.get("threads") != done.threads:
        yield f"it had another number of threads, {recorded.get('threads')}, whose sums have another order"
    elif recorded and done.threads > 1:
        yield f"{done.threads} threads add up in no fixed order: expect it to be close, not equal"
    if recorded.get("processor") not in (None, done.now["processor"]):
        yield f"it was trained on another processor: {recorded['processor']}; this is {done.now['processor']}"
    if done.from_scratch and row.kind != "rescore":
        yield "its ancestors were trained again too, each to the steps on record"


def lines(done: Replay) -> Iterator[str]:
    """The comparison for a person to read."""
    row, result, same = done.row, done.result, done.same
    changed = [
        f"{name} {(row.versions or {}).get(name, 'unknown')} on record, {now} here"
        for name, now in done.now["versions"].items()
        if (row.versions or {}).get(name) != now
    ]
    data, code = done.now["data_fingerprint"], done.now["space_fingerprint"]
    yield f"{row.uid} ({row.kind}) trained again"
    yield f"code        {_same(same['code'], f'space {row.space}', row.space_fingerprint, code)}"
    yield f"data        {_same(same['data'], 'fingerprint', row.data_fingerprint, data)}"
    yield f"versions    {'the same' if same['versions'] else 'NOT the same: ' + '; '.join(changed)}"
    yield f"machine     {'the same' if row.host == done.now['host'] else 'another: ' + str(row.host) + ' on record'}"
    yield f"on record   {_score(row, row.objective_name)}"
    yield f"now         {_score(result, row.objective_name)}"
    for note in notes(done):
        yield f"note        {note}"
    if done.difference is None:
        yield "the same end" if done.agrees else "NOT the same end"
        return
    far = f"difference {done.difference:+.3g}, tolerance {done.tolerance:.3g} ({STANDARD_ERRORS:g} standard errors)"
    if done.verdict == "bit-equal":
        yield f"bit-equal: {', '.join(done.equal)}"
    elif done.verdict == "within":
        unequal = [name for name, equal in done.equal.items() if not equal]
        yield f"within the tolerance: {far}; not bit-equal: {', '.join(unequal)}"
    elif done.verdict == "other data":
        yield f"the data has CHANGED, so the two scores do not compare: difference {done.difference:+.3g}"
    else:
        yield f"BEYOND the tolerance: {far}"


def _same(same: bool, what: str, recorded: str | None, now: str) -> str:
    return f"the same ({what}, {now})" if same else f"NOT the same ({what}): {recorded} on record, {now} here"


def _score(trial: Any, name: str | None) -> str:
    if trial.objective is None:
        return f"{trial.status}{': ' + trial.error if trial.error else ''}"
    error = "" if trial.objective_se is None else f" ± {score_text(trial.objective_se)}"
    return f"{name} {trial.objective:.6g}{error} ({trial.status}, {trial.steps} steps)"


def replay_command(
    log: Log,
    uid: Annotated[str, typer.Argument(help="The trial.")],
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train its ancestors again too, and use no weights of the log.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use. [default: as many as it had]")] = None,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Train a trial again from its row, and say how close it came. Exit code 1: beyond the tolerance, or other data."""
    from msearch_core.training.client import TrainingHost
    from msearch_core.training.replaying import Replayer
    from msearch_core.trial_log import TrialLog
    from msearch_core.urls import short

    opened = TrialLog(log)
    opened.search()
    if uid not in set(opened.trials()["uid"]):
        raise UserError(f"{short(opened.url)} has no trial {uid!r}; see: msearch trials {short(opened.url)}")
    with (
        tempfile.TemporaryDirectory(prefix="msearch-replay-") as folder,
        TrainingHost(Path(folder) / "host.log") as host,
    ):
        done = replay(Replayer(opened, host, Path(folder), threads), uid, from_scratch=from_scratch)
    text = json.dumps(done.as_dict(), indent=1) if output == "json" else "\n".join(lines(done))
    sys.stdout.write(text + "\n")
    raise typer.Exit(0 if done.agrees else 1)
