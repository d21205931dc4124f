"""Names in the log. Every path is made here, from checked parts only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

SEARCH = "search.json"
CARRIER = "trials/00000000.parquet"
SLOTS_PER_FOLDER = 1000

_RUN = re.compile(r"\d{4,}")
_UID = re.compile(r"(?P<run>\d{4,})-(?P<rescore>r?)(?P<number>\d{5,})")
_CLAIM = re.compile(r"(?P<uid>\d{4,}-r?\d{5,})\.(?P<attempt>\d+)(?P<ending>\.json|\.released)")
_RUNG = re.compile(r"(?P<uid>\d{4,}-r?\d{5,})\.(?P<attempt>\d+)\.(?P<rung>\d+)\.json")
_CHUNK = re.compile(r"(?P<number>\d{8,})\.parquet")
_RUN_FILE = re.compile(r"(?P<run>\d{4,})\.(?P<extension>\d+)\.json")
_TRAINERS_FILE = re.compile(r"(?P<run>\d{4,})\.trainers\.(?P<number>\d+)\.json")
_STOP_FILE = re.compile(r"runs/\d{4,}\.\d+\.stop\.json")
_COUNTED = re.compile(r"(?:winners|production|refreshes)/(?P<number>\d+)\.json")
_TRAINER = re.compile(r"[A-Za-z0-9_.-]{1,120}")
_KEY = re.compile(r"[0-9a-f]{16}")


class Uid(NamedTuple):
    """The parts of a trial's name.

    Attributes:
        run: the run's name, four digits or more.
        number: the slot, from 1; for a re-scoring its own count.
        rescore: whether the trial re-scores an earlier one and so takes no slot.
    """

    run: str
    number: int
    rescore: bool = False

    def __str__(self) -> str:
        return f"{self.run}-r{self.number:05d}" if self.rescore else f"{self.run}-{self.number:06d}"

    @property
    def folder(self) -> str:
        """The part of the results, claims and rungs folders that the trial belongs to."""
        return f"{self.run}-r" if self.rescore else slot_folder(self.run, self.number)


def parse_uid(uid: str) -> Uid:
    """Take a uid apart.

    Raises:
        ValueError: it is not of the form ``<run>-<slot>``.
    """
    found = _UID.fullmatch(uid)
    if not found:
        raise ValueError(f"{uid!r} is no trial uid; expected <run>-<slot>, such as 0001-000017")
    return Uid(found["run"], int(found["number"]), bool(found["rescore"]))


def slot_folder(run: str, slot: int) -> str:
    """The folder that holds a slot, without its parent."""
    return f"{run}-{slot // SLOTS_PER_FOLDER}"


def run_name(number: int) -> str:
    """The name of the n-th run, from 1."""
    return f"{number:04d}"


def check_run(run: str) -> str:
    """Return the run's name if it is one.

    Raises:
        ValueError: it is not four digits or more.
    """
    return _checked(_RUN, run, "run name")


def run_file(run: str, extension: int) -> str:
    """The record of a run's budget, the n-th one from 1."""
    return f"runs/{check_run(run)}.{extension}.json"


def parse_run_file(name: str) -> tuple[str, int] | None:
    """``(run, extension)`` of the record of a budget, or ``None`` if the file is something else."""
    found = _RUN_FILE.fullmatch(name.rpartition("/")[2])
    return (found["run"], int(found["extension"])) if found else None


def stop_file(run: str, extension: int) -> str:
    """The record that ends a run's n-th budget early."""
    return f"runs/{check_run(run)}.{extension}.stop.json"


def is_stop_file(name: str) -> bool:
    """Whether a file is the early end of a budget."""
    return bool(_STOP_FILE.fullmatch(name))


def trainers_file(run: str, number: int) -> str:
    """The n-th record, from 1, of how many trainers a run is to have; the highest one counts."""
    return f"runs/{check_run(run)}.trainers.{number}.json"


def parse_trainers_file(name: str) -> tuple[str, int] | None:
    """``(run, number)`` of a record of how many trainers a run is to have, or ``None``."""
    found = _TRAINERS_FILE.fullmatch(name.rpartition("/")[2])
    return (found["run"], int(found["number"])) if found else None


def newest_trainers_file(names: Iterable[str], run: str) -> int:
    """The number of the record that counts, among files; 0 if there is none."""
    found = (parsed for name in names if (parsed := parse_trainers_file(name)))
    return max((number for each, number in found if each == run), default=0)


def result_file(uid: str) -> str:
    """The one immutable file of a finished trial."""
    return f"results/{parse_uid(uid).folder}/{uid}.parquet"


