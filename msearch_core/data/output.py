"""Tables written to where the user wants them."""

from __future__ import annotations

import sys

import pandas as pd

from msearch_core.errors import UserError

ENDINGS = (".csv", ".parquet")


def check_writable(out: str | None) -> None:
    """See that an output's name says how to write it.

    Raises:
        UserError: it does not.
    """
    if out is not None and not out.lower().endswith(ENDINGS):
        raise UserError(
            f"--out {out}: cannot tell the format from the ending; give a name that ends in .csv or .parquet"
        )


def write_table(table: pd.DataFrame, out: str | None) -> None:
    """Write a table.

    Args:
        table: the rows.
        out: a local path or fsspec URL that ends in ``.csv`` or ``.parquet``; CSV on standard output if not given.
    """
    if out is not None and out.lower().endswith(".parquet"):
        table.to_parquet(out, index=False)
    else:
        table.to_csv(sys.stdout if out is None else out, index=False)
