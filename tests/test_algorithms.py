"""The contract that every algorithm keeps, and what some of them do besides."""

import dataclasses
import importlib
import itertools
import os
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

import search_spaces
from msearch_core.algorithms import ALGORITHMS, algorithm, check_options, coordinate_descent, default_options
from msearch_core.algorithms.history import Outcome, best, ranked_by_front
from msearch_core.algorithms.mutation import neighbours
from msearch_core.errors import UserError
from msearch_core.space import IMAGE, SEQUENCE, Proposal, SearchSpace
from tests import landscapes
from tests.landscapes import SPACES

ADAPTIVE = [name for name in ALGORITHMS if name != "random"]
DRAWS = int(os.environ.get("MSEARCH_PROPERTY_DRAWS", "10000"))
"""Proposals that are checked for validity, in all; more of them in a long run."""


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


def check(proposal: Proposal, space: SearchSpace, history: list[Outcome]) -> None:
    assert space.why_invalid(proposal.architecture) is None
    assert proposal.hyperparameters.keys() == space.hyperparameters.keys()
    for name, value in proposal.hyperparameters.items():
        assert space.hyperparameters[name].contains(value)
    assert set(proposal.parents) <= {outcome.uid for outcome in history if outcome.score is not None}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("propose", ALGORITHMS.values(), ids=ALGORITHMS)
