"""Searches as scikit-learn's estimators. All of its checks run in `benchmarks/estimator_checks.py`, here those that are
cheap; each fit is a whole search of one short trial.
"""

from __future__ import annotations

import copy
import datetime
import os
import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from benchmarks.estimator_checks import name_of
from msearch_core import SearchClassifier, SearchRegressor, keep_warm
from msearch_core.data.frames import store
from msearch_core.data.options import DataOptions
from msearch_core.data.source import load
from tests.searching import wait_for

WITHOUT_FIT = (
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_all_zero_sample_weights_error",
    "check_complex_data",
    "check_estimators_empty_data_messages",
    "check_estimator_sparse_tag",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_supervised_y_no_nan",
    "check_parameters_default_constructible",
    "check_fit2d_1sample",
    "check_get_params_invariance",
    "check_set_params",
    "check_fit1d",
    "check_requires_y_none",
)
ESTIMATORS = [SearchClassifier(trials=1, steps=20, random_state=0), SearchRegressor(trials=1, steps=20, random_state=0)]
CHECKS = [
    (estimator, check)
    for made in ESTIMATORS
    for estimator, check in estimator_checks_generator(made)
    if name_of(check) in WITHOUT_FIT or (name_of(check) == "check_dict_unchanged" and made is ESTIMATORS[1])
]


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    with keep_warm():
        yield


