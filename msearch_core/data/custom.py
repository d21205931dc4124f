"""Data sources of a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from msearch_core.data.arrays import from_named_arrays
from msearch_core.data.examples import Examples
from msearch_core.data.options import DataOptions
from msearch_core.data.tables import from_table
from msearch_core.errors import UserError
from msearch_core.loading import load_code


@runtime_checkable
class Source(Protocol):
    """Where examples come from; give it as ``my_source.py:attribute`` or ``package.module:attribute``.

    The attribute is an object with this method, a class whose instances have it, or a function that does the same. The
    data may come from anywhere, but each call must return the same examples: their content is fingerprinted, and each
    machine that trains calls it for itself. A file must be in the current folder or in one of
    ``MSEARCH_CODE_PATH``. For example::

        class Waves:
            def read(self):
                rng = np.random.default_rng(0)
                x = [np.sin(np.arange(length) / 5) for length in rng.integers(20, 50, size=100)]
                return {"x": x, "y": [len(each) for each in x]}

    It returns either a ``pandas.DataFrame``, which is treated as a table read from a file (name its target with
    ``--target``), or a mapping:

    - ``x``: a ``DataFrame``; an array ``(n, columns)``; images ``(n, height, width[, channels])``; or sequences, as a
      list of arrays ``(time,)`` or ``(time, features)``, or as ``(n, time, features)`` with ``lengths`` ``(n,)``.
    - ``y``, or several targets ``y_<name>``: ``(n,)`` classes or numbers, ``(n, labels)`` of 0 and 1, or for a value at
      each step ``(n, time)``.
    - any other arrays ``(n,)``, to be named by ``--target``, ``--group`` or ``--weight``.
    """

    def read(self) -> Mapping[str, Any] | pd.DataFrame:
        """All examples."""


def is_reference(data: str) -> bool:
    """Whether a text names a source of the user's own, rather than a file or URL."""
    location, colon, attribute = data.partition(":")
    module = location.endswith(".py") or all(part.isidentifier() for part in location.split("."))
    return bool(colon) and attribute.isidentifier() and module


def read(reference: str, options: DataOptions, *, labelled: bool = True) -> Examples:
    """Read a source of the user's own.

    Args:
        reference: as in `Source`.
        options: which of its columns or arrays are targets, groups and weights.
        labelled: whether these are needed.

    Raises:
        UserError: there is no such source, its folder is not allowed, it fails, or what it returns is something else.
    """
    found = load_code(reference, "source", "a data source")
    try:
        source = found() if callable(found) else found
        returned = source.read() if isinstance(source, Source) else source
    except Exception as error:
        raise UserError(
            f"the data source {reference!r} failed: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if isinstance(returned, pd.DataFrame):
        return from_table(returned, options, reference, labelled=labelled)
    if not isinstance(returned, Mapping) or "x" not in returned:
        raise UserError(f"{reference!r} gave {type(returned).__name__}; expected a table or a mapping with 'x' and 'y'")
    arrays = {str(name): _array(values, str(name), reference) for name, values in returned.items()}
    return from_named_arrays(arrays, options, reference, labelled=labelled)


def _array(values: Any, name: str, reference: str) -> Any:
    """A list of numbers or texts as an array; a table of inputs, and sequences of several lengths, as they are."""
    if isinstance(values, pd.DataFrame) and name == "x":
        return values
    if isinstance(values, list | tuple) and values and isinstance(values[0], np.ndarray):
        return values
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(
            f"{name!r} of {reference!r} holds lists of several lengths; expected as many values in each, "
            "or for sequences a list of NumPy arrays, one an example"
        ) from None
