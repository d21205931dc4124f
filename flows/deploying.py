"""Putting msearch on a Prefect server: a work pool, the deployments and the automation. May be repeated at any time."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect import get_client
from prefect.exceptions import ObjectNotFound

from flows.automations import TAG, install
from flows.events import resource_of
from flows.parameters import RefreshParameters
from flows.prefect_api import wait_for_api
from msearch_core.errors import UserError

FILE = "prefect.yaml"


def deploy(pool: str, kind: str, refreshes: RefreshParameters | None = None, cron: str | None = None) -> Iterator[str]:
    """Put all that a search needs on the server at ``PREFECT_API_URL``.

    Args:
        pool: the work pool; created if it is not there.
        kind: its type, if it has to be created: process, docker, kubernetes.
        refreshes: a search that is to recur.
        cron: when to look whether its data has changed, besides the event that says so.

    Yields:
        What was done, a line each.

    Raises:
        UserError: the server does not answer or refuses.
    """
    wait_for_api()
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(pool)
            yield f"work pool {pool} is there"
        except ObjectNotFound:
            _prefect("work-pool", "create", pool, "--type", kind)
            yield f"work pool {pool} created ({kind})"
        wanted = [_on_pool(each, pool) for each in deployments().values()]
        if refreshes:
            wanted.append(refresh_deployment(pool, refreshes, cron))
        _put(wanted)
        for each in wanted:
            yield f"deployment {each['entrypoint'].rpartition('.')[2]}/{each['name']}"
        yield f"automation {'installed' if install(client) else 'up to date'}: runs without a heartbeat become Crashed"


def deployment_file() -> Path:
    """The file with the deployments: beside the package in a clone, in it where it was installed."""
    here = Path(__file__).resolve().parent
    return next(path for path in (here / FILE, here.parent / FILE) if path.exists())


def deployments() -> dict[str, dict[str, Any]]:
    """The deployments by name."""
    return {each["name"]: each for each in yaml.safe_load(deployment_file().read_text())["deployments"]}


def refresh_deployment(pool: str, parameters: RefreshParameters, cron: str | None) -> dict[str, Any]:
    """The deployment of a search that recurs: on the event that its data has changed, and on a schedule."""
    base = deployments()["refresh"]
    name = parameters.name
    return {
        **_on_pool(base, pool),
        "name": name,
        "parameters": {"parameters": parameters.model_dump(mode="json", exclude_defaults=True)},
        "schedules": [{"cron": cron, "slug": "look"}] if cron else [],
        "triggers": [
            {
                "type": "event",
                "enabled": True,
                "name": f"{TAG}: new data for {name}",
                "expect": ["msearch.data.updated"],
                "match": {"prefect.resource.id": resource_of(parameters.config.data)},
            }
        ],
    }


def _on_pool(deployment: Mapping[str, Any], pool: str) -> dict[str, Any]:
    return {**deployment, "work_pool": {**deployment["work_pool"], "name": pool}}


def _put(wanted: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_text(json.dumps({"name": "msearch", "pull": [], "deployments": wanted}))
        _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(file))


def _prefect(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "prefect", *arguments], capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no words"]
        raise UserError(f"prefect {' '.join(arguments[:3])} ... failed: {words[-1].strip()}")