@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{type(each).__name__}-{name_of(check)}" for each, check in CHECKS]
)
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def wines() -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers with gaps, categories of whole numbers, texts, dates; and truth values to be told."""
    rng = np.random.default_rng(0)
    strong = rng.random(120) < 0.5
    table = pd.DataFrame(
        {
            "alcohol": np.where(strong, 14.0, 11.0) + rng.normal(size=120),
            "class": pd.Categorical(np.where(strong, 1, 2)),
            "colour": np.where(rng.random(120) < 0.2, None, np.where(strong, "red", "white")),
            "bottled": pd.date_range("2020-01-01", periods=120),
            "target": rng.normal(size=120),
        }
    )
    table.loc[rng.random(120) < 0.1, "alcohol"] = None
    return table, strong


@pytest.fixture(scope="module")
def fitted(warm: None) -> SearchClassifier:
    table, y = wines()
    return SearchClassifier(trials=1, steps=60, random_state=0).fit(table, y, sample_weight=np.arange(120.0))


def test_a_table_with_categories_dates_and_gaps(fitted: SearchClassifier) -> None:
    table, y = wines()
    assert fitted.classes_.tolist() == [False, True]
    assert fitted.n_features_in_ == 5
    assert fitted.feature_names_in_.tolist() == list(table)
    assert fitted.score(table, y) > 0.9
    probabilities = fitted.predict_proba(table)
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert fitted.predict(table.assign(colour="blue")[:1].astype({"class": object})) == y[:1]
    assert len(fitted.result_.trials) == 1
    assert fitted.result_.best["status"] == "completed"
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(table.rename(columns={"colour": "hue"}))


def test_it_is_copied_and_pickled_with_its_winner(fitted: SearchClassifier) -> None:
    table, _ = wines()
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.predict_proba(table), fitted.predict_proba(table))
        assert not hasattr(other, "result_")
    with pytest.raises(NotFittedError):
        clone(fitted).predict(table)


def test_the_temporary_log_goes_with_the_result_and_ones_own_stays(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    regressor = SearchRegressor(trials=1, steps=150, random_state=0, log=str(tmp_path / "log"))
    first = regressor.fit(x, 100 + 3 * x[:, 0]).predict(x)
    assert regressor.score(x, 100 + 3 * x[:, 0]) > 0.5
    again = clone(regressor).set_params(trials=2).fit(x, 100 + 3 * x[:, 0])
    assert len(again.result_.trials) == 2  # it went on
    regressor.set_params(log=None).fit(pd.DataFrame(x), 100 + 3 * x[:, 0])
    np.testing.assert_array_equal(regressor.predict(x), first)  # the same seed, the same model
    temporary = Path(regressor.result_.log.url.removeprefix("file://"))
    assert temporary.exists()
    del regressor.result_
    assert not temporary.parent.exists()


def test_an_interrupted_fit_hands_its_trial_back_and_another_goes_on_until_time_is_over(tmp_path: Path) -> None:
    table, y = wines()
    classifier = SearchClassifier(minutes=0.2, steps=10**7, random_state=0, log=str(tmp_path / "log"))

    def interrupt() -> None:
        wait_for(lambda: [*tmp_path.glob("log/claims/0001-0/*.1.json")], "a trial is claimed")
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(table, y)
    assert [*tmp_path.glob("log/claims/0001-0/0001-000001.1.released")]
    trials = classifier.fit(table, y).result_.trials
    assert trials[["uid", "attempt", "status"]].to_numpy().tolist() == [["0001-000001", 2, "stopped"]]
    assert (trials["steps"] < 10**7).all()


def test_cross_validation_and_grid_search_of_a_pipeline() -> None:
    table, y = wines()
    table, folds = table[["alcohol"]].fillna(12), [(np.arange(80), np.arange(80, 120))]
    pipeline = make_pipeline(StandardScaler(), SearchClassifier(trials=1, steps=40, random_state=0))
    assert cross_val_score(pipeline, table, np.where(y, "strong", "light"), cv=folds, error_score="raise").min() > 0.7
    grid = GridSearchCV(pipeline, {"searchclassifier__steps": [10]}, cv=folds, refit=False, error_score="raise")
    assert grid.fit(table, y).best_params_ == {"searchclassifier__steps": 10}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"steps": 0}, "--steps: input should be greater than or equal to 1"),
        ({"space": "nowhere"}, "nowhere"),
        ({"options": {"colour": 1}}, "unknown option --colour"),
    ],
)
def test_wrong_parameters_are_told_by_fit(parameters: dict[str, Any], message: str) -> None:
    table, y = wines()
    with pytest.raises(ValueError, match=message):
        SearchClassifier(**parameters).fit(table, y)


def test_sparse_columns_and_durations_are_numbers() -> None:
    table, y = wines()
    lasted = [datetime.timedelta(seconds=each) for each in range(120)]
    table = table[["alcohol"]].fillna(0).assign(lasted=pd.Series(lasted, dtype=object))
    sparse = table.assign(alcohol=table["alcohol"].astype(pd.SparseDtype("float", 0.0)))
    dense, same = (SearchClassifier(trials=1, steps=5, random_state=0).fit(each, y) for each in (table, sparse))
    np.testing.assert_allclose(same.predict_proba(sparse), dense.predict_proba(table))
    regressor = SearchRegressor(trials=1, steps=5, random_state=0)
    seconds = regressor.fit(table[["alcohol"]], np.arange(120.0)).predict(table[["alcohol"]])
    for durations in (np.array(lasted, object), pd.Series(pd.to_timedelta(lasted))):
        again = regressor.fit(table[["alcohol"]], durations).predict(table[["alcohol"]])
        np.testing.assert_allclose(again, seconds)


@pytest.mark.parametrize("y", [["u", None] * 6, pd.Series(["u", None] * 6, dtype="string"), [1.5, None] * 6])
def test_missing_labels_are_refused_in_one_line(y: Any) -> None:
    estimator = SearchRegressor() if y[0] == 1.5 else SearchClassifier()
    with pytest.raises(ValueError, match=r"^Input y of Search\w+ is missing in 6 of 12 rows; drop these$"):
        estimator.fit(pd.DataFrame({"x": range(12)}), y)


def test_lists_are_refused_in_one_line() -> None:
    table = pd.DataFrame({"x": [[1.0, 2.0]] * 12, "x0": range(12)})
    with pytest.raises(ValueError, match=r"^the column 'x' of 'X' holds list values; give numbers"):
        SearchClassifier().fit(table, ["u", "v"] * 6)


def test_any_column_can_be_stored(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "mixed": [1, "a", None, 2.5] * 10,
            "binned": pd.cut(range(40), 4),
            "truth": [True, None] * 20,
            "half": np.arange(40, dtype=np.float16),
            "whole": pd.array([1, None] * 20, dtype="Int64"),
            "day": pd.date_range("2020-01-01", periods=40),
            "lasted": pd.to_timedelta(range(40), "s"),
            "text": pd.array(["a", None] * 20, dtype="string"),
            "y": ["u", "v"] * 20,
        }
    )
    url = store(table, str(tmp_path))
    assert store(table, str(tmp_path)) == url
    found = load(DataOptions(url, ("y",))).inputs
    assert isinstance(found, pd.DataFrame)
    assert found["mixed"].dropna().tolist() == ["1", "a", "2.5"] * 10
    assert found["binned"].nunique() == 4
    for name in ("truth", "whole", "text"):
        assert found[name].isna().tolist() == table[name].isna().tolist()
    assert found["half"].tolist() == list(range(40))
    assert pd.api.types.is_timedelta64_dtype(found["lasted"].dtype)
