"""What a trial leaves in the log besides its row, and what it takes from there: weights, outputs and checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msearch_core.algorithms.history import Outcome
from msearch_core.errors import UserError
from msearch_core.training import spec
from msearch_core.training.spec import Member
from msearch_core.trial_log import Claim
from msearch_core.trial_log.layout import (
    artefact_file,
    checkpoint_file,
    checkpoint_folder,
    checkpoint_number,
    parse_uid,
)
from msearch_core.trial_log.store import Store


class Artefacts:
    """Moves a trial's files between the training process's folder and the log.

    Args:
        store: the log's folder.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._checkpointed: set[str] = set()  # trials that may have checkpoints in the log

    def publish(self, claim: Claim, output: Path) -> dict[str, str]:
        """Bring weights and validation outputs to the log; they must be there before the row that names them.

        Returns:
            Their names by the row's column.
        """
        files = {"weights": output / spec.WEIGHTS, "predictions": output / spec.PREDICTIONS}
        present = {column: path for column, path in files.items() if path.exists()}
        names = {
            column: artefact_file(column, claim.uid, claim.attempt, path.suffix[1:]) for column, path in present.items()
        }
        with ThreadPoolExecutor(len(files)) as pool:
            list(pool.map(lambda column: self._store.create(names[column], present[column].read_bytes()), present))
        return names

    def save_checkpoint(self, claim: Claim, output: Path, saved: float) -> float:
        """Bring the trial's checkpoint to the log if it is newer than the one last brought there.

        Args:
            claim: the attempt.
            output: the training process's folder.
            saved: the time stamp of the checkpoint last brought to the log.

        Returns:
            The time stamp of the one that is there now.
        """
        path = output / spec.CHECKPOINT
        if not path.exists() or (written := path.stat().st_mtime) <= saved:
            return saved
        self._checkpointed.add(claim.uid)
        older = self._store.list(checkpoint_folder(claim.uid))
        number = 1 + max(map(checkpoint_number, older), default=0)
        self._store.create(checkpoint_file(claim.uid, claim.attempt, number), path.read_bytes())
        for name in older:
            self._store.delete(name)
        return written

    def load_checkpoint(self, claim: Claim, path: Path) -> str | None:
        """Fetch what an earlier attempt left off with; returns the path, or ``None`` if there is none."""
        return self.load_last_checkpoint(claim.uid, path) if claim.attempt > 1 else None

    def load_last_checkpoint(self, uid: str, path: Path) -> str | None:
        """Fetch a trial's newest checkpoint; returns the path, or ``None`` if there is none."""
        names = self._store.list(checkpoint_folder(uid))
        return self.load(names[-1], path) if names else None

    def clear_checkpoints(self, claim: Claim) -> None:
        """Remove a finished trial's checkpoints, if there can be any; those that cannot be removed do no harm."""
        if claim.attempt > 1 or claim.uid in self._checkpointed:
            self.remove_checkpoints(claim.uid)

    def remove_checkpoints(self, uid: str) -> None:
        """Remove the checkpoints of a trial that nobody goes on from any more."""
        self._checkpointed.discard(uid)
        with contextlib.suppress(OSError):
            for name in self._store.list(checkpoint_folder(uid)):
                self._store.delete(name)

    def load_members(self, trial: Outcome, history: Mapping[str, Outcome], folder: Path) -> tuple[Member, ...]:
        """Fetch the weights of a trial, or of all members of an ensemble, into a local folder.

        Raises:
            FileNotFoundError: a member's weights are gone.
            UserError: a uid is none; the log may be anybody's.
        """
        shares = trial.members or {trial.uid: 1.0}
        members = []
        for uid, share in shares.items():
            path = _local(folder, uid)
            path.write_bytes(self._store.read(str(history[uid].weights)))
            architecture = history[uid].architecture
            members.append(Member(weights=str(path), architecture=architecture, share=share, adds=trial.adds))
        return tuple(members)

    def load_outputs(self, candidates: Mapping[str, Outcome], folder: Path) -> tuple[dict[str, str], list[str]]:
        """Fetch what candidates for an ensemble said of the validation split.

        Returns:
            The local files by uid, and why some are left out: outputs that are gone, or weights, without which a
            member could not be used.
        """
        present = set(self._store.list("weights"))
        found, left_out = {}, []
        for uid, each in candidates.items():
            if each.weights not in present:
                left_out.append(f"{uid} was left out: its weights are gone")
            elif path := self.load(str(each.predictions), _local(folder, uid)):
                found[uid] = path
            else:
                left_out.append(f"{uid} was left out: its outputs are gone")
        return found, left_out

    def load(self, name: str, path: Path) -> str | None:
        """Fetch an object of the log into a local file; returns the path, or ``None`` if it is not there."""
        try:
            path.write_bytes(self._store.read(name))
        except FileNotFoundError:
            return None
        return str(path)


def _local(folder: Path, uid: str) -> Path:
    try:
        parse_uid(uid)  # what is none could lead out of the folder
    except ValueError as error:
        raise UserError(f"the log is damaged: {error}; see: msearch check") from None
    return folder / f"{uid}.safetensors"
