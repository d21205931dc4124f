"""Tables written to where the user wants them."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from msearch_core.errors import UserError

ENDINGS = (".csv", ".parquet")


def check_writable(out: str | None) -> None:
    """See that an output's name says how to write it, and that there is a folder for it.

    Raises:
        UserError: one of the two is not so.
    """
    if out is not None and not out.lower().endswith(ENDINGS):
        raise UserError(
            f"--out {out}: cannot tell the format from the ending; give a name that ends in .csv or .parquet"
        )
    if out is not None and "://" not in out and not Path(out).parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {Path(out).parent}; make it, or give another --out")


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
        return
    write = table.to_parquet if out.lower().endswith(".parquet") else table.to_csv
    try:
        write(out, index=False)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror or error}; give another --out") from error