def result_uid(name: str) -> str | None:
    """The uid of a file name under ``results/``, or ``None`` if the file is something else."""
    stem, _, ending = name.rpartition("/")[2].partition(".")
    return stem if ending == "parquet" and _UID.fullmatch(stem) else None


def claim_file(uid: str, attempt: int) -> str:
    """Who is at work on a trial."""
    return f"claims/{parse_uid(uid).folder}/{uid}.{attempt}.json"


def released_file(uid: str, attempt: int) -> str:
    """Says that the owner of a claim handed it back."""
    return f"claims/{parse_uid(uid).folder}/{uid}.{attempt}.released"


def parse_claim(name: str) -> tuple[str, int, bool] | None:
    """``(uid, attempt, released)`` of a file name under ``claims/``, or ``None`` if it is something else."""
    found = _CLAIM.fullmatch(name.rpartition("/")[2])
    return (found["uid"], int(found["attempt"]), found["ending"] == ".released") if found else None


def rung_file(uid: str, attempt: int, rung: int) -> str:
    """What an attempt at a trial has reached at a rung, from 0."""
    return f"rungs/{parse_uid(uid).folder}/{uid}.{attempt}.{rung}.json"


def parse_rung(name: str) -> tuple[str, int, int] | None:
    """``(uid, attempt, rung)`` of a file name under ``rungs/``, or ``None`` if it is something else."""
    found = _RUNG.fullmatch(name.rpartition("/")[2])
    return (found["uid"], int(found["attempt"]), int(found["rung"])) if found else None


def key_file(run: str, key: str, taker: int) -> str:
    """Marks a proposal as tried in a run; ``taker`` counts those who took it after an orphaned marking."""
    return f"claims/keys/{check_run(run)}-{_checked(_KEY, key, 'proposal key')}.{taker}"


def opening_file(run: str, trials: int, attempt: int) -> str:
    """Who opens, or opened, the test split for the winner of so many trials of a run; the n-th attempt, from 1."""
    return f"openings/{check_run(run)}-{trials}.{attempt}.json"


def opening_released_file(run: str, trials: int, attempt: int) -> str:
    """Says that the owner of an attempt at opening the test split failed at it."""
    return f"openings/{check_run(run)}-{trials}.{attempt}.released"


def heartbeat_file(trainer: str, counter: int) -> str:
    """One beat of a trainer: an empty object."""
    return f"heartbeats/{_checked(_TRAINER, trainer, 'trainer name')}/{counter}"


def chunk_file(number: int) -> str:
    """The n-th sealed chunk, from 1."""
    return f"trials/{number:08d}.parquet"


def chunk_number(name: str) -> int | None:
    """The number of a chunk's file name, or ``None`` if the file is something else."""
    found = _CHUNK.fullmatch(name.rpartition("/")[2])
    return int(found["number"]) if found else None


def artefact_file(kind: str, uid: str, attempt: int, ending: str) -> str:
    """A checkpoint or validation output of one attempt, under ``weights/`` or ``predictions/``."""
    return f"{kind}/{parse_uid(uid)}.{attempt}.{ending}"


def checkpoint_folder(uid: str) -> str:
    """Where the attempts at a trial leave their checkpoints while it is under way."""
    return f"weights/{parse_uid(uid)}"


def checkpoint_file(uid: str, attempt: int, number: int) -> str:
    """The n-th checkpoint of a trial; a later one sorts after an earlier one."""
    return f"{checkpoint_folder(uid)}/{number:06d}.{attempt}.safetensors"


def checkpoint_number(name: str) -> int:
    """Which checkpoint of its trial a file is."""
    return int(name.rpartition("/")[2].partition(".")[0])


def model_folder(uid: str) -> str:
    """The finished model of a winner."""
    return f"models/{parse_uid(uid)}"


def report_file(number: int) -> str:
    """The page about the run of the n-th winner, from 1."""
    return f"reports/{number}.html"


def winner_file(number: int) -> str:
    """The n-th winner, from 1."""
    return f"winners/{number}.json"


def production_file(number: int) -> str:
    """The n-th record, from 1, of what is in use; the highest one counts."""
    return f"production/{number}.json"


def refresh_file(number: int) -> str:
    """What the n-th look at the data, from 1, that found something new came to."""
    return f"refreshes/{number}.json"


def number_of(name: str) -> int | None:
    """The number of a counted record such as ``winners/3.json``, or ``None`` if the file is something else."""
    found = _COUNTED.fullmatch(name)
    return int(found["number"]) if found else None


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} is no {what}")
    return text
