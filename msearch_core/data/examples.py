"""What the readers of data hand on, and what a search is given to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from msearch_core.data.problem import Task

if TYPE_CHECKING:
    import pandas as pd

Inputs: TypeAlias = "pd.DataFrame | np.ndarray"


@dataclass(frozen=True)
class Examples:
    """Examples as they were found, before it is decided what the target means.

    Attributes:
        inputs: a table of ``n`` rows, or images ``uint8`` or ``float32 (n, height, width, channels)``.
        target: the name of what is to be predicted.
        targets: ``n`` values to predict; ``None`` where the examples are not labelled.
        groups: ``n`` group keys, if the examples are grouped.
        content: ``uint64 (n,)``, a hash of each example as it is stored, for inputs that depend on more than the
            example itself (images brought to a common size); ``None`` to hash the inputs.
    """

    inputs: Inputs
    target: str
    targets: pd.Series | None = None
    groups: pd.Series | None = None
    content: np.ndarray | None = None


@dataclass(frozen=True)
class RawData:
    """A labelled data set before it is split and preprocessed.

    Attributes:
        inputs: a table of ``n`` rows, or images ``uint8`` or ``float32 (n, height, width, channels)``.
        targets: ``n`` class names (``object``, each a ``str``), or ``float64 (n,)`` numbers.
        task: what the targets mean.
        target: the name of what is to be predicted.
        groups: ``n`` group keys; examples of a group share a split.
        content: as in `Examples`.
        test: the held-out test examples, where the user named some.
    """

    inputs: Inputs
    targets: np.ndarray
    task: Task
    target: str = "target"
    groups: pd.Series | None = None
    content: np.ndarray | None = None
    test: RawData | None = None
