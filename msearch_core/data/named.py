"""Data sets that scikit-learn ships, known by name."""

from __future__ import annotations

import difflib

import numpy as np
import pandas as pd

from msearch_core.data.examples import Examples
from msearch_core.errors import UserError

NAMES = ("breast_cancer", "diabetes", "digits", "iris", "wine")
TARGET = "target"


def read(name: str) -> Examples:
    """Load a data set by name.

    Args:
        name: one of `NAMES`.

    Returns:
        Images of 8x8 grey pixels from 0 to 16 for ``digits``, else a table with a column a feature. Targets are class
        names, or numbers for ``diabetes``.
    """
    # Scikit-learn takes a second to import, and most data is not from here.
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        images = bunch.images[..., np.newaxis].astype(np.uint8)
        return Examples(images, {TARGET: pd.Series(bunch.target, name=TARGET)})
    table = pd.DataFrame(bunch.data, columns=[str(each) for each in bunch.feature_names])
    values = bunch.target if name == "diabetes" else np.asarray(bunch.target_names, object)[bunch.target]
    return Examples(table, {TARGET: pd.Series(values, name=TARGET)})


def unknown(data: str) -> UserError:
    """The error for what is neither a name nor a file."""
    close = difflib.get_close_matches(data, NAMES, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return UserError(
        f"there is no data called {data!r}; {hint}Give one of {', '.join(NAMES)}, a .csv, .parquet or .npz file, "
        "a folder of class folders with images or WAV files, or your own source.py:attribute"
    )
