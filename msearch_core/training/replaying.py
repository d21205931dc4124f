"""Training a trial again from its row: the same question to a training process, with the same seeds and weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from msearch_core.algorithms.history import Outcome, outcomes
from msearch_core.errors import UserError
from msearch_core.session import Session, resolve
from msearch_core.training import spec
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.asking import NO_RESULT, ask_child
from msearch_core.training.client import TrainingHost
from msearch_core.training.preparing import ensemble_spec, fetch_checkpoint, fetch_teacher, trial_spec
from msearch_core.training.rescoring import Rescorer
from msearch_core.training.rows import proposal_of
from msearch_core.training.sources import load_base, load_parents, parents_of, sources_of
from msearch_core.training.spec import EnsembleResult, TrialResult
from msearch_core.training.staging import stage_of
from msearch_core.trial import Trial, from_table
from msearch_core.trial_log import TrialLog
from msearch_core.trial_log.layout import checkpoint_file, parse_uid
from msearch_core.trial_log.store import open_store

UNTRAINED = ("infeasible",)
"""Trials that ended before anything was trained."""


class Replayer:
    """Does trials of a log again. It reads the log and writes to a local folder.

    Args:
        log: the trial database.
        host: the process that trains.
        scratch: a local folder.
        threads: cores to use; as many as the trial had if not given.
    """

    def __init__(self, log: TrialLog, host: TrainingHost, scratch: Path, threads: int | None = None) -> None:
        self._log = log
        self._host = host
        self._scratch = scratch
        self._threads = threads
        self._sessions: dict[str, Session] = {}
        self._histories: dict[str, dict[str, Outcome]] = {}

    @cached_property
    def _table(self) -> pa.Table:
        return self._log.table()

    @cached_property
    def rows(self) -> dict[str, Trial]:
        """Every trial on record by uid."""
        return {row.uid: row for row in from_table(self._table)}

    def row(self, uid: str) -> Trial:
        """A trial on record.

        Raises:
            UserError: there is none of that name.
        """
        if uid not in self.rows:
            raise UserError(f"{self._log.url} has no trial {uid!r}; see: msearch trials {self._log.url}")
        return self.rows[uid]

    def session(self, uid: str) -> Session:
        """The run of a trial, as this machine finds its data and its space."""
        run = parse_uid(uid).run
        if run not in self._sessions:
            self._sessions[run] = resolve(self._log, run)
        return self._sessions[run]

    def threads(self, row: Trial) -> int:
        """How many cores the trial is trained with."""
        return self._threads or int(conditions(row).get("threads", 1))

    def replay(self, uid: str, *, from_scratch: bool = False) -> tuple[TrialResult, Path]:
        """Do a trial again, with weights and outputs of earlier trials as the log has them.

        Args:
            uid: the trial.
            from_scratch: do all that it was made from again as well, and take nothing from the log but rows.

        Returns:
            What came of it, and the folder with its weights and validation outputs.

        Raises:
            UserError: it was never trained, or something that it was made from is gone.
        """
        row = self.row(uid)
        if row.status in UNTRAINED:
            raise UserError(f"{uid} was never trained ({row.error}); replay a trial that was")
        if not from_scratch:
            return self._do(row, Artefacts(self._log.store))
        if row.kind == "rescore":
            raise UserError(f"{uid} scored {row.parents[0] if row.parents else ''} again; replay that one from scratch")
        store = open_store(str(self._scratch / "ancestors"))
        for each in self._ancestors(row):
            earlier = self.row(each)
            result, output = self._do(earlier, Artefacts(store))
            for name, file in ((earlier.weights, spec.WEIGHTS), (earlier.predictions, spec.PREDICTIONS)):
                if name and (output / file).exists():
                    store.create(name, (output / file).read_bytes())
            if (output / spec.CHECKPOINT).exists():
                store.create(checkpoint_file(each, 1, 1), (output / spec.CHECKPOINT).read_bytes())
            if result.objective is None:
                raise UserError(f"its ancestor {each}, trained again, is {result.status}: {result.error}")
        return self._do(row, Artefacts(store))

    def equal_files(self, row: Trial, output: Path) -> dict[str, bool]:
        """Whether weights and validation outputs are those in the log, byte by byte; only what is there is compared."""
        equal = {}
        for what, name, file in (
            ("weights", row.weights, spec.WEIGHTS),
            ("outputs", row.predictions, spec.PREDICTIONS),
        ):
            if name and row.kind != "rescore":
                with contextlib.suppress(FileNotFoundError):
                    recorded = self._log.store.read(name)
                    equal[what] = (output / file).exists() and recorded == (output / file).read_bytes()
        return equal

    def _ancestors(self, row: Trial) -> Iterator[str]:
        """What a trial was made from, each after all that it was made from itself, and once.

        Averaged trials have ancestors in common: along each line by itself there are exponentially many.
        """
        seen: set[str] = set()
        waiting = [(uid, False) for uid in reversed(self._made_from(row))]
        while waiting:
            uid, after_its_own = waiting.pop()
            if after_its_own:
                yield uid
            elif uid not in seen:
                seen.add(uid)
                waiting.append((uid, True))
                waiting += [(each, False) for each in reversed(self._made_from(self.row(uid)))]

    def _made_from(self, row: Trial) -> list[str]:
        """The trials whose weights or outputs one starts from."""
        proposal = proposal_of(row)
        if chosen(row):
            return list(proposal.parents)
        started_from = sources_of(proposal) if row.inheritance is not None else ()
        needed = (*started_from, *(each for each in (proposal.teacher, proposal.base) if each))
        return [model for uid in needed for model in self._models(uid)]

    def _models(self, uid: str) -> list[str]:
        """The trials that trained what a trial is made of: itself, an ensemble's members, the one scored again."""
        row = self.row(uid)
        if row.kind == "ensemble":
            return list((row.mutation or {}).get("members", {}))
        if row.kind == "rescore":
            return self._models((row.parents or ("",))[0])
        return [uid]

    def _history(self, uid: str) -> dict[str, Outcome]:
        run = parse_uid(uid).run
        if run not in self._histories:
            self._histories[run] = {each.uid: each for each in outcomes(self._table, run)}
        return self._histories[run]

    def _do(self, row: Trial, artefacts: Artefacts) -> tuple[TrialResult, Path]:
        output = self._scratch / row.uid
        output.mkdir(parents=True, exist_ok=True)
        if row.kind == "rescore":
            return self._rescore(row), output
        if chosen(row):
            return self._ensemble(row, artefacts, output), output
        return self._train(row, artefacts, output), output

    def _train(self, row: Trial, artefacts: Artefacts, output: Path) -> TrialResult:
        session, proposal, history = self.session(row.uid), proposal_of(row), self._history(row.uid)
        settings = session.search.settings
        parents = parents_of(proposal, history, settings) if row.inheritance is not None else []
        found = load_parents(artefacts, proposal, parents, output)
        if row.inheritance is not None and len(found) < len(sources_of(proposal)):
            raise _gone(row.uid, f"the weights of {', '.join(sources_of(proposal))}")
        try:
            teacher = fetch_teacher(artefacts, session.search, proposal, history, output, output / "teachers")
            base = load_base(artefacts, proposal, history, settings, output)
        except (KeyError, FileNotFoundError) as error:
            raise _gone(row.uid, f"the weights of {proposal.teacher or proposal.base}") from error
        stage = stage_of(proposal, history.get(next(iter(proposal.parents), "")), settings, row.seed or 0)
        trained_on = fetch_checkpoint(artefacts, stage, output)
        if stage.parent and trained_on is None:
            raise _gone(row.uid, f"the checkpoints of {stage.parent.uid}")
        asked = trial_spec(
            session.search,
            proposal,
            row.uid,
            stage=stage,
            batch_size=row.batch_size or int(settings["batch_size"]),
            data=session.data,
            output=output,
            threads=self.threads(row),
            parents=found,
            trained_on=trained_on,
            teacher=teacher,
            base=base,
        )
        recorded = {name: value for name, value in conditions(row).items() if name in spec.CONDITIONS}
        exactly = {
            **recorded,
            "threads": self.threads(row),
            "time_limit_seconds": None,
            "stop_at": row.steps if row.status == "stopped" else None,
        }
        spec.write(asked.model_copy(update=exactly), output / "spec.json")
        ended = self._host.start("train", output / "spec.json").wait()
        return spec.read_result(output, ended.signal if ended else None)

    def _ensemble(self, row: Trial, artefacts: Artefacts, output: Path) -> TrialResult:
        session, candidates = self.session(row.uid), proposal_of(row).parents
        # Of the candidates, those alone could be chosen whose outputs were there.
        known = {uid: each for uid, each in self._history(row.uid).items() if uid in candidates}
        predictions, _ = artefacts.load_outputs(known, output)
        if missing := [uid for uid in candidates if uid not in predictions]:
            raise _gone(row.uid, f"the validation outputs of {', '.join(missing)}")
        asked = ensemble_spec(
            session.search, row.uid, predictions, known, data=session.data, output=output, threads=self.threads(row)
        )
        result = ask_child(self._host, "ensemble", asked, output, EnsembleResult)
        return result or EnsembleResult(status="failed", error=NO_RESULT)

    def _rescore(self, row: Trial) -> TrialResult:
        uid = (row.parents or ("",))[0]
        model = self._history(uid)[uid] if uid in self.rows else None
        if model is None:
            raise _gone(row.uid, f"the trial {uid}")
        score = Rescorer(self.session(row.uid), self._host, self._scratch, self.threads(row)).score(model)
        objective = score.objective.get("validation")
        return TrialResult(
            status="failed" if objective is None else "completed",
            error=score.error,
            objective=objective,
            objective_se=score.objective_se.get("validation"),
            metrics=score.metrics.get("validation"),
            steps=0,
        )


def chosen(row: Trial) -> bool:
    """Whether a trial is an ensemble whose members were chosen, so that nothing was trained."""
    return row.kind == "ensemble" and proposal_of(row).base is None


def conditions(row: Trial) -> dict[str, Any]:
    """How a trial was trained, where no column says it; empty for rows that were written before this was recorded."""
    return dict((row.extra or {}).get("training", {}))


def _gone(uid: str, what: str) -> UserError:
    return UserError(f"{uid} cannot be trained as it was: {what} are no longer in the log; try --from-scratch")
