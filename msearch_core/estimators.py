"""Searches as scikit-learn's estimators: ``SearchClassifier`` and ``SearchRegressor``."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from msearch_core.api import SearchResult, search, search_alone
from msearch_core.config import make_config
from msearch_core.data.columns import to_texts
from msearch_core.data.frames import store
from msearch_core.data.tables import check_usable
from msearch_core.errors import UserError
from msearch_core.training.bundle import Bundle, read_bundle

MIN_SAMPLES = 3
"""One to train on, one to validate with and one to test the winner."""
MAX_SEED = 2**31 - 1
BATCH = 256

_Examples: TypeAlias = tuple[pd.DataFrame, np.ndarray, np.ndarray | None]


class _SearchEstimator(BaseEstimator):  # type: ignore[misc]
    """Runs a search in ``fit`` and answers with its winner.

    See ``SearchClassifier`` for parameters and attributes.
    """

    _task: ClassVar[str]

    def __init__(
        self,
        *,
        space: str | None = None,
        trials: int | None = None,
        minutes: float | None = None,
        trainers: int = 1,
        steps: int = 500,
        batch_size: int = 64,
        algorithm: str | None = None,
        objective: str | None = None,
        log: str | None = None,
        options: dict[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.space = space
        self.trials = trials
        self.minutes = minutes
        self.trainers = trainers
        self.steps = steps
        self.batch_size = batch_size
        self.algorithm = algorithm
        self.objective = objective
        self.log = log
        self.options = options
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Not `categorical`, by which scikit-learn's checks understand that X holds nothing but categories.
        tags.input_tags.allow_nan = tags.input_tags.string = True
        tags.non_deterministic = self.trainers != 1
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "result_"}

    def _examples(self, X: Any, y: Any, sample_weight: Any, dtype: Any = None) -> _Examples:
        """What ``fit`` is given, checked; examples of no weight are left out."""
        table = _table(self, X, reset=True)
        y = _labels(self, y, table, dtype)
        if sample_weight is None:
            return table, y, None
        weight = _weights(sample_weight, table)
        return table[weight > 0].reset_index(drop=True), y[weight > 0], weight[weight > 0]

    def _search(self, table: pd.DataFrame, y: np.ndarray, weight: np.ndarray | None) -> None:
        """Search for a model of the table's columns, and keep it."""
        target, weights = _free_names(table, "target", "weight")
        whole = table.assign(**{target: y})
        if weight is not None:
            whole[weights] = weight
        given = {name: value for name, value in self.get_params(deep=False).items() if value is not None}
        options = {
            **given.pop("options", {}),
            **given,
            "target": target,
            "task": self._task,
            "weight": None if weight is None else weights,
            "seed": _seed(self.random_state),
        }
        options.pop("random_state", None)
        try:
            self.result_ = _run(whole, options)
            self._bundle = read_bundle(self.result_.winner.model)
        except UserError as error:
            raise ValueError(str(error)) from error

    def _answers(self, X: Any) -> np.ndarray:
        """What the winner says: ``float64 (n, outputs)``."""
        check_is_fitted(self)
        bundle: Bundle = self._bundle
        table = _table(self, X, reset=False)
        columns = [column["name"] for column in bundle.problem.preprocessing["columns"]]
        try:
            (answers,) = bundle.answers(table[columns], BATCH, filled=True).values()
        except UserError as error:
            raise ValueError(str(error)) from error
        return answers.astype(np.float64)


