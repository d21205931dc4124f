"""Tensors on the local disk: safetensors keyed by path, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


class UnreadableError(ValueError):
    """A file of tensors that is not there, or that is no whole one."""


def weights_of(model: Any) -> dict[str, np.ndarray]:
    """A Keras model's weights, batch-norm statistics included, by variable path such as ``head/kernel``."""
    return {variable.path: variable.value.numpy() for variable in model.weights}


def assign_weights(model: Any, tensors: Mapping[str, np.ndarray]) -> None:
    """Give every weight of the model its value.

    Raises:
        KeyError: a weight is missing.
        ValueError: a shape does not fit.
    """
    for variable in model.weights:
        variable.assign(tensors[variable.path])


def save(path: Path, tensors: Mapping[str, np.ndarray], state: Mapping[str, Any] | None = None) -> None:
    """Write tensors, and a state that is JSON, to one file; readers see the old file or the new one."""
    from safetensors.numpy import save_file

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    metadata = None if state is None else {"state": json.dumps(state)}
    contiguous = {name: np.ascontiguousarray(tensor).reshape(np.shape(tensor)) for name, tensor in tensors.items()}
    save_file(contiguous, temporary, metadata)
    temporary.replace(path)


def load(path: Path) -> dict[str, np.ndarray]:
    """Read a file's tensors.

    Raises:
        UnreadableError: there is no such file, or it is not a whole safetensors file.
    """
    from safetensors.numpy import load_file

    with _readable():
        tensors: dict[str, np.ndarray] = load_file(path)
    return tensors


def load_or_make(path: Path, make: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Read a file's tensors; whoever needs them first makes them and keeps them there."""
    if not path.exists():
        save(path, make())
    return load(path)


def load_state(path: Path) -> dict[str, Any]:
    """Read the state that was saved beside the tensors; empty if there was none.

    Raises:
        UnreadableError: as for `load`.
    """
    from safetensors import safe_open

    with _readable(), safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    state: dict[str, Any] = json.loads(metadata.get("state", "{}"))
    return state


@contextmanager
def _readable() -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableError("it is gone") from error
    except (SafetensorError, OSError) as error:
        raise UnreadableError(f"it is damaged: {str(error).splitlines()[0]}") from error
