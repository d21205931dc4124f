"""How scores and amounts are written."""

import pytest

from msearch_core.readable import score_text
from msearch_core.report.page.numbers import NOTHING, amount, score


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.99342, "0.9934"), (0.0, "0.0000"), (0.0052, "0.0052"), (3e-5, "3e-05"), (-4.3216e-4, "-0.0004322"),
        (99.5, "99.5000"), (123.456, "123.5"), (1234567.0, "1.235e+06"),
    ],
)  # fmt: skip
def test_a_score_is_never_rounded_to_nothing(value: float, text: str) -> None:
    assert score_text(value) == score(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(999.4, "999"), (999_500, "1 M"), (999_499, "999 k"), (14_466, "14.5 k"), (0, "0"), (None, NOTHING)],
)
def test_an_amount_has_three_digits(value: object, text: str) -> None:
    assert amount(value) == text
