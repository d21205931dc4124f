"""A trial's checkpoint: all that it needs to go on elsewhere and end as it would have ended."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from msearch_core.training import checkpoints
from msearch_core.training.loop import Progress
from msearch_core.training.spec import TrialSpec


def save_progress(
    path: Path, batch_size: int, model: Any, optimizer: Any, progress: Progress, warm_up: int = 0
) -> None:
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
        "begun": progress.begun,
        "warm_up": warm_up,
    }
    checkpoints.save(path, tensors, state)


def load_progress(path: Path, batch_size: int, model: Any, optimizer: Any) -> Progress:
    """Go on from a checkpoint, or from the start if it was made with batches of another size.

    Raises:
        UnreadableError: the checkpoint is gone or damaged; the model is as it was.
    """
    tensors, state = checkpoints.load(path), checkpoints.load_state(path)
    try:
        if state["batch_size"] != batch_size:
            return Progress()
        variables = {f"weights/{variable.path}": variable for variable in model.weights}
        variables |= _state_variables(model, optimizer)
        values = [(variable, tensors[name].reshape(variable.shape)) for name, variable in variables.items()]
        best = [tensors[f"best/{index}"] for index in range(len(model.weights))] if state["best"] else []
        step, curve, seconds = state["step"], state["curve"], state["seconds"]
    except (KeyError, ValueError) as error:
        raise checkpoints.UnreadableError(f"it is no checkpoint of this model: {error!r}") from error
    for variable, value in values:
        variable.assign(value)
    return Progress(
        step=step,
        curve=curve,
        best=tuple(state["best"]) if state["best"] else None,
        best_weights=best,
        seconds=seconds,
        begun=state.get("begun", 0),
    )


def warm_up_steps(trial: TrialSpec) -> int:
    """Over how many steps the learning rate rises: of a trial that is trained on, as many as when it began."""
    if trial.trained_on:
        with suppress(checkpoints.UnreadableError):
            return int(checkpoints.load_state(Path(trial.trained_on)).get("warm_up", 0))
    return round(trial.rewarm * trial.steps) if trial.parent else 0


def go_on(trial: TrialSpec, model: Any, optimizer: Any) -> tuple[Progress, list[str]]:
    """Go on with what the parent ended with, if it is trained on, and with what an earlier attempt had come to.

    Args:
        trial: names the checkpoints, if there are any.
        model: as ``build_model`` makes it.
        optimizer: built for it.

    Returns:
        How far the trial has come, and which checkpoints could not be read and were passed over.
    """
    progress, lost = Progress(), []
    for path, what in (
        (trial.trained_on, "its parent's training did not go on"),
        (trial.resume, "what an earlier attempt had done was lost"),
    ):
        if path:
            try:
                progress = load_progress(Path(path), trial.batch_size, model, optimizer)
            except checkpoints.UnreadableError as error:
                lost.append(f"{what}: {error}")
                continue
            if path == trial.trained_on:  # curve and seconds are to be this trial's own
                progress = replace(progress, curve=[], seconds=0.0, begun=progress.step)
    return progress, lost


def _state_variables(model: Any, optimizer: Any) -> dict[str, Any]:
    """All that changes in training besides the model's weights: the optimizer's state and the random generators."""
    weights = {id(variable) for variable in model.weights}
    generators = [variable for variable in model.variables if id(variable) not in weights]
    return {
        **{f"optimizer/{index}": variable for index, variable in enumerate(optimizer.variables)},
        **{f"generator/{index}": variable for index, variable in enumerate(generators)},
    }