class TestContract:
    @settings(max_examples=8, deadline=None)
    @given(count=st.integers(0, 60), under_way=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
    def test_every_proposal_is_valid(self, propose, space, count: int, under_way: int, seed: int) -> None:
        history, rng = history_of(space, count, seed), np.random.default_rng(seed)
        pending = [Proposal(space.random_architecture(rng), {}) for _ in range(under_way)]
        check(propose(history, pending, space, np.random.default_rng(seed)), space, history)

    def test_same_history_and_seed_give_the_same_proposal(self, propose, space) -> None:
        history = history_of(space, 30)
        first, second = (propose(history, [], space, np.random.default_rng(7)) for _ in range(2))
        assert first == second
        assert first.key == second.key

    def test_what_it_is_given_is_left_as_it_was(self, propose, space) -> None:
        history = history_of(space, 30)
        pending = [Proposal(each.architecture, each.hyperparameters) for each in history_of(space, 3, seed=1)]
        before = [dataclasses.replace(outcome) for outcome in history], [dataclasses.replace(each) for each in pending]
        propose(history, pending, space, np.random.default_rng(1))
        assert (history, pending) == before

    def test_all_trials_failed(self, propose, space) -> None:
        history = history_of(space, 30, failing=1.1)
        check(propose(history, [], space, np.random.default_rng(1)), space, history)

    def test_one_trial_and_equal_scores(self, propose, space) -> None:
        for count in (1, 30):
            history = [dataclasses.replace(each, score=0.5) for each in history_of(space, count)]
            check(propose(history, [], space, np.random.default_rng(2)), space, history)

    def test_scores_of_any_size(self, propose, space) -> None:
        history = history_of(space, 30, failing=0.0)
        history = [dataclasses.replace(each, score=(-1e30, 1e300, 0.0)[n % 3]) for n, each in enumerate(history)]
        check(propose(history, [], space, np.random.default_rng(2)), space, history)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_others_work_is_not_repeated(name: str) -> None:
    """What eight trainers would try at the same time is different for each."""
    space, history = SPACES["images"], history_of(SPACES["images"], 40)
    for seed in range(5):
        pending: list[Proposal] = []
        for trainer in range(8):
            proposal = ALGORITHMS[name](history, pending, space, np.random.default_rng([seed, trainer]))
            taken = [(each.architecture, each.hyperparameters) for each in pending]
            assert (proposal.architecture, proposal.hyperparameters) not in taken
            pending.append(proposal)


@pytest.mark.parametrize("name", [name for name in ADAPTIVE if name != "constrained_coordinate_descent"])
def test_a_trial_is_not_repeated_in_a_small_space_without_hyperparameters(name: str) -> None:
    space = dataclasses.replace(SPACES["vectors"], hyperparameters={}, max_depth=2)
    history, rng = history_of(space, 60, failing=0.0), np.random.default_rng(0)
    tried = {outcome.architecture for outcome in history}
    drawn = [ALGORITHMS[name](history, [], space, rng).architecture in tried for _ in range(50)]
    alone = [space.random_architecture(rng) in tried for _ in range(200)]
    assert np.mean(drawn) <= np.mean(alone) + 0.15


@pytest.mark.parametrize("name", ADAPTIVE)
def test_it_beats_random_search(name: str, random_scores: np.ndarray) -> None:
    """The best of 60 trials is better than that of random search, over 20 landscapes with interactions and failures."""
    scores = np.array([landscapes.best_score(landscapes.search(name, SPACES["images"], seed)) for seed in range(20)])
    assert scores.mean() > random_scores.mean() + 0.3
    assert wilcoxon(scores, random_scores, alternative="greater").pvalue < 0.02


@pytest.fixture(scope="module")
def random_scores() -> np.ndarray:
    found = [landscapes.best_score(landscapes.search("random", SPACES["images"], seed)) for seed in range(20)]
    return np.array(found)


def built_in_spaces() -> dict[str, SearchSpace]:
    names = [module.name for module in pkgutil.iter_modules(search_spaces.__path__)]
    spaces = {name: importlib.import_module(f"search_spaces.{name}").space for name in names}
    shapes = {IMAGE: (9, 16, 1), SEQUENCE: (7, 3)}
    fitted = {name: space.for_input(shapes.get(space.input, (5,))) for name, space in spaces.items()}
    several = {
        f"{name}, two targets": dataclasses.replace(space, heads=("a", "a/b"))
        for name, space in fitted.items()
        if space.head_blocks
    }
    return fitted | several


def test_no_proposal_is_invalid_on_any_space() -> None:
    """Searches of 50 trials, one after another, by each algorithm on each space, until there were enough draws."""
    spaces = [*SPACES.values(), *built_in_spaces().values()]
    drawn = 0
    for round_number in itertools.count():
        for name, space in itertools.product(ALGORITHMS, spaces):
            quick = {"random_trials": 5, "stage_trials": 5, "candidate_count": 5}
            options = {option: quick[option] for option in quick.keys() & default_options(name).keys()}
            propose = algorithm(name, options)
            rng, history = np.random.default_rng([round_number, drawn]), list[Outcome]()
            for slot in range(25):
                proposal = propose(history, [], space, rng)
                assert space.why_invalid(proposal.architecture) is None
                history.append(landscapes.outcome(slot, None if rng.random() < 0.1 else rng.random(), proposal))
            drawn += 25
            if drawn >= DRAWS:
                return


class TestOptions:
    def test_every_option_can_be_set(self) -> None:
        for name in ALGORITHMS:
            options = default_options(name)
            check_options(name, options)
            algorithm(name, options)(history_of(SPACES["vectors"], 20), [], SPACES["vectors"], np.random.default_rng(0))
        assert default_options("regularized_evolution")["population"] == 20

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("evolution", {}, "no 'evolution'; expected one of coordinate_descent"),
            ("random", {"population": 3}, "random has no option 'population'; expected one of none at all"),
            ("tpe", {"good": 0.2}, "tpe has no option 'good'; expected one of random_trials, good_share"),
            ("tpe", {"good_share": 1.2}, "good_share must be between 0 and 1, not 1.2"),
            ("tpe", {"random_trials": 0}, "random_trials must be at least 1"),
            ("tpe", {"random_trials": 2.5}, "random_trials must be a whole number such as 10, not 2.5"),
            ("tpe", {"bandwidth": "wide"}, "bandwidth must be a number such as 0.15, not 'wide'"),
            ("tpe", {"bandwidth": True}, "must be a number"),
            ("tpe", {"bandwidth": float("nan")}, "must be a number"),
            ("tpe", {"bandwidth": 0}, "bandwidth must be more than 0, not 0"),
            ("tpe", {"prior": 0.0}, "prior must be more than 0, not 0.0"),
            ("harmonica", {"growth": 1}, "growth must be more than 1, not 1"),
        ],
    )
    def test_what_is_wrong_is_said(self, name: str, options: dict[str, object], message: str) -> None:
        with pytest.raises(UserError) as error:
            check_options(name, options)
        assert message in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("name", ALGORITHMS)
    def test_the_least_that_an_option_may_be_can_be_worked_with(self, name: str) -> None:
        for option, default in default_options(name).items():
            least = 0.0 if option.endswith(("_probability", "_share")) else 1 if isinstance(default, int) else 1e-3
            options = {option: 1.001 if option == "growth" else least}
            check_options(name, options)
            history, rng = history_of(SPACES["vectors"], 50), np.random.default_rng(0)
            algorithm(name, options)(history, [], SPACES["vectors"], rng)

    def test_an_option_has_its_effect(self) -> None:
        history = history_of(SPACES["vectors"], 30)
        always = algorithm("coordinate_descent", {"random_probability": 1.0})
        assert all(not always(history, [], SPACES["vectors"], np.random.default_rng(i)).parents for i in range(20))


class TestConstrained:
    def test_the_cell_is_repeated_as_trials_allow(self) -> None:
        space = SPACES["cells"]
        cell = ("picture(filters=4)", "repeat(times=1)", "flat(filters=8)")
        history = [dataclasses.replace(each, architecture=cell) for each in history_of(space, 40)]
        propose = ALGORITHMS["constrained_coordinate_descent"]
        drawn = [propose(history, [], space, np.random.default_rng(seed)) for seed in range(200)]
        changes = [each.architecture for each in drawn if each.parents]
        assert {each[1] for each in changes if each[0] == cell[0] and len(each) == 3} == {cell[1], "repeat(times=2)"}
        assert {len(each) for each in changes} == {3, 4}

    def test_equal_blocks_stay_equal_where_there_are_no_cells(self) -> None:
        space = SPACES["vectors"]
        history = [
            dataclasses.replace(each, architecture=("plain(units=8)",) * 3)
            for each in history_of(space, 5, failing=0.0)
        ]
        propose = algorithm("constrained_coordinate_descent", {"deepen_probability": 0.0, "random_trials": 1})
        drawn = [propose(history, [], space, np.random.default_rng(seed)) for seed in range(100)]
        assert all(len(set(each.architecture)) == 1 for each in drawn if each.parents)
        assert any("other" in each.architecture[0] for each in drawn if each.parents)


