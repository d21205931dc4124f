"""Tables for a person: trials, and the spaces there are."""

from __future__ import annotations

import importlib
import operator
import pkgutil
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from rich.cells import cell_len

import msearch_core.blocks
import search_spaces
from msearch_core.block import BlockFamily
from msearch_core.errors import UserError
from msearch_core.readable import printable
from msearch_core.report.scores import best_first
from msearch_core.space import SearchSpace

COLUMNS = (
    "uid",
    "kind",
    "status",
    "objective",
    "objective_se",
    "parameters",
    "steps",
    "wall_seconds",
    "parents",
    "architecture",
)


def list_trials(frame: pd.DataFrame, sort: str | None = None, columns: str | None = None) -> pd.DataFrame:
    """Sort trials and choose columns.

    Args:
        frame: rows of the log.
        sort: a column, after ``-`` for descending order; if not given, the newest run first, and in it the best.
        columns: names separated by commas, ``all`` for every one; the usual ones if not given, and the error where a
            trial without a score has one.

    Raises:
        UserError: there is no such column.
    """
    if columns is None:
        failed = (frame["objective"].isna() & frame["error"].notna()).any()
        chosen = [*COLUMNS, "error"] if failed else list(COLUMNS)
    else:
        chosen = list(frame.columns) if columns == "all" else [each.strip() for each in columns.split(",")]
    key = (sort or "objective").removeprefix("-")
    for name in (*chosen, key):
        if name not in frame.columns:
            raise UserError(f"there is no column {name!r}; expected some of {', '.join(frame.columns)}")
    if sort is None:
        ordered = _best_first(frame)
    else:
        up = not sort.startswith("-")
        ordered = frame.sort_values(key, ascending=up, na_position="last", kind="stable", key=_in_order)
    return ordered[chosen].reset_index(drop=True)


def _best_first(frame: pd.DataFrame) -> pd.DataFrame:
    """The newest run first, since scores of several do not compare; in a run the best first, those without one last."""
    ranked = best_first(frame)
    ordered = pd.Index([*ranked.index, *frame.index.difference(ranked.index)])
    newest_first: pd.DataFrame = frame.loc[ordered].sort_values(
        "run", ascending=False, na_position="last", kind="stable"
    )
    return newest_first


def runs_apart(frame: pd.DataFrame) -> str | None:
    """One line that says so where trials are of runs on different data, whose scores do not compare."""
    if frame["data_fingerprint"].nunique() < 2:
        return None
    runs = sorted(frame["run"].dropna().unique())
    return (
        f"runs {', '.join(runs)} are on different data, and their scores do not compare; "
        f"of one alone: --where 'run == {runs[-1]}'"
    )


def _in_order(values: pd.Series) -> pd.Series:
    """Values that can be compared: lists are, by their first elements, then by their second ones; arrays are not."""
    return values.map(tuple, na_action="ignore") if values.dtype == object else values


GAP = 2
"""Spaces between two columns of text."""
MIN_FOLDED = 30
"""The last column is folded no narrower than this."""

_CONDITION = re.compile(r"\s*(\w+)\s*(==|=|!=|<=|>=|<|>|~)\s*(.*?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "=": operator.eq, "!=": operator.ne,
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


def where(frame: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The trials for which all conditions hold.

    Args:
        frame: rows of the log.
        conditions: each a column, one of ``== != < <= > >= ~`` and a value; ``~`` asks whether the text is contained.

    Raises:
        UserError: a condition is of another form, or there is no such column.
    """
    for condition in conditions:
        found = _CONDITION.fullmatch(condition)
        if not found:
            raise UserError(f"--where {condition!r} is no condition; expected for example 'status == completed'")
        name, sign, text = found.groups()
        if name not in frame.columns:
            raise UserError(f"there is no column {name!r}; expected one of {', '.join(frame.columns)}")
        column = frame[name]
        if sign == "~":
            frame = frame[column.map(printable).astype(str).str.contains(text, regex=False)]
        elif pd.api.types.is_numeric_dtype(column):
            try:
                frame = frame[_COMPARE[sign](column, float(text))]
            except ValueError:
                raise UserError(f"--where {condition!r}: the column {name!r} holds numbers, not {text!r}") from None
        else:
            frame = frame[_COMPARE[sign](column.map(printable).astype(str), text)]
    return frame


def as_lines(frame: pd.DataFrame, width: int) -> list[str]:
    """Rows as lines of text, the column names first; the last column is folded into what the others leave.

    Rich lays out a thousand rows in a second, this in a fiftieth of one.

    Args:
        frame: what to show.
        width: of the terminal, in characters.
    """
    cells = [
        [str(name) for name in frame.columns],
        *(list(map(printable, row)) for row in frame.itertuples(index=False)),
    ]
    widths = [max(map(cell_len, column)) for column in zip(*(row[:-1] for row in cells), strict=True)]
    indent = sum(widths) + GAP * len(widths)
    room = max(MIN_FOLDED, width - indent)
    lines = []
    for row in cells:
        start = "".join(cell + " " * (wide - cell_len(cell) + GAP) for cell, wide in zip(row, widths, strict=False))
        first, *rest = textwrap.wrap(row[-1], room) or [""]
        lines += [(start + first).rstrip(), *(" " * indent + each for each in rest)]
    return lines


def built_in_spaces() -> list[tuple[SearchSpace, str]]:
    """The spaces that come with the package, with the first line of what each says of itself."""
    found = []
    for module_info in pkgutil.iter_modules(search_spaces.__path__):
        module = importlib.import_module(f"search_spaces.{module_info.name}")
        found.append((module.space, (module.__doc__ or "").partition("\n")[0]))
    return found


def built_in_blocks() -> list[BlockFamily]:
    """The block families that come with the package, by name."""
    found: dict[str, BlockFamily] = {}
    for module_info in pkgutil.iter_modules(msearch_core.blocks.__path__):
        module = importlib.import_module(f"msearch_core.blocks.{module_info.name}")
        found |= {item.name: item for item in vars(module).values() if isinstance(item, BlockFamily)}
    return [found[name] for name in sorted(found)]
