"""Where the data is, and what of it means what: one value that travels from the user to every trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

from msearch_core.data.problem import Task
from msearch_core.errors import UserError

TASKS: tuple[str, ...] = get_args(Task)


@dataclass(frozen=True)
class DataOptions:
    """A data set as a user asks for it. JSON throughout, so that a run's record can hold it.

    Attributes:
        data: a name (`msearch_core.data.named.NAMES`); a ``.csv``, ``.parquet`` or ``.npz`` file; a folder of class
            folders with images or WAV files; or a source of the user's own, ``module:attribute`` or
            ``file.py:attribute`` (`msearch_core.data.custom`). Files and folders are local paths or fsspec URLs.
        target: what to predict: a column, or several, each a task of its own; a table needs it.
        test: another such source of the same form; its examples are the test split.
        group: a column whose value says which rows belong together and must share a split.
        weight: a column of numbers that says how much each example counts.
        task: by target what it means, where that shall not be decided from its values; ``""`` stands for all targets.
        task_weight: by target its share of loss and score among several; 1 where it is not named.
        balance: whether the classes of a classification shall weigh the same, however rare they are.
    """

    data: str
    target: tuple[str, ...] = ()
    test: str | None = None
    group: str | None = None
    weight: str | None = None
    task: Mapping[str, str] = field(default_factory=dict)
    task_weight: Mapping[str, float] = field(default_factory=dict)
    balance: bool = False

    @property
    def of_test(self) -> DataOptions | None:
        """The options of the held-out test examples, where the user named some."""
        if self.test is None:
            return None
        return DataOptions(self.test, self.target, weight=self.weight, task=self.task)

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values, those that are not set left out."""
        record = {key: value for key, value in asdict(self).items() if value not in (None, (), {}, False)}
        return {**record, "target": list(self.target)} if self.target else record


def data_options(record: Mapping[str, Any]) -> DataOptions:
    """The options that a mapping holds, perhaps among others.

    Args:
        record: the fields of `DataOptions`. ``target`` may also be one name, ``task`` a list such as
            ``["multilabel"]`` or ``["price=regression"]``, and values may be ``None``.

    Raises:
        UserError: there is no such task, or a name is given twice.
    """
    own = {each.name: record[each.name] for each in fields(DataOptions) if record.get(each.name) is not None}
    target = own.get("target", ())
    own["target"] = (target,) if isinstance(target, str) else tuple(target)
    if len(set(own["target"])) < len(own["target"]):
        raise UserError(f"--target names {_repeated(own['target'])!r} twice; name each target once")
    task = own.get("task", {})
    own["task"] = dict(task) if isinstance(task, Mapping) else _parse_tasks([task] if isinstance(task, str) else task)
    for asked in own["task"].values():
        if asked not in TASKS:
            raise UserError(f"--task: there is no task {asked!r}; expected one of {', '.join(TASKS)}")
    return DataOptions(**own)


def _parse_tasks(texts: list[str]) -> dict[str, str]:
    parted = [text.rpartition("=") for text in texts]
    return {name: task for name, _, task in parted}


def _repeated(names: tuple[str, ...]) -> str:
    return next(name for name in names if names.count(name) > 1)