def test_local_search_tries_neighbours_of_the_best() -> None:
    space = SPACES["images"]
    history = history_of(space, 40)
    start = best(history, 1)[0]
    around = {start.architecture, *neighbours(start.architecture, space)}
    propose = algorithm("local_search", {"random_probability": 0.0})
    drawn = [propose(history, [], space, np.random.default_rng(seed)) for seed in range(50)]
    assert {each.architecture for each in drawn} <= around
    assert {each.parents for each in drawn} == {(start.uid,)}


def test_evolution_forgets_the_old() -> None:
    space = SPACES["vectors"]
    history = [dataclasses.replace(each, score=-float(number)) for number, each in enumerate(history_of(space, 60))]
    propose = algorithm("regularized_evolution", {"population": 10})
    parents = {uid for seed in range(60) for uid in propose(history, [], space, np.random.default_rng(seed)).parents}
    assert parents <= {outcome.uid for outcome in history[-10:]}


class TestCoordinateDescent:
    space = SPACES["vectors"]

    def proposals(self, history: list[Outcome], count: int = 200) -> list[Proposal]:
        drawn = [
            coordinate_descent.propose(history, [], self.space, np.random.default_rng(seed)) for seed in range(count)
        ]
        return [proposal for proposal in drawn if proposal.parents]

    def test_parents_are_the_beam(self) -> None:
        history = history_of(self.space, 40)
        beam = {outcome.uid for outcome in best(history, 3)}
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
            if proposal.mutation["change"] == "train on":
                assert child == parent
                assert "hyperparameter" in proposal.mutation
                continue
            position = proposal.mutation["position"]
            assert child[position] == proposal.mutation["block"]
            rest = child[:position] + child[position + 1 :]
            if proposal.mutation["change"] == "deepen":
                assert rest == parent
            else:
                assert len(child) == len(parent)
                assert rest == parent[:position] + parent[position + 1 :]
        assert changes == {"deepen", "replace", "train on"}

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
            if proposal.parents and (proposal.mutation or {})["change"] not in ("none", "train on"):
                assert proposal.architecture not in tried


def trade_offs(points: list[tuple[float | None, int | None]]) -> list[Outcome]:
    return [Outcome(f"{n:03d}", score, 0.0, ("a",), {}, cost, None, 1) for n, (score, cost) in enumerate(points)]


points = st.lists(st.tuples(st.none() | st.integers(0, 8).map(float), st.none() | st.integers(1, 8)), max_size=30)


class TestTradeOff:
    @given(points)
    def test_ranks_go_front_by_front(self, drawn: list[tuple[float | None, int | None]]) -> None:
        history = trade_offs(drawn)
        ranked = ranked_by_front(history, "parameters")
        assert [(o.uid, o.score is None) for o in ranked] == [(o.uid, o.score is None) for o in history]
        by_uid = {outcome.uid: outcome for outcome in history}
        left = [by_uid[outcome.uid] for outcome in best(ranked, len(ranked))]
        while left:
            costs = [(o.score or 0.0, -(o.parameters or float("inf"))) for o in left]
            front = [a for a in costs if not any(b != a and b[0] >= a[0] and b[1] >= a[1] for b in costs)]
            assert sorted(costs[: len(front)]) == sorted(front)
            left = left[len(front) :]

    def test_the_sparse_part_of_a_front_comes_first(self) -> None:
        history = trade_offs([(1.0, 1), (2.0, 2), (2.1, 3), (9.0, 9), (10.0, 10), (1.0, 10)])
        ranked = best(ranked_by_front(history, "parameters"), 6)
        assert {outcome.uid for outcome in ranked[:2]} == {"000", "004"}
        assert ranked[-1].uid == "005"

    def test_a_search_for_small_models_finds_smaller_ones(self) -> None:
        """With the number of units as the cost, children descend from the front, and the front gets better."""
        space, cost = SPACES["vectors"], {}

        def units(architecture: tuple[str, ...]) -> int:
            return sum(int(name.partition("=")[2].rstrip(")")) for name in architecture)

        for minimize in (False, True):
            found = []
            for seed in range(5):
                score, history = landscapes.landscape(space, seed), list[Outcome]()
                for slot in range(60):
                    seen = ranked_by_front(history, "parameters") if minimize else history
                    proposal = ALGORITHMS["regularized_evolution"](seen, [], space, np.random.default_rng([seed, slot]))
                    made = landscapes.outcome(slot, score(proposal), proposal)
                    history.append(dataclasses.replace(made, parameters=units(proposal.architecture)))
                found.append(np.mean([outcome.parameters for outcome in history[30:]]))
            cost[minimize] = np.mean(found)
        assert cost[True] < 0.8 * cost[False]