class SearchClassifier(ClassifierMixin, _SearchEstimator):  # type: ignore[misc]
    """Searches for a classifier: ``SearchClassifier(trials=20).fit(X, y).predict(X_new)``.

    A fitted one can be pickled and copied, with the winner, but without ``result_``, which looks into a log. A category
    that ``fit`` has not seen is treated as a rare one, and a missing number as the mean.

    Args:
        space: as for ``msearch search --space``; chosen from the data if not given.
        trials: how many models to train, exactly; 20 or 10 minutes, whichever ends first, if neither is given.
        minutes: how long to search.
        trainers: how many trials at a time. One is trained from within this process, with one thread, and with the
            same data and ``random_state`` gives the same model; several are processes of their own which Prefect
            shows, as for ``msearch search``, and share what they learn in the order in which they happen to end.
        steps: gradient steps a trial.
        batch_size: examples a step.
        algorithm: as for ``msearch search --algorithm``; the default if not given.
        objective: the validation score to optimise; chosen by the kind of problem if not given.
        log: a folder or URL for the trial log, which another fit with the same data and parameters goes on with; a
            temporary one, gone with ``result_``, if not given.
        options: further options of ``msearch_core.search``, such as ``{"ensemble_every": 5, "max_params": 10_000}``.
        random_state: seed of the splits, the proposals and the trials.

    Attributes:
        result_: the search's ``SearchResult``.
        n_features_in_: the number of columns.
        feature_names_in_: their names, where X was a table with texts as names.
        classes_: the labels, in order.
    """

    _task = "classification"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Search for a classifier. A fifth of the examples validate all models, and a fifth test the winner.

        Args:
            X: a table ``(n, columns)``, an array or a DataFrame: numbers, categories, dates, missing values.
            y: ``(n,)`` labels of any kind, two examples of each at least.
            sample_weight: ``(n,)``, how much each example counts; the same for all if not given.

        Raises:
            ValueError: the data cannot be learned from, or a parameter is wrong.
        """
        table, y, weight = self._examples(X, y, sample_weight)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        self._search(table, _names(self.classes_)[numbers], weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities.

        Args:
            X: as for ``fit``.

        Returns:
            ``float64 (n, classes)``, in the order of ``classes_``.
        """
        answers = self._answers(X)
        labels = list(self._bundle.problem.targets[0].labels)
        answers = answers[:, [labels.index(name) for name in _names(self.classes_)]]
        return np.asarray(answers / answers.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each example, ``(n,)``."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class SearchRegressor(RegressorMixin, _SearchEstimator):  # type: ignore[misc]
    """Searches for a regressor: ``SearchRegressor(trials=20).fit(X, y).predict(X_new)``.

    The parameters and attributes are those of ``SearchClassifier``, but for ``classes_``.
    """

    _task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Search for a regressor. A fifth of the examples validate all models, and a fifth test the winner.

        Args:
            X: a table ``(n, columns)``, an array or a DataFrame: numbers, categories, dates, missing values.
            y: ``(n,)`` numbers.
            sample_weight: ``(n,)``, how much each example counts; the same for all if not given.

        Raises:
            ValueError: the data cannot be learned from, or a parameter is wrong.
        """
        self._search(*self._examples(X, y, sample_weight, np.float64))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """A number for each example, ``float64 (n,)``; X as for ``fit``."""
        return self._answers(X)[:, 0]


def _run(table: pd.DataFrame, options: dict[str, Any]) -> SearchResult:
    """Search in the log that the options name, or in one that goes when the result does."""
    if options.get("log"):
        return _search_in(str(options["log"]), table, options, None)
    folder = tempfile.mkdtemp(prefix="msearch-")
    try:
        result = _search_in(f"{folder}/log", table, options, Path(folder) / "prepared")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


def _search_in(log: str, table: pd.DataFrame, options: dict[str, Any], cache: Path | None) -> SearchResult:
    # Beside the trials, so that whoever goes on with the search finds it.
    given = {**options, "log": log, "data": store(table, f"{log.rstrip('/')}/data")}
    return search_alone(make_config(**given), cache) if options["trainers"] == 1 else search(**given)


def _table(estimator: Any, X: Any, *, reset: bool) -> pd.DataFrame:
    """X as a table whose columns have texts as names; checked as scikit-learn does."""
    least = MIN_SAMPLES if reset else 1
    if not isinstance(X, pd.DataFrame):
        array = validate_data(
            estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan", ensure_min_samples=least
        )
        return pd.DataFrame(array, columns=[f"x{number}" for number in range(array.shape[1])]).infer_objects()
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    check_array(np.empty(X.shape, bool), ensure_min_samples=least)
    # Without names of their own, columns are called as those of an array.
    names = X.columns if X.columns.map(type).isin([str]).all() else [f"x{number}" for number in range(X.shape[1])]
    table = X.set_axis(names, axis=1).reset_index(drop=True)
    if not table.columns.is_unique:
        raise ValueError(f"X has the column {table.columns[table.columns.duplicated()][0]!r} twice; rename one of them")
    try:
        check_usable(table, "X")
    except UserError as error:
        raise ValueError(str(error)) from error
    sparse = {name: kind.subtype for name, kind in table.dtypes.items() if isinstance(kind, pd.SparseDtype)}
    return table.astype(sparse)


def _labels(estimator: Any, y: Any, table: pd.DataFrame, dtype: Any = None) -> np.ndarray:
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    y = _plain(y, estimator, as_numbers=dtype is not None)
    checked = check_array(y, ensure_2d=False, dtype=dtype, input_name="y", estimator=estimator)
    flat = column_or_1d(checked, warn=True)
    check_consistent_length(table, flat)
    return np.asarray(flat)


def _plain(y: Any, estimator: Any, *, as_numbers: bool) -> Any:
    """Durations as seconds; missing labels, which scikit-learn does not look for among texts, are refused."""
    values = np.asarray(y)
    if values.ndim != 1:
        return y
    if values.dtype == object and (missing := int(pd.isna(values).sum())):
        raise ValueError(
            f"Input y of {type(estimator).__name__} is missing in {missing} of {len(values)} rows; drop these"
        )
    if as_numbers and pd.api.types.infer_dtype(values) in ("timedelta", "timedelta64"):
        return pd.to_timedelta(pd.Series(values)).dt.total_seconds().to_numpy()
    return y


def _weights(sample_weight: Any, table: pd.DataFrame) -> np.ndarray:
    weights = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"sample_weight is of shape {weights.shape}; expected ({len(table)},)")
    check_consistent_length(table, weights)
    if (weights < 0).any() or not weights.any():
        raise ValueError("the sample weights are negative or all zero; give numbers of at least 0, one of them above")
    return np.asarray(weights)


def _names(classes: np.ndarray) -> np.ndarray:
    """A text for each label: the label's own where they all differ, else numbers."""
    texts = to_texts(pd.Series(classes))
    plain = len(set(texts)) == len(texts) and "" not in texts
    return texts if plain else np.arange(len(texts)).astype(str).astype(object)


def _free_names(table: pd.DataFrame, *wanted: str) -> Sequence[str]:
    """Names that no column has."""
    names = []
    for name in wanted:
        while name in table or name in names:
            name += "_"
        names.append(name)
    return names


def _seed(random_state: Any) -> int:
    if isinstance(random_state, int | np.integer) and 0 <= random_state < MAX_SEED:
        return int(random_state)
    return int(check_random_state(random_state).randint(MAX_SEED))
