"""Tables from CSV files, as many programs write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from msearch_core.data.columns import MISSING
from msearch_core.data.files import Location, reading
from msearch_core.data.numerals import as_numbers
from msearch_core.errors import UserError

_SEPARATORS = ",;\t|"


def read_csv(location: Location, texts: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file.

    Args:
        location: the file.
        texts: columns of which but an empty value is missing, whatever the others spell.
        keys: columns whose numbers stay texts.

    Raises:
        UserError: it cannot be read, or is no such table.
    """
    url = location.url
    with reading(url), location.filesystem.open(location.path, "rb") as file:
        try:
            header = file.readline().decode("utf-8-sig")
            separator = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", header).count)

            def parse(**options: Any) -> pd.DataFrame:
                file.seek(0)
                table: pd.DataFrame = pd.read_csv(
                    file, sep=separator, encoding="utf-8-sig", keep_default_na=False, **options
                )
                return table

            titles = parse(header=None, nrows=1, dtype=str).iloc[0]
            names = titles[titles != ""]
            whole = partial(
                parse,
                dtype=dict.fromkeys([*texts, *keys], str),
                na_values={name: [""] if name in texts else sorted(MISSING) for name in names},
                low_memory=False,  # in chunks a long column may get several types
            )
            table = whole()
            row = parse(header=None, nrows=1, dtype=str, skiprows=1).iloc[0] if len(table) else titles
            if _ends_empty(table, row, len(titles)):
                table = whole(index_col=False, usecols=range(len(titles)))
        except pd.errors.EmptyDataError:
            raise UserError(f"{url!r} is empty; give a file with a header line and rows") from None
        except UnicodeDecodeError:
            raise UserError(f"{url!r} is not UTF-8 text; save it as UTF-8") from None
        except (pd.errors.ParserError, ValueError) as error:
            raise UserError(f"{url!r} is not a CSV table: {' '.join(str(error).split())}; correct the file") from None
    refuse_repeated(pd.Index(names), url)  # Pandas has renamed them
    table = table.loc[:, ~table.columns.astype(str).str.match(r"Unnamed: \d+$")]
    read = {name: as_numbers(table[name], separator) for name in table.columns.difference([*texts, *keys])}
    return table.assign(**{name: numbers for name, numbers in read.items() if numbers is not None})


def _ends_empty(table: pd.DataFrame, row: pd.Series, width: int) -> bool:
    """Whether rows end in separators that the header lacks, so that Pandas took the first column for names of rows.

    R writes such names, and the header without one; its rows end in a value, be it NA.

    Args:
        table: as Pandas read it.
        row: the first one, as texts.
        width: of the header.
    """
    more = len(row) - width
    return more > 0 and bool((row.iloc[-more:] == "").all() and table.iloc[:, -more:].isna().all(axis=None))


def refuse_repeated(names: pd.Index, url: str) -> None:
    """Refuse a table two of whose columns have the same name."""
    repeated = names[names.duplicated()]
    if len(repeated):
        raise UserError(f"{url!r} has the column {repeated[0]!r} more than once; rename one of each")
