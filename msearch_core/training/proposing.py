"""Deciding what a trainer does next: take over an abandoned trial, or propose a new one for a free slot."""

from __future__ import annotations

import dataclasses
from bisect import insort
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice

import numpy as np

from msearch_core.algorithms import algorithm, phases
from msearch_core.algorithms.history import COLUMNS, Outcome, best, outcomes, ranked_by_front
from msearch_core.algorithms.inheritance import with_sources
from msearch_core.algorithms.promotion import PROMOTION, furthest, promotions
from msearch_core.algorithms.ranked import RankedHistory
from msearch_core.session import Session
from msearch_core.space import Architecture, Proposal
from msearch_core.training.measure import Stopwatch
from msearch_core.trial_log import Board, Claim, Identity, take_key
from msearch_core.trial_log.layout import parse_uid

MAX_REDRAWS = 50
SPREAD = 200
"""Over at most so many free slots do trainers spread their choices."""

Refusal = Callable[[Proposal], str | None]
"""Says why a proposal breaks a constraint that is known before training, or ``None``."""
Takes = Callable[[Architecture], bool]
"""Whether a trainer takes an architecture, or leaves it to the search's other trainers."""


def carried_over(again: Collection[Outcome]) -> list[Proposal]:
    """The models of an earlier run, scored again on the data of this one, as proposals to train them on, best first."""
    return [
        Proposal(each.architecture, dict(each.hyperparameters), kind="seed", parents=(each.uid,), algorithm="refresh")
        for each in best(again, len(again))
    ]


