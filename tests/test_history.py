"""What algorithms know of earlier trials, from the rows of the log."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msearch_core.algorithms.history import COLUMNS, as_recorded, best, outcomes
from msearch_core.space import Value
from msearch_core.trial import Trial, dumps, to_table

CHOICES: list[dict[str, Value]] = [
    {"a": 1, "b": "x"}, {"a": 1.0, "b": "x"}, {"a": True, "b": "x"}, {"a": 0.5}, {"b": "y", "a": 0}, {"a": False}, {},
]  # fmt: skip
"""Some are equal to Python but not the same choice."""


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

    @given(st.lists(st.sampled_from(CHOICES), min_size=1, max_size=30))
    def test_choices_are_kept_once_and_as_they_were(self, chosen: list[dict[str, Value]]) -> None:
        rows = [self.row(slot, hyperparameters=each) for slot, each in enumerate(chosen, 1)]
        tables = [to_table([row]) for row in rows]  # as trainers read them, file by file
        found = outcomes(pa.concat_tables(tables), "0001")
        assert [outcome.uid for outcome in found] == [row.uid for row in rows]
        for outcome, each in zip(found, chosen, strict=True):
            assert outcome.hyperparameters == each
            assert [type(value) for value in outcome.hyperparameters.values()] == [
                type(each[name]) for name in sorted(each)
            ]
        assert len({id(outcome.hyperparameters) for outcome in found}) == len({dumps(each) for each in chosen})

    @pytest.mark.parametrize("direction", ["min", "max"])
    @pytest.mark.parametrize("objective", [-0.5, 0.0, 0.25])
    def test_a_score_goes_back_to_the_objective_of_its_row(self, direction: str, objective: float) -> None:
        (found,) = outcomes(to_table([self.row(1, direction=direction, objective=objective)]), "0001")
        assert found.score is not None
        assert as_recorded(found.score, direction) == objective

    def test_a_row_says_what_the_model_costs(self) -> None:
        costs = {"parameters": 10, "flops": 20, "latency_ms": 0.5, "model_bytes": 40}
        (found,) = outcomes(to_table([self.row(1, **costs)]).select(list(COLUMNS)), "0001")
        assert {name: getattr(found, name) for name in costs} == costs
