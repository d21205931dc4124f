"""When a search gives up on its trainers."""

import pyarrow as pa
import pytest

from flows.dispatch import MAX_DEATHS, Deaths, TrainersFailedError
from flows.pools import places
from msearch_core.errors import UserError
from msearch_core.training.giving_up import given_up, worked_on


def test_as_long_as_rows_come_in_dying_trainers_are_replaced() -> None:
    deaths = Deaths(trainers=2)
    for rows in range(100):
        deaths.count(rows, "killed")


def test_too_many_deaths_without_a_row_are_one_line() -> None:
    deaths = Deaths(trainers=2)
    deaths.count(5, "killed")
    for _ in range(2 * MAX_DEATHS - 1):
        deaths.count(5, "killed")
    with pytest.raises(TrainersFailedError, match=r"13 trainers died without .* the last one: no memory"):
        deaths.count(5, "no memory")


def test_a_trial_that_trainers_died_at_is_no_sign_that_they_get_anything_done() -> None:
    assert worked_on(pa.table({"error": [None, given_up(3).error, "ValueError: lost 3 trainers", None]})) == 3


@pytest.mark.parametrize("pools", ["cpu=3,gpu", "cpu=x,gpu=1", "cpu=0", "cpu=,gpu=2", "cpu,gpu"])
def test_the_trainers_of_several_pools_have_to_be_numbers(pools: str) -> None:
    with pytest.raises(UserError, match="expected one pool, or the trainers of each"):
        places(pools, None)


def test_numbers_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UserError, match="--pool cpu=3,gpu=1"):
        places("cpu=3,gpu=1", 5)
