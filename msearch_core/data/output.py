"""Tables written to where the user wants them."""

from __future__ import annotations

import sys

import pandas as pd

from msearch_core.errors import UserError
from msearch_core.urls import open_output, refuse_memory, write_file

ENDINGS = (".csv", ".parquet")


def check_writable(out: str | None) -> None:
    """See that an output's name says how to write it, and that it can be written.

    Raises:
        UserError: it does not, or it cannot.
        OSError: the storage cannot be reached.
    """
    if out is None:
        return
    if not out.lower().endswith(ENDINGS):
        raise UserError(
            f"--out {out}: cannot tell the format from the ending; give a name that ends in .csv or .parquet"
        )
    refuse_memory(out, "--out")
    open_output(out)


def write_table(table: pd.DataFrame, out: str | None) -> None:
    """Write a table.

    Args:
        table: the rows.
        out: a local path or fsspec URL that ends in ``.csv`` or ``.parquet``; CSV on standard output if not given.

    Raises:
        UserError: it cannot be written there.
    """
    if out is None:
        table.to_csv(sys.stdout, index=False)
    else:
        parquet = out.lower().endswith(".parquet")
        write_file(out, table.to_parquet(index=False) if parquet else table.to_csv(index=False).encode())
