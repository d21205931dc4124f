"""Numbers as people write them: with a decimal comma, or with thousands set apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Notation:
    """A way to write numbers.

    Attributes:
        thousands: what stands between groups of three digits, if anything does.
        decimal: what stands before the fraction.
    """

    thousands: str
    decimal: str

    @property
    def pattern(self) -> str:
        """A regular expression for a whole number."""
        grouped = rf"[1-9][0-9]{{0,2}}(?:{re.escape(self.thousands)}[0-9]{{3}})+"
        return rf"\s*[+-]?(?:{grouped}|[0-9]+)(?:{re.escape(self.decimal)}[0-9]+)?(?:[eE][+-]?[0-9]+)?\s*"

    def plain(self, text: str) -> str:
        """A number as Python reads it."""
        return text.replace(self.thousands, "").replace(self.decimal, ".")

    def fits(self, texts: pd.Series) -> bool:
        """Whether all texts are such numbers, and none may be meant otherwise.

        Where fractions occur, a group of three digits is one of thousands only if a number shows both.
        """
        if not re.fullmatch(self.pattern, texts.iloc[0]) or not texts.str.fullmatch(self.pattern).all():
            return False
        grouped, parted = (texts.str.contains(mark, regex=False) for mark in (self.thousands, self.decimal))
        return bool(not grouped.any() or not parted.any() or (grouped & parted).any())


COMMA = Notation(thousands=".", decimal=",")
POINT = Notation(thousands=",", decimal=".")
_UNCLEAR = r"\s*[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})?\s*"


def as_numbers(values: pd.Series, separator: str) -> pd.Series | None:
    """A column of texts as numbers; ``None`` unless each of them is one, in the same notation.

    Args:
        values: of a CSV file, with missing ones.
        separator: of the file. Semicolons are there because the comma is taken; between tabs 1,234 may be a decimal
            number or a thousand, and stays a text; between commas it is a thousand.
    """
    if pd.api.types.infer_dtype(values, skipna=True) != "string":
        return None
    present = values.dropna()
    usual = (COMMA, POINT) if separator in ";\t" else (POINT,)
    found = next((each for each in usual if each.fits(present)), None)
    if found is None or (separator == "\t" and present.str.fullmatch(_UNCLEAR).all()):
        return None
    return pd.to_numeric(values.map(found.plain, na_action="ignore"))


def number(text: str) -> float:
    """The number that a text spells in either notation; 1,234 is a decimal one.

    Raises:
        ValueError: it spells none.
    """
    found = next((each for each in (COMMA, POINT) if "," in text and re.fullmatch(each.pattern, text)), None)
    return float(found.plain(text) if found else text)
