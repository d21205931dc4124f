"""A trial's checkpoint: all that it needs to go on elsewhere and end as it would have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msearch_core.training import checkpoints
from msearch_core.training.loop import Progress


def save_progress(path: Path, batch_size: int, model: Any, optimizer: Any, progress: Progress) -> None:
    """Write all that a resumed trial needs to end as an uninterrupted one would."""
    tensors = {name: variable.value.numpy() for name, variable in _state_variables(model, optimizer).items()}
    tensors |= {f"weights/{name}": value for name, value in checkpoints.weights_of(model).items()}
    tensors |= {f"best/{index}": value for index, value in enumerate(progress.best_weights)}
    state = {
        "batch_size": batch_size,
        "step": progress.step,
        "curve": progress.curve,
        "best": progress.best,
        "seconds": progress.seconds,
    }
    checkpoints.save(path, tensors, state)


def load_progress(path: Path, batch_size: int, model: Any, optimizer: Any) -> Progress:
    """Go on from a checkpoint, or from the start if it was made with batches of another size."""
    tensors, state = checkpoints.load(path), checkpoints.load_state(path)
    if state["batch_size"] != batch_size:
        return Progress()
    checkpoints.assign_weights(
        model, {name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")}
    )
    for name, variable in _state_variables(model, optimizer).items():
        variable.assign(tensors[name])
    best = [tensors[f"best/{index}"] for index in range(len(model.weights))] if state["best"] else []
    return Progress(
        step=state["step"],
        curve=state["curve"],
        best=tuple(state["best"]) if state["best"] else None,
        best_weights=best,
        seconds=state["seconds"],
    )


def _state_variables(model: Any, optimizer: Any) -> dict[str, Any]:
    """All that changes in training besides the model's weights: the optimizer's state and the random generators."""
    weights = {id(variable) for variable in model.weights}
    generators = [variable for variable in model.variables if id(variable) not in weights]
    return {
        **{f"optimizer/{index}": variable for index, variable in enumerate(optimizer.variables)},
        **{f"generator/{index}": variable for index, variable in enumerate(generators)},
    }
