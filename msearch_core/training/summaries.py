"""A trial's curves and hyperparameters for TensorBoard, where that is asked for."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf

from msearch_core.training.loop import Progress
from msearch_core.training.spec import TrialResult, TrialSpec, one_line


class Summaries:
    """Writes event files, for each trial in a folder of its own. One that cannot be written ends no trial.

    Args:
        folder: a local path, or a URL that TensorFlow's filesystems can write; ``None`` writes nothing.
        trial: what is trained.
    """

    def __init__(self, folder: str | None, trial: TrialSpec) -> None:
        self._trial = trial
        self._writer: Any = None
        if folder:
            self._try(self._begin, f"{folder.rstrip('/')}/{trial.uid}")

    def progress(self, progress: Progress) -> None:
        """Add the evaluation that was just made."""
        objective = self._trial.objective.rpartition(":")[2]
        values = {f"validation/{objective}": progress.curve[-1], "train/loss": progress.loss}
        self._try(self._scalars, values, progress.step)

    def end(self, result: TrialResult) -> None:
        """Add the scores of the best evaluation and close the file."""
        values = {f"best/{name}": value for name, value in (result.metrics or {}).items()}
        self._try(self._scalars, values, result.steps or 0)
        if self._writer is not None:
            self._try(self._writer.close)

    def _begin(self, folder: str) -> None:
        from tensorboard.plugins.hparams import api

        self._writer = tf.summary.create_file_writer(folder)
        with self._writer.as_default(step=0):
            described = {"architecture": " > ".join(self._trial.architecture), "seed": self._trial.seed}
            api.hparams({**self._trial.hyperparameters, **described}, trial_id=self._trial.uid)
        self._writer.flush()

    def _scalars(self, values: dict[str, float | None], step: int) -> None:
        if self._writer is None:
            return
        with self._writer.as_default(step=step):
            for name, value in values.items():
                if value is not None:
                    tf.summary.scalar(name, value)
        self._writer.flush()

    def _try(self, write: Any, *arguments: Any) -> None:
        try:
            write(*arguments)
        except (OSError, ImportError, tf.errors.OpError) as error:
            self._writer = None
            line = f"trial {self._trial.uid}: TensorBoard's files cannot be written: {one_line(error)}"
            print(line, file=sys.stderr)  # noqa: T201 (the trainer's log)
