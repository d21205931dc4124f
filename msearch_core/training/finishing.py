"""Naming the winner of a run: the best validation score, tested once, made into a model that takes raw input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from msearch_core.algorithms.history import Outcome, outcomes
from msearch_core.errors import UserError
from msearch_core.session import Session
from msearch_core.training import spec
from msearch_core.training.artefacts import Artefacts
from msearch_core.training.asking import NO_RESULT, ask_child
from msearch_core.training.client import TrainingHost
from msearch_core.training.spec import WinnerResult, WinnerSpec
from msearch_core.trial_log import TrialLog, WinnerRecord, opening
from msearch_core.trial_log.layout import model_folder
from msearch_core.trial_log.patience import PatientStore, never
from msearch_core.winning import candidates, choose


def last_winner(session: Session) -> WinnerRecord | None:
    """The winner on record for the run as it stands, or ``None`` if the run has gone on since, or has none."""
    done = _count(session.log.table(), session.run.run)
    for winner in reversed(session.log.winners()):
        if winner.run == session.run.run:
            return winner if winner.trials == done else None
    return None


def name_winner(
    session: Session,
    host: TrainingHost,
    scratch: Path,
    threads: int = 1,
    give_up: Callable[[], bool] = never,
) -> WinnerRecord | None:
    """Choose the winner of a finished run, score it on the test split and put its model into the log.

    A trial that won before keeps its test score: the test split is not opened again for it. Of several searches that
    end a run together, one opens it, and the others take over its record. A trial whose weights are gone cannot win.
    A store that does not answer is waited for.

    Args:
        session: the run.
        host: the process that scores.
        scratch: a local folder.
        threads: cores to use.
        give_up: whether to stop waiting for a store or for another search.

    Returns:
        The record; ``None`` if no trial of the run has a score.

    Raises:
        UserError: the finished model cannot be built or does not survive being saved.
        OSError: the store did not answer for long, or the caller gave up.
    """
    # Once the test split was opened, that must come on record, whatever becomes of the store meanwhile.
    session = replace(session, log=TrialLog(PatientStore(session.log.store, give_up)))
    if named := last_winner(session):
        return named
    table = session.log.table()
    history = outcomes(table, session.run.run)
    by_uid = {each.uid: each for each in history}
    earlier = session.log.winners()
    chosen = choose(candidates(session.log, history, earlier))
    if chosen is None:
        return None
    run, trials = session.run.run, _count(table, session.run.run)
    if again := next((each for each in earlier if (each.run, each.uid) == (run, chosen.uid)), None):
        return session.log.add_winner(replace(again, trials=trials))

    def settled() -> WinnerRecord | None:
        return next((each for each in session.log.winners() if each.run == run and each.trials >= trials), None)

    with opening(session.log.store, run, trials, lambda: settled() is not None, give_up) as attempt:
        if attempt is None:
            return settled()
        result, model = _finish(session, chosen, by_uid, host, scratch, threads)
        return session.log.add_winner(
            WinnerRecord(
                run=run,
                trials=trials,
                uid=chosen.uid,
                model=model,
                validation=result.validation or {},
                test=result.test or {},
                answers=result.answers or {},
                dropped=session.problem.preprocessing.get("dropped", {}),
                # Who died or failed at it may have seen the test split, too.
                test_openings=attempt + max((each.test_openings for each in earlier), default=0),
            )
        )


def _count(table: pa.Table, run: str) -> int:
    """How many trials of a run are on record. Earlier models that were scored again are none of them."""
    rows = table.select(["run", "kind"]).to_pylist()
    return sum(row["run"] == run and row["kind"] != "rescore" for row in rows)


def _finish(
    session: Session,
    winner: Outcome,
    history: Mapping[str, Outcome],
    host: TrainingHost,
    scratch: Path,
    threads: int,
) -> tuple[WinnerResult, str]:
    output = scratch / "winner"
    output.mkdir(parents=True, exist_ok=True)
    asked = WinnerSpec(
        uid=winner.uid,
        space=session.search.space,
        objective=session.search.objective,
        members=Artefacts(session.log.store).load_members(winner, history, output),
        hyperparameters=dict(winner.hyperparameters),
        data=str(session.data),
        threads=threads,
        output=str(output),
    )
    result = ask_child(host, "winner", asked, output, WinnerResult) or WinnerResult(status="failed", error=NO_RESULT)
    if result.status != "completed":
        raise UserError(f"the winner {winner.uid} could not be made into a model: {result.error}")
    folder = model_folder(winner.uid)
    for name in (spec.MODEL, spec.BUNDLE):
        session.log.store.create(f"{folder}/{name}", (output / name).read_bytes())
    return result, f"{session.log.url}/{folder}"
