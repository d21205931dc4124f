"""Asynchronous neural architecture search with a filesystem trial database.

``msearch_core.search("digits")`` is the product, ``msearch_core.TrialLog(url)`` the database. Importing this package
imports neither TensorFlow nor Prefect nor scikit-learn.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msearch_core.api import SearchResult, predict, search
    from msearch_core.errors import UserError
    from msearch_core.estimators import SearchClassifier, SearchRegressor
    from msearch_core.training.alone import keep_warm
    from msearch_core.trial import Trial
    from msearch_core.trial_log import TrialLog

__all__ = [
    "SearchClassifier",
    "SearchRegressor",
    "SearchResult",
    "Trial",
    "TrialLog",
    "UserError",
    "keep_warm",
    "predict",
    "search",
]

_HOMES = {
    "SearchClassifier": "msearch_core.estimators",
    "SearchRegressor": "msearch_core.estimators",
    "SearchResult": "msearch_core.api",
    "keep_warm": "msearch_core.training.alone",
    "predict": "msearch_core.api",
    "search": "msearch_core.api",
    "Trial": "msearch_core.trial",
    "TrialLog": "msearch_core.trial_log",
    "UserError": "msearch_core.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: most commands need few of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
