"""What a running search looks like in a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from msearch_core.algorithms.history import Outcome, as_recorded, best, outcomes
from msearch_core.proposal import described, described_proposal
from msearch_core.readable import score_text
from msearch_core.trial import Trial
from msearch_core.trial_log import Board, Claim, SearchRecord, TrialLog, WinnerRecord
from msearch_core.urls import short

LOOK_SECONDS = 0.5


@dataclass
class Progress:
    """One run as it goes on, read from its log alone.

    Attributes:
        search: the search.
        board: the run.
        best: the best trial so far.
        used: minutes that the run had been searched for before.
        at_work: the trials under way at the last look. The display, which a thread of its own draws, goes by these:
            the board changes while it looks.
    """

    search: SearchRecord
    board: Board
    best: Outcome | None = None
    used: float = 0.0
    at_work: Sequence[Claim] = ()
    _began: float = field(default_factory=time.monotonic)
    _first: int | None = None
    _seen: dict[str, float] = field(default_factory=dict)

    def look(self) -> list[Outcome]:
        """Read what is new; returns the trials that have ended since the last look."""
        try:
            self.board.look()
        except OSError:  # out of reach for the moment: the search itself goes on
            return []
        new = outcomes(self.board.take(), self.board.run)
        self.best = next(iter(best([*([self.best] if self.best else []), *new], 1)), None)
        if self._first is None:
            self._first = self.board.done
        now = time.monotonic()
        pending = self.board.pending()
        self._seen = {claim.uid: self._seen.get(claim.uid, now) for claim in pending}
        self.at_work = pending
        return new

    @property
    def waits(self) -> str:
        """What a search without trainers waits for; empty if it has some."""
        told = "no trainer is wanted; `msearch trainers LOG NUMBER` asks for some again"
        return told if self.board.trainers == 0 else ""

    def score(self, outcome: Outcome) -> str:
        """A trial's objective as it stands in its row."""
        if outcome.score is None:
            return "no score"
        return f"{self.search.objective} {score_text(as_recorded(outcome.score, self.search.direction))}"

    @property
    def remaining_seconds(self) -> float | None:
        """How long it may still take, by the pace so far."""
        elapsed, record = time.monotonic() - self._began, self.board.record
        done = self.board.done - (self._first or 0)
        by_pace = elapsed / done * (record.trials - self.board.done) if done else None
        by_clock = (record.minutes - self.used) * 60 - elapsed if record.minutes is not None else None
        known = [each for each in (by_pace, by_clock) if each is not None]
        return max(0.0, min(known)) if done and known else None

    def __rich__(self) -> RenderableType:
        record, done = self.board.record, self.board.done
        bounded = not record.is_open_ended
        head = Table.grid(padding=(0, 2))
        remaining = self.remaining_seconds
        head.add_row(
            ProgressBar(total=record.trials, completed=done, width=30) if bounded else Text(""),
            f"{done}/{record.trials} trials" if bounded else f"{done} trials",
            f"best {self.score(self.best)} ({self.best.uid})" if self.best else "no result yet",
            f"about {minutes(remaining)} to go" if remaining is not None else "",
        )
        rows = Table.grid(padding=(0, 2))
        for claim in self.at_work:
            rows.add_row(
                Text(claim.owner["trainer"], style="cyan"),
                claim.uid,
                minutes(time.monotonic() - self._seen.get(claim.uid, time.monotonic())),
                Text(
                    described_proposal(claim.proposal),
                    no_wrap=True,
                    overflow="ellipsis",
                ),
            )
        waiting = Text(self.waits or "starting: Prefect's server, the trainers, TensorFlow ...", style="dim")
        return Group(head, rows if rows.row_count else waiting if self.waits or not done else Text(""))


def follow(progress: Progress, console: Console, running: Iterator[bool]) -> None:
    """Show a run until it ends: live on a terminal that can, a line for each trial elsewhere.

    Trials that are on record at the beginning are counted, and not shown again.

    Args:
        progress: the run.
        console: where to.
        running: yields for as long as the search is at work.
    """
    if progress.look():
        console.print(f"{_count(progress)} trials are on record already{_leader(progress)}", soft_wrap=True)
    if not console.is_terminal or console.is_dumb_terminal:
        told = False
        for _ in running:
            for outcome in progress.look():
                _print_line(progress, outcome, console)
            if progress.waits and not told:
                console.print(progress.waits, soft_wrap=True)
            told = bool(progress.waits)
            time.sleep(LOOK_SECONDS)
        for outcome in progress.look():
            _print_line(progress, outcome, console)
        return
    with Live(progress, console=console, refresh_per_second=4, transient=True):
        for _ in running:
            progress.look()
            time.sleep(LOOK_SECONDS)
        progress.look()


def _count(progress: Progress) -> str:
    record, done = progress.board.record, progress.board.done
    return f"{done}" if record.is_open_ended else f"{done}/{record.trials}"


def _leader(progress: Progress) -> str:
    return f"; the best is {progress.best.uid}, {progress.score(progress.best)}" if progress.best else ""


def _print_line(progress: Progress, outcome: Outcome, console: Console) -> None:
    words = (_count(progress), outcome.uid, progress.score(outcome), described(outcome.architecture, outcome.members))
    console.print("  ".join(words), soft_wrap=True)


def show_winner(log: TrialLog, trial: Trial, winner: WinnerRecord, console: Console) -> None:
    """Print the winner, where it is, and what to type next."""
    table = Table.grid(padding=(0, 2))
    table.add_row("trial", f"{winner.uid}  ({trial.parameters or 0:,} parameters)")
    members = (trial.mutation or {}).get("members", {}) if trial.kind == "ensemble" else {}
    table.add_row("architecture", described(trial.architecture or (), members))
    table.add_row("validation", _scores(winner.validation, trial.objective_name, trial.objective_se))
    table.add_row("test", _scores(winner.test, trial.objective_name, None))
    times = "once" if winner.test_openings == 1 else f"{winner.test_openings} times in this log"
    table.add_row("", Text(f"the test split was opened {times}", style="dim"))
    console.print(Panel(table, title="winner", title_align="left", expand=False))
    console.print(f"model:       {short(winner.model)}", soft_wrap=True)
    console.print(f"use it:      msearch predict {short(log.url)} DATA", soft_wrap=True)
    console.print(f"take it:     msearch export {short(log.url)}", soft_wrap=True)
    console.print(f"all trials:  msearch trials {short(log.url)}", soft_wrap=True)


def _scores(scores: object, objective: str | None, standard_error: float | None) -> str:
    values = dict(scores) if isinstance(scores, dict) else {}
    first = values.pop(objective, None)
    error = f" ± {score_text(standard_error)}" if standard_error is not None else ""
    rest = ", ".join(f"{name} {score_text(value)}" for name, value in values.items())
    return f"{objective} {score_text(first)}{error}" + (f"  ({rest})" if rest else "") if first is not None else rest


def minutes(seconds: float) -> str:
    """A duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
