"""Tables from CSV and Parquet files."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Hashable, Iterable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from msearch_core.data import parquet
from msearch_core.data.audio import open_clips
from msearch_core.data.csv_tables import read_csv, refuse_repeated
from msearch_core.data.examples import Examples, Inputs, Values
from msearch_core.data.files import Location
from msearch_core.data.images import open_pictures
from msearch_core.data.options import DataOptions
from msearch_core.data.parquet import Columns
from msearch_core.data.sequences import joined
from msearch_core.errors import UserError

ENDINGS = (".csv", ".parquet")
_MAX_LISTED = 20


def read(
    location: Location,
    options: DataOptions,
    *,
    labelled: bool = True,
    texts: Sequence[str] = (),
    only: Collection[str] | None = None,
    shape: Sequence[int] | None = None,
    rate: int | None = None,
) -> Examples:
    """Read a CSV or Parquet file.

    A CSV file may be separated by commas, semicolons, tabs or bars; numbers may have thousands set apart and, between
    semicolons and tabs, decimal commas. Its columns without a name (a written index) are left out. A Parquet file with
    a column of encoded images or WAV files gives images or sounds; one with columns of lists gives sequences, whose
    features are those columns, and the others repeated at each step.

    Args:
        location: the file.
        options: which columns are targets, groups and weights; they are no inputs.
        labelled: whether these columns are needed.
        texts: columns of a CSV file to be read as texts, even if all their values look like numbers or, but for an
            empty one, spell a missing value.
        only: the features that are needed, if not all are; nothing is asked of the other columns.
        shape: as for `msearch_core.data.images.open_pictures`.
        rate: as for `msearch_core.data.audio.open_clips`.

    Raises:
        UserError: the file is empty or malformed, a column is missing, or its values cannot be used.
    """
    url = location.url
    keys = [options.group] if options.group else []
    if location.ending == ".parquet":
        found = parquet.read(location, only, keys)
    else:
        found = Columns(plain(read_csv(location, texts, keys), url))
    return _examples(found, options, url, labelled, only, shape, rate)


def from_table(table: pd.DataFrame, options: DataOptions, url: str, *, labelled: bool = True) -> Examples:
    """Examples from a table in memory; see `read`.

    Raises:
        UserError: a column is missing, or its values cannot be used.
    """
    return _examples(Columns(plain(table, url)), options, url, labelled)


def from_arrow(table: pa.Table, options: DataOptions, url: str, only: Collection[str] | None) -> Examples:
    """Examples without targets from an Arrow table in memory; see `read`.

    Raises:
        UserError: a column is missing, or its values cannot be used.
    """
    return _examples(parquet.from_arrow(table, url, only), options, url, False, only)


def plain(table: pd.DataFrame, url: str) -> pd.DataFrame:
    """A table with texts for names and numbered rows.

    Raises:
        UserError: it has two columns of the same name.
    """
    names = table.columns.map(str)
    refuse_repeated(names, url)
    return table.set_axis(names, axis=1).reset_index(drop=True)


def check_usable(table: pd.DataFrame, url: str) -> None:
    """See that each value of a table can be an input.

    Raises:
        UserError: a column holds infinite values, lists, structures or bytes.
    """
    for name, values in table.items():
        if pd.api.types.is_float_dtype(values.dtype) and np.isinf(values.to_numpy(np.float64, na_value=np.nan)).any():
            raise UserError(f"the column {name!r} of {url!r} holds infinite values; correct them or leave them empty")
        if values.dtype == object:
            present = values.dropna()
            if len(present) and isinstance(present.iloc[0], bytes | list | dict | tuple | set | np.ndarray):
                raise UserError(
                    f"the column {name!r} of {url!r} holds {type(present.iloc[0]).__name__} values; "
                    "give numbers, texts, truth values or dates, or leave the column out"
                )


def missing_columns(
    wanted: Iterable[str], present: Iterable[Hashable], what: str, mend: str = "add it, empty where nothing is known"
) -> None:
    """See that a model's columns are among those that there are.

    Args:
        wanted: the model's columns.
        present: those that there are.
        what: has the latter, for the message.
        mend: what to do about it.

    Raises:
        UserError: some are missing; it names them.
    """
    names = list(map(str, present))
    missing = [name for name in wanted if name not in names]
    if missing:
        named = ", ".join(map(repr, missing))
        raise UserError(f"{what} lacks the column{'s' if len(missing) > 1 else ''} {named}; {_listed(names)}; {mend}")


def _examples(
    found: Columns,
    options: DataOptions,
    url: str,
    labelled: bool,
    only: Collection[str] | None = None,
    shape: Sequence[int] | None = None,
    rate: int | None = None,
) -> Examples:
    if not found.names:
        raise UserError(f"{url!r} has no columns; give a file with columns and rows")
    if not len(found.table) and not found.blobs:
        raise UserError(f"{url!r} has no rows; give a file with examples")
    targets = _targets(found, options, url, labelled)
    for name, option in ((options.group, "group"), (options.weight, "weight")):
        if name is not None and labelled:
            _expect(found, name, option, url)
    groups = found.table.get(options.group) if labelled and options.group else None
    weight = found.table.get(options.weight) if labelled and options.weight else None
    kept = [name for name in found.names if name not in {*targets, *options.target, options.group, options.weight}]
    inputs: Inputs
    ignored: dict[str, str] = {}
    if found.blobs:
        column, blobs = next(iter(found.blobs.items()))
        why = f"is beside {blobs.what}s, which alone are learned from"
        ignored = dict.fromkeys((name for name in kept if name != column), why)
        inputs = open_clips(blobs, rate) if blobs.what == "sound" else open_pictures(blobs, shape)
    elif not kept:
        raise UserError(f"{url!r} has no column to learn from besides {', '.join(map(repr, found.names))}")
    else:
        lists = {name: found.lists[name] for name in kept if name in found.lists}
        if only is not None:
            missing_columns(only, [*found.names, *(name for part in lists.values() for name in part.steps)], repr(url))
        inputs = found.table[[name for name in kept if name in found.table and (only is None or name in only)]]
        check_usable(inputs, url)
        for part in lists.values():
            check_usable(part.steps, url)
        inputs = joined(lists, inputs, url) if lists else inputs
    return Examples(inputs, targets if labelled else {}, groups, weight, ignored=ignored if labelled else {})


def _targets(found: Columns, options: DataOptions, url: str, labelled: bool) -> dict[str, Values]:
    names = list(options.target)
    if found.blobs and not names:
        others = [name for name in found.names if name not in {*found.blobs, options.group, options.weight}]
        names = ["label"] if "label" in others else others if len(others) == 1 else []
    if labelled and not names:
        what = next((f"{blobs.what}s" for blobs in found.blobs.values()), "a table")
        is_what = f"is {what}" if what == "a table" else f"holds {what}"
        raise UserError(f"{url!r} {is_what}: say which column to predict with --target; {_listed(found.names)}")
    if not labelled:
        return {}
    for name in names:
        _expect(found, name, "target", url)
    return {name: found.lists[name] if name in found.lists else found.table[name] for name in names}


def _expect(found: Columns, name: str, option: str, url: str) -> None:
    if name not in found.names:
        close = difflib.get_close_matches(name, found.names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        raise UserError(f"{url!r} has no column {name!r} for --{option}{hint} {_listed(found.names)}")
    if name not in found.table and not (option == "target" and name in found.lists):
        raise UserError(f"the column {name!r} of {url!r} holds no single values; --{option} needs some")


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _MAX_LISTED else ""
    return f"its columns are {', '.join(names[:_MAX_LISTED])}{more}"
