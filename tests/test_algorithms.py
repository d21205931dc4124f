"""The contract that every algorithm keeps, and what coordinate descent does."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msearch_core.algorithms import ALGORITHMS, coordinate_descent
from msearch_core.algorithms.history import COLUMNS, Outcome, best, outcomes
from msearch_core.loading import load_space
from msearch_core.space import Proposal, SearchSpace
from msearch_core.trial import Trial, to_table

SPACES = {"tabular": load_space("tabular"), "image": load_space("image").for_input((8, 8, 1))}


def history_of(space: SearchSpace, count: int, seed: int = 0, failing: float = 0.2) -> list[Outcome]:
    rng = np.random.default_rng(seed)
    return [
        Outcome(
            uid=f"0001-{slot:06d}",
            score=None if rng.random() < failing else float(rng.random()),
            tie_break=-float(rng.random()),
            architecture=space.random_architecture(rng),
            hyperparameters=space.random_hyperparameters(rng),
            parameters=100,
            weights=None,
            cumulative_steps=10,
        )
        for slot in range(1, count + 1)
    ]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("propose", ALGORITHMS.values(), ids=ALGORITHMS)
class TestContract:
    @settings(max_examples=60, deadline=None)
    @given(count=st.integers(0, 60), under_way=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
    def test_every_proposal_is_valid(self, propose, space, count: int, under_way: int, seed: int) -> None:
        history, rng = history_of(space, count, seed), np.random.default_rng(seed)
        pending = [Proposal(space.random_architecture(rng), {}) for _ in range(under_way)]
        proposal = propose(history, pending, space, np.random.default_rng(seed))
        assert space.why_invalid(proposal.architecture) is None
        assert proposal.hyperparameters.keys() == space.hyperparameters.keys()
        for name, value in proposal.hyperparameters.items():
            assert space.hyperparameters[name].contains(value)
        assert set(proposal.parents) <= {outcome.uid for outcome in history if outcome.score is not None}

    def test_same_history_and_seed_give_the_same_proposal(self, propose, space) -> None:
        history = history_of(space, 30)
        first, second = (propose(history, [], space, np.random.default_rng(7)) for _ in range(2))
        assert first == second
        assert first.key == second.key

    def test_history_is_left_as_it_was(self, propose, space) -> None:
        history = history_of(space, 30)
        before = [dataclasses.replace(outcome) for outcome in history]
        propose(history, [], space, np.random.default_rng(1))
        assert history == before

    def test_all_trials_failed(self, propose, space) -> None:
        history = history_of(space, 30, failing=1.1)
        assert space.is_valid(propose(history, [], space, np.random.default_rng(1)).architecture)


class TestCoordinateDescent:
    space = SPACES["tabular"]

    def proposals(self, history: list[Outcome], count: int = 200) -> list[Proposal]:
        drawn = [
            coordinate_descent.propose(history, [], self.space, np.random.default_rng(seed)) for seed in range(count)
        ]
        return [proposal for proposal in drawn if proposal.parents]

    def test_parents_are_the_beam(self) -> None:
        history = history_of(self.space, 40)
        beam = {outcome.uid for outcome in best(history, coordinate_descent.BEAM_SIZE)}
        proposals = self.proposals(history)
        assert {proposal.parents[0] for proposal in proposals} == beam
        assert len(proposals) > 150  # a few ignore the history on purpose

    def test_a_child_differs_from_its_parent_in_one_block(self) -> None:
        history = {outcome.uid: outcome for outcome in history_of(self.space, 60)}
        changes = set()
        for proposal in self.proposals(list(history.values())):
            parent, child = history[proposal.parents[0]].architecture, proposal.architecture
            assert proposal.mutation is not None
            changes.add(proposal.mutation["change"])
            position = proposal.mutation["position"]
            assert child[position] == proposal.mutation["block"]
            rest = child[:position] + child[position + 1 :]
            if proposal.mutation["change"] == "deepen":
                assert rest == parent
            else:
                assert len(child) == len(parent)
                assert rest == parent[:position] + parent[position + 1 :]
        assert changes == {"deepen", "replace"}

    def test_depth_grows_with_the_number_of_trials(self) -> None:
        shallow = [dataclasses.replace(each, architecture=each.architecture[:1]) for each in history_of(self.space, 60)]
        few, many = shallow[:4], shallow
        assert max(len(proposal.architecture) for proposal in self.proposals(few)) <= 2
        deep = [dataclasses.replace(each, architecture=each.architecture[:1] * 3) for each in many]
        assert max(len(proposal.architecture) for proposal in self.proposals(deep)) == 4

    def test_hyperparameters_are_the_parents_but_for_one(self) -> None:
        history = {outcome.uid: outcome for outcome in history_of(self.space, 40)}
        for proposal in self.proposals(list(history.values())):
            inherited = history[proposal.parents[0]].hyperparameters
            changed = {name for name in inherited if inherited[name] != proposal.hyperparameters[name]}
            assert len(changed) <= 1
            assert changed <= {(proposal.mutation or {}).get("hyperparameter")}

    def test_others_work_is_not_repeated(self) -> None:
        history = history_of(self.space, 10)
        tried = [proposal.architecture for proposal in self.proposals(history, 50)]
        pending = [Proposal(architecture) for architecture in tried]
        for seed in range(50):
            proposal = coordinate_descent.propose(history, pending, self.space, np.random.default_rng(seed))
            if proposal.parents and (proposal.mutation or {})["change"] != "none":
                assert proposal.architecture not in tried

    def test_it_beats_random_search_on_a_landscape_with_structure(self) -> None:
        """On a table where each block adds its own worth, the mean of the best of 40 trials over 20 seeds is higher."""

        def search(name: str, seed: int) -> float:
            worth = dict(
                zip(self.space.by_name, np.random.default_rng(seed).random(len(self.space.blocks)), strict=True)
            )
            history: list[Outcome] = []
            for slot in range(1, 41):
                proposal = ALGORITHMS[name](history, [], self.space, np.random.default_rng([seed, slot]))
                score = sum(worth[block] for block in proposal.architecture)
                history.append(
                    Outcome(f"0001-{slot:06d}", score, 0.0, proposal.architecture, proposal.hyperparameters, 1, None, 1)
                )
            return max(outcome.score or 0.0 for outcome in history)

        mean = {name: np.mean([search(name, seed) for seed in range(20)]) for name in ("coordinate_descent", "random")}
        assert mean["coordinate_descent"] > mean["random"] + 0.1


class TestHistory:
    def row(self, slot: int, **fields: object) -> Trial:
        defaults: dict[str, object] = {
            "search": "s", "run": "0001", "kind": "search", "status": "completed", "architecture": ("a",),
            "direction": "max", "objective": 0.5,
        }  # fmt: skip
        return Trial(uid=f"0001-{slot:06d}", **(defaults | fields))  # type: ignore[arg-type]

    def test_more_is_better_whatever_the_direction(self) -> None:
        rows = [self.row(1, direction="min", objective=3.0), self.row(2, direction="min", objective=1.0)]
        found = outcomes(to_table(rows).select(list(COLUMNS)), "0001")
        assert [outcome.uid for outcome in best(found, 2)] == ["0001-000002", "0001-000001"]

    def test_failed_trials_have_no_score_and_other_runs_are_left_out(self) -> None:
        rows = [
            self.row(1, status="diverged", objective=0.9),
            self.row(2, run="0002"),
            self.row(3, architecture=None),
            self.row(4, status="stopped"),
        ]
        found = outcomes(to_table(rows), "0001")
        assert [(outcome.uid, outcome.score) for outcome in found] == [("0001-000001", None), ("0001-000004", 0.5)]

    def test_equal_scores_are_told_apart_by_the_loss_then_by_age(self) -> None:
        rows = [self.row(slot, metrics={"log_loss": loss}) for slot, loss in ((1, 0.3), (2, 0.2), (3, 0.2))]
        found = outcomes(to_table(rows), "0001")
        assert [outcome.uid[-1] for outcome in best(found, 3)] == ["2", "3", "1"]
