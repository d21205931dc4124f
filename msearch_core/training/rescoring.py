"""Scoring the best models of an earlier run on the data of a new one, so that their scores can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa

from msearch_core.algorithms.history import Outcome, best, outcomes
from msearch_core.algorithms.promotion import furthest
from msearch_core.data.options import data_options
from msearch_core.data.prepare import prepare_cached
from msearch_core.data.prepared import problem_from_json
from msearch_core.data.problem import Problem
from msearch_core.errors import UserError
from msearch_core.production import in_use
from msearch_core.session import Session, versions
from msearch_core.space import architecture_hash
from msearch_core.training import spec
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.asking import NO_RESULT, ask_child
from msearch_core.training.client import TrainingHost
from msearch_core.training.spec import Member, Score, ScoreResult, ScoreSpec
from msearch_core.trial import Trial
from msearch_core.trial_log import Identity, TrialLog
from msearch_core.trial_log.layout import Uid, model_folder, parse_uid

SplitName = Literal["validation", "test"]


@dataclass(frozen=True)
class Rescorer:
    """Scores earlier models on a run's data, each with the preprocessing that it was trained with.

    Args:
        session: the run.
        host: the process that scores.
        scratch: a local folder.
        threads: cores to use.
    """

    session: Session
    host: TrainingHost
    scratch: Path
    threads: int = 1

    def rescore(self, keep: int) -> list[Trial]:
        """Put the scores of the best earlier models on record, as trials of kind ``rescore`` of the run.

        The model in use is among them, however good it is. Those that are on record already are not scored again.

        Args:
            keep: how many of the last run's best; 0 for the model in use alone.

        Returns:
            The rows that were added.
        """
        log, run = self.session.log, self.session.run.run
        table = log.table()
        wanted = earlier_best(log, table, run, keep)
        again = [row for row in table.select(["run", "kind", "uid", "parents"]).to_pylist() if row["run"] == run]
        done = {row["parents"][0] for row in again if row["kind"] == "rescore"}
        todo = [each for each in wanted if each.uid not in done]
        me = Identity.of_this_process()
        rows = []
        for number, (outcome, score) in enumerate(self._score(todo, ("validation",)), start=len(done) + 1):
            row = self._row(str(Uid(run, number, rescore=True)), outcome, score, me)
            if log.append(row):
                rows.append(row)
        # Trainers see re-scorings in the sealed chunks, and must see them before they begin.
        log.seal()
        return rows

    def score(self, model: Outcome) -> Score:
        """An earlier model's score on the validation split of the run's data. Nothing is put on record."""
        return self._score((model,), ("validation",))[0][1]

    def test(self, uid: str) -> Mapping[str, float]:
        """The fresh test scores of an earlier model. They are reported, and decide nothing."""
        found = [each for each in outcomes(self.session.log.table(), parse_uid(uid).run) if each.uid == uid]
        return next((score.metrics.get("test", {}) for _, score in self._score(found, ("test",))), {})

    def _score(self, models: Sequence[Outcome], splits: tuple[SplitName, ...]) -> list[tuple[Outcome, Score]]:
        by_run: dict[str, list[Outcome]] = {}
        for model in models:
            by_run.setdefault(parse_uid(model.uid).run, []).append(model)
        scored = [
            (model, score)
            for run, group in by_run.items()
            for model, score in zip(group, self._score_run(run, group, splits), strict=True)
        ]
        return sorted(scored, key=lambda each: list(models).index(each[0]))

    def _score_run(self, run: str, models: list[Outcome], splits: tuple[SplitName, ...]) -> Sequence[Score]:
        """Score models of one run, which share the preprocessing that was learned on its data."""
        session, output = self.session, self.scratch / "score"
        output.mkdir(parents=True, exist_ok=True)
        try:
            data = prepare_cached(
                data_options(session.run.data),
                seed=session.search.split_seed,
                moved=session.run.moved,
                like=problem_of(session.log, run),
            )
        except (UserError, FileNotFoundError) as error:
            return [Score(error=spec.one_line(error))] * len(models)
        trained, scores = self._fetch(run, models, output)
        if trained:
            asked = ScoreSpec(
                space=session.search.space,
                objective=session.search.objective,
                models=tuple(trained.values()),
                data=str(data),
                splits=splits,
                threads=self.threads,
                output=str(output),
            )
            result = ask_child(self.host, "score", asked, output, ScoreResult)
            found = result.scores if result else [Score(error=NO_RESULT)] * len(trained)
            scores.update(zip(trained, found, strict=True))
        return [scores[model.uid] for model in models]

    def _fetch(
        self, run: str, models: Sequence[Outcome], output: Path
    ) -> tuple[dict[str, tuple[Member, ...]], dict[str, Score]]:
        """Bring the models' weights here; also why those whose weights are gone have no score. Both by uid."""
        history = {each.uid: each for each in outcomes(self.session.log.table(), run)}
        artefacts = Artefacts(self.session.log.store)
        there: dict[str, tuple[Member, ...]] = {}
        gone: dict[str, Score] = {}
        for model in models:
            try:
                there[model.uid] = artefacts.load_members(model, history, output)
            except FileNotFoundError as error:
                gone[model.uid] = Score(error=f"its weights are gone: {spec.one_line(error)}")
        return there, gone

    def _row(self, uid: str, model: Outcome, score: Score, me: Identity) -> Trial:
        search, run = self.session.search, self.session.run
        metrics = score.metrics.get("validation", {})
        objective = score.objective.get("validation")
        # The tower that an ensemble grew by is no model by itself, and nothing to train on.
        architecture, weights = ((), None) if model.members else (model.architecture, model.weights)
        return Trial(
            uid=uid,
            search=search.id,
            run=run.run,
            attempt=1,
            kind="rescore",
            status="failed" if objective is None else "completed",
            error=score.error or (f"it has no {search.objective}" if objective is None else None),
            objective=objective,
            objective_se=score.objective_se.get("validation"),
            objective_name=search.objective,
            direction=search.direction,
            metrics=metrics or None,
            architecture=architecture,
            architecture_hash=architecture_hash(architecture),
            space=search.space,
            space_fingerprint=search.space_fingerprint,
            algorithm="refresh",
            parents=(model.uid,),
            hyperparameters=dict(model.hyperparameters),
            split_seed=search.split_seed,
            steps=0,
            cumulative_steps=model.cumulative_steps,
            inherited_fraction=1.0,
            parameters=model.parameters,
            weights=weights,
            data_fingerprint=run.data_fingerprint,
            trainer=me.trainer,
            host=me.host,
            versions=versions(),
            finished_at=datetime.now(UTC),
        )


def earlier_best(log: TrialLog, table: pa.Table, run: str, keep: int) -> list[Outcome]:
    """The best trained models of the last run before this one that has a winner, and the model in use.

    An ensemble is among them only if it is in use: there are no weights of its own to train on from. A model in use
    that is the run's own has its score already.
    """
    earlier = max((each.run for each in log.winners() if each.run < run), default=None)
    kinds = ("rescore", "ensemble")
    last = outcomes(table, earlier) if earlier else []
    found = best(furthest([each for each in last if each.weights and each.kind not in kinds]), keep)
    used = in_use(log)
    if used and used.run != run and used.uid not in {each.uid for each in found}:
        found += [each for each in outcomes(table, used.run) if each.uid == used.uid]
    return found


def problem_of(log: TrialLog, run: str) -> Problem:
    """The problem as it was when a run was made, with its preprocessing: its winner's bundle has it.

    Raises:
        FileNotFoundError: the run has no winner.
    """
    winner = next((each for each in reversed(log.winners()) if each.run == run), None)
    if winner is None:
        raise FileNotFoundError(f"run {run} has no winner")
    bundle = json.loads(log.store.read(f"{model_folder(winner.uid)}/{spec.BUNDLE}"))
    return problem_from_json(bundle["problem"])