class Proposer:
    """One trainer's decisions. All it remembers is what it has read of the log.

    Args:
        session: the run.
        me: the trainer.
        refusal: the constraints.
        takes: the trainer's own limits.

    Attributes:
        watch: is told how long it takes to ``propose`` and to ``claim``.
    """

    def __init__(
        self,
        session: Session,
        me: Identity,
        refusal: Refusal = lambda _: None,
        takes: Takes = lambda _: True,
    ) -> None:
        self.session = session
        self.me = me
        self.refusal = refusal
        self.takes = takes
        self.watch = Stopwatch()
        self.board: Board = session.log.board(session.run, COLUMNS)
        self.history: dict[str, Outcome] = {}
        self._in_order = RankedHistory()
        self._ensembles: list[Outcome] = []
        self._again: list[Outcome] = []
        self._left_to_others = False

    def look(self) -> None:
        """Read what others have done."""
        self.board.look()
        self._take_in()

    def _take_in(self) -> None:
        for outcome in outcomes(self.board.take(), self.session.run.run):
            self.history[outcome.uid] = outcome
            if outcome.kind == "ensemble":
                insort(self._ensembles, outcome, key=lambda each: each.uid)
            else:
                self._in_order.add(outcome)
            if outcome.kind == "rescore":
                insort(self._again, outcome, key=lambda each: each.uid)

    def next(self) -> Claim | None:
        """Claim the next trial, or return ``None`` if there is none to be had at the moment."""
        lost: set[int] = set()
        while self.board.stopped is None:
            self._take_in()  # what this trainer has put on record since it looked; the claim says that it was seen
            if claim := self._begun():
                return claim
            slot = self._free(lost)
            if slot is None:
                return None
            if (claim := self._claim(slot)) or self._left_to_others:
                return claim
            # Another trainer was faster. It may have been one of many: what they have taken meanwhile is cheaper to
            # look up than to find out slot by slot.
            lost.add(slot)
            self.look()
        return None

    def _begun(self) -> Claim | None:
        """A trial that was claimed before and is this trainer's to do now."""
        for claim in self.board.pending():
            if claim.identity.trainer == self.me.trainer:
                # The reply to an earlier claim was lost on the way: the trial is this trainer's own.
                return claim
        return next(filter(None, map(self._take_over, self.board.abandoned())), None)

    def _free(self, lost: Collection[int]) -> int | None:
        """A free slot but for those ``lost``: the lowest of this trainer's own.

        Slots are shared out among the living by number, so that trainers hardly race, although what each has seen is of
        another moment. One that is ahead of the others and finds none of its own nearby takes one of theirs.
        """
        living = self.board.leases.living()
        free = (slot for slot in self.board.free() if slot not in lost)
        if self.me.trainer not in living:
            return next(free, None)
        place, count = living.index(self.me.trainer), len(living)
        lowest = list(islice(free, min(2 * count, SPREAD)))
        own = (slot for slot in lowest if (slot - 1) % count == place)
        return next(own, lowest[place % len(lowest)] if lowest else None)

    def proposals(self, slot: int, rng: np.random.Generator) -> Iterator[Proposal]:
        """What to try in a slot: one proposal after another, should the first ones be refused.

        First what an earlier run found, trained on; then suggestions; then what is to be promoted, if trials end at
        their first rung; then what the algorithm makes of the history.

        A pure function of what was read, the slot, the generator, and what models cost where the search has limits.

        Args:
            slot: the slot's number; the first ones belong to the suggestions.
            rng: the slot's own generator.
        """
        space, name, settings = self.session.space, self.session.search.algorithm, self.session.search.settings
        propose = algorithm(name, settings.get("algorithm_options"))
        if slot <= len(known := carried_over(self._again)):
            yield known[slot - 1]
        suggestions = [*map(tuple, self.session.run.suggestions), *(() if known else space.suggestions)]
        if 0 < slot - len(known) <= len(suggestions):
            hyperparameters = space.random_hyperparameters(rng)
            yield Proposal(suggestions[slot - len(known) - 1], hyperparameters, kind="seed", algorithm="suggestion")
        singles: Sequence[Outcome] = self._in_order
        if settings.get("early_stopping") == PROMOTION:
            singles = furthest(singles)
        history = singles
        if settings.get("minimize"):
            history = ranked_by_front(history, settings["minimize"])
        under_way = [Proposal.from_json(claim.proposal) for claim in self.board.pending()]
        pending = [each for each in under_way if each.architecture]
        kind = phases.special(slot, singles, self._ensembles, settings)
        if kind == "ensemble" and not phases.grows(settings):
            yield phases.ensemble(singles)
            kind = "search"
        if kind == "search" and settings.get("early_stopping") == PROMOTION:
            yield from promotions(self._in_order, self._being_promoted(), settings.get("minimize"))
        while True:
            proposal = dataclasses.replace(propose(history, pending, space, rng), algorithm=name)
            if kind == "distill":
                proposal = phases.student(proposal, singles, self._ensembles)
            if kind == "ensemble":
                yield phases.tower(proposal, singles, self._ensembles, lambda each: self.refusal(each) is None)
            else:
                yield with_sources(proposal, singles, settings.get("inheritance"))

    def _being_promoted(self) -> set[str]:
        """The trials whose promotions are claimed, also those that wait for another trainer to take them over."""
        proposals = [claim.proposal for claim in self.board.claims.latest.values() if claim]
        return {proposal["parents"][0] for proposal in proposals if proposal["kind"] == "promote"}

    def _claim(self, slot: int, attempt: int = 1) -> Claim | None:
        uid = self.board.uid(slot)
        rng = np.random.default_rng([self.session.search.seed, int(self.session.run.run), slot, attempt])
        draws = self.proposals(slot, rng)
        self._left_to_others = False
        refused: str | None = None
        for redraws in range(MAX_REDRAWS + 1):  # noqa: B007 - its last value goes into the claim
            with self.watch.timed("propose"):
                proposal = next(draws)
                if not self._is_for_me(proposal.architecture):
                    self._left_to_others, refused = True, "it is left to other trainers"
                    continue
                refused = self._why_not(uid, proposal)
            if refused is None:
                break
        self._left_to_others = self._left_to_others and refused is not None
        if self._left_to_others:
            return None
        claim = Claim(
            uid=uid,
            attempt=attempt,
            owner=dataclasses.asdict(self.me),
            proposal=dataclasses.asdict(proposal),
            key=proposal.key,
            history=self.board.history(),
            redraws=redraws,
            refused=refused and f"{redraws} redraws, all refused; the last: {refused}",
        )
        with self.watch.timed("claim"):
            return claim if self.board.claim(claim) else None

    def _why_not(self, uid: str, proposal: Proposal) -> str | None:
        reason = None
        if proposal.architecture:
            reason = self.session.space.why_invalid(proposal.architecture) or self.refusal(proposal)
        if reason is None and not take_key(self.board.store, self.session.run.run, uid, proposal.key):
            return "it was tried before"
        return reason

    def _is_for_me(self, architecture: Architecture) -> bool:
        """Whether the trainer takes a trial; ensembles, which have no architecture of their own, are for everyone."""
        return not architecture or self.takes(architecture)

    def _take_over(self, uid: str) -> Claim | None:
        claims = self.board.claims
        latest, lost = claims.latest[uid], claims.lost(uid)
        if latest is None:
            # The claim's file is damaged, and with it the proposal: another one takes its place.
            return self._claim(parse_uid(uid).number, claims.attempts[uid] + 1)
        if not self._is_for_me(tuple(latest.proposal["architecture"])):
            return None
        claim = latest.taken_over_by(self.me, lost=lost)
        return claim if self.board.claim(claim) else None
