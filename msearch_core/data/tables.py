"""Tables from CSV and Parquet files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from msearch_core.data import images
from msearch_core.data.examples import Examples
from msearch_core.data.files import Location, reading
from msearch_core.errors import UserError

ENDINGS = (".csv", ".parquet")
_SEPARATORS = ",;\t|"
_MAX_LISTED = 20


def read(
    location: Location,
    *,
    target: str | None,
    group: str | None,
    labelled: bool,
    texts: Sequence[str] = (),
    shape: Sequence[int] | None = None,
) -> Examples:
    """Read a CSV or Parquet file; a Parquet file with a column of image bytes gives images.

    A CSV file may be separated by commas, semicolons, tabs or bars. Its columns without a name (a written index) are
    left out.

    Args:
        location: the file.
        target: the column to predict.
        group: the column that says which rows belong together; not an input.
        labelled: whether the target is needed.
        texts: columns to be read as texts, even if all their values look like numbers.
        shape: the ``(height, width, channels)`` that images are brought to; found from the images if not given.

    Raises:
        UserError: the file is empty or malformed, a column is missing, or its values cannot be used.
    """
    table = _read_parquet(location) if location.ending == ".parquet" else _read_csv(location, texts)
    if not len(table):
        raise UserError(f"{location.url!r} has no rows; give a file with examples")
    pixels = next((name for name in table if images.is_image_column(table[name])), None)
    if pixels is not None:
        return _images(table, location.url, str(pixels), target, group, labelled, shape)
    if labelled and target is None:
        raise UserError(f"{location.url!r} is a table: say which column to predict with --target; {_listed(table)}")
    targets, groups = _column(table, target, "target", location.url, labelled), None
    if group is not None and labelled:
        groups = _column(table, group, "group", location.url, True)
    inputs = table.drop(columns=[name for name in {target, group} if name in table])
    if inputs.shape[1] == 0:
        raise UserError(f"{location.url!r} has no column to learn from besides {', '.join(map(repr, table.columns))}")
    check_usable(inputs, location.url)
    return Examples(inputs, target or "target", targets, groups)


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


def missing_columns(wanted: Iterable[str], table: pd.DataFrame, url: str) -> None:
    """See that a table has the columns that a model needs.

    Raises:
        UserError: some are missing; it names them.
    """
    missing = [name for name in wanted if name not in table]
    if missing:
        raise UserError(f"{url!r} lacks {_names('column', missing)}; {_listed(table)}")


def _images(
    table: pd.DataFrame,
    url: str,
    pixels: str,
    target: str | None,
    group: str | None,
    labelled: bool,
    shape: Sequence[int] | None,
) -> Examples:
    others = [str(name) for name in table if name not in (pixels, group)]
    if target is None and (labelled or "label" in others):
        target = "label" if "label" in others else others[0] if len(others) == 1 else None
    if labelled and target is None:
        raise UserError(f"{url!r} holds images: say which column to predict with --target; {_listed(table)}")
    targets = _column(table, target, "target", url, labelled)
    groups = _column(table, group, "group", url, True) if group is not None and labelled else None
    blobs = [images.as_bytes(each) for each in table[pixels]]
    names = [f"the image in row {row} of {url}" for row in range(len(blobs))]
    array = images.decode(names, blobs, shape)
    return Examples(array, target or "label", targets, groups, images.content(blobs))


def _column(table: pd.DataFrame, name: str | None, option: str, url: str, needed: bool) -> pd.Series | None:
    if name is None or (not needed and name not in table):
        return None
    if name not in table:
        close = difflib.get_close_matches(name, list(table.columns), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ";"
        raise UserError(f"{url!r} has no column {name!r} for --{option}{hint} {_listed(table)}")
    return table[name]


def _read_csv(location: Location, texts: Sequence[str]) -> pd.DataFrame:
    url = location.url
    with reading(url), location.filesystem.open(location.path, "rb") as file:
        try:
            header = file.readline().decode("utf-8-sig")
            separator = max(_SEPARATORS, key=header.count)
            file.seek(0)
            table = pd.read_csv(
                file,
                sep=separator,
                encoding="utf-8-sig",
                dtype=dict.fromkeys(texts, str),
                low_memory=False,  # else a long column may get several types
            )
        except pd.errors.EmptyDataError:
            raise UserError(f"{url!r} is empty; give a file with a header line and rows") from None
        except UnicodeDecodeError:
            raise UserError(f"{url!r} is not UTF-8 text; save it as UTF-8") from None
        except (pd.errors.ParserError, ValueError) as error:
            raise UserError(f"{url!r} is not a CSV table: {' '.join(str(error).split())}; correct the file") from None
    return _plain(table.loc[:, ~table.columns.astype(str).str.match(r"Unnamed: \d+$")], url)


def _read_parquet(location: Location) -> pd.DataFrame:
    url = location.url
    with reading(url), location.filesystem.open(location.path, "rb") as file:
        try:
            table = pq.read_table(file)
        except pa.ArrowInvalid as error:
            what = "empty" if not location.filesystem.size(location.path) else "not a Parquet file"
            raise UserError(f"{url!r} is {what}: {str(error).splitlines()[0]}; give a Parquet file") from None
    names = [str(name) for name in table.column_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{url!r} has {_names('column', repeated)} more than once; rename one of each")
    return _plain(table.drop_columns([n for n in names if n.startswith("__index_level_")]).to_pandas(**_PLAIN), url)


def _plain(table: pd.DataFrame, url: str) -> pd.DataFrame:
    if table.shape[1] == 0:
        raise UserError(f"{url!r} has no columns; give a file with a header line and rows")
    return table.rename(columns=str).reset_index(drop=True)


def _names(what: str, names: Sequence[str]) -> str:
    return f"the {what}{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def _listed(table: pd.DataFrame) -> str:
    names = [str(name) for name in table.columns]
    more = f", ... ({len(names)} in all)" if len(names) > _MAX_LISTED else ""
    return f"its columns are {', '.join(names[:_MAX_LISTED])}{more}"


_PLAIN: dict[str, Any] = {"ignore_metadata": True}
