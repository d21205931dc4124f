"""Data, trials and winners as Prefect's assets, so that its UI shows what came of what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prefect.assets import Asset, AssetProperties

LONGEST_KEY = 500


def data_asset(source: Mapping[str, Any], fingerprint: str) -> Asset:
    """The data of a run in the state that it was searched in."""
    name = str(source["data"])
    return Asset(key=_key("data", name, fingerprint), properties=AssetProperties(name=name))


def trial_asset(log: str, uid: str) -> Asset:
    """A trial on record."""
    return Asset(key=_key("trial", log, uid), properties=AssetProperties(name=uid, description=f"a trial of {log}"))


def model_asset(log: str, run: str) -> Asset:
    """The winner of a run."""
    return Asset(
        key=_key("winner", log, run), properties=AssetProperties(name=f"winner {run}", description=f"of {log}")
    )


def upstream(log: str, parents: Iterable[str], data: Asset) -> list[str | Asset]:
    """What a trial was made from."""
    return [data, *(trial_asset(log, uid) for uid in parents)]


def _key(kind: str, *parts: str) -> str:
    path = "/".join(re.sub(r"[^A-Za-z0-9_./-]+", "-", part).strip("/-") for part in parts)
    return f"msearch://{kind}/{path[-LONGEST_KEY:].lstrip('/')}"
