"""Putting msearch on a Prefect server: a work pool, the deployments, the automations. May be repeated at any time."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound

from flows.automations import TAG, install
from flows.events import UPDATED, resource_of
from flows.parameters import RefreshParameters
from flows.prefect_api import connected, wait_for_api
from msearch_core import programs
from msearch_core.errors import UserError

FILE = "prefect.yaml"
MAX_WORDS = 600
"""So many characters are shown of what Prefect says last when it fails."""


def deploy(
    pool: str | None,
    kind: str,
    file: Path | None = None,
    refreshes: RefreshParameters | None = None,
    cron: str | None = None,
) -> Iterator[str]:
    """Put all that a search needs on the server at ``PREFECT_API_URL``.

    Args:
        pool: the work pool, in place of those that the file names.
        kind: the type of pools that are not there yet: process, docker, kubernetes.
        file: the deployments; those for process pools if not given.
        refreshes: a search that is to recur.
        cron: when to look whether its data has changed, besides the event that says so.

    Yields:
        What was done, a line each.

    Raises:
        UserError: the server does not answer or refuses, the file is none, or the name belongs to another search.
    """
    if cron and not refreshes:
        raise UserError("--cron says when to look for new data of a search that recurs: give its file with --refresh")
    wanted = [on_pool(each, pool) for each in deployments(file).values()]
    if refreshes:
        wanted.append(refresh_deployment(wanted, refreshes, cron))
    wait_for_api()
    with connected() as client:
        if refreshes:
            _refuse_another_search(client, refreshes)
        for name in sorted({each["work_pool"]["name"] for each in wanted}):
            try:
                client.read_work_pool(name)
                yield f"work pool {name} is there"
            except ObjectNotFound:
                _prefect("work-pool", "create", name, "--type", kind)
                yield f"work pool {name} created ({kind})"
        _put(wanted)
        for each in wanted:
            yield f"deployment {each['entrypoint'].rpartition('.')[2]}/{each['name']}"
        for name, new in install(client).items():
            yield f"automation {'installed' if new else 'up to date'}: {name.removeprefix(f'{TAG}: ')}"


def deployment_file() -> Path:
    """The file with the deployments: beside the package in a clone, in it where it was installed."""
    here = Path(__file__).resolve().parent
    return next(path for path in (here / FILE, here.parent / FILE) if path.exists())


def deployments(file: Path | None = None) -> dict[str, dict[str, Any]]:
    """The deployments of a file, or those that msearch comes with, by name.

    Raises:
        UserError: the file holds no deployments.
    """
    try:
        loaded = yaml.safe_load((file or deployment_file()).read_text())
        return {each["name"]: each for each in loaded["deployments"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"--file: {file} holds no deployments as prefect.yaml does ({type(error).__name__})") from error


def refresh_deployment(
    among: Iterable[Mapping[str, Any]], parameters: RefreshParameters, cron: str | None
) -> dict[str, Any]:
    """The deployment of a search that recurs: on the event that its data has changed, and on a schedule.

    Raises:
        UserError: there is no deployment ``refresh`` that it could be made after, it would take that one's place, or
            the schedule is none.
    """
    base = next((each for each in among if each["name"] == "refresh"), None)
    if base is None:
        raise UserError("--refresh needs a deployment named 'refresh' in the file to be made after")
    if cron:
        try:
            CronSchedule(cron=cron)
        except ValueError:
            raise UserError(f"--cron: {cron!r} is no schedule; expected one such as '0 3 * * *'") from None
    name = parameters.name
    if name == base["name"]:
        raise UserError(
            "--refresh: the deployment 'refresh' is what others are made after; give the search another name"
        )
    return {
        **base,
        "name": name,
        "parameters": {"parameters": parameters.model_dump(mode="json", exclude_defaults=True)},
        "schedules": [{"cron": cron, "slug": "look"}] if cron else [],
        "triggers": [
            {
                "type": "event",
                "enabled": True,
                "name": f"{TAG}: new data for {name}",
                "expect": [UPDATED],
                "match": {"prefect.resource.id": resource_of(parameters.config.data)},
            }
        ],
    }


def _refuse_another_search(client: SyncPrefectClient, wanted: RefreshParameters) -> None:
    """Deployments of one name replace each other, and names are often made from data that is called alike."""
    try:
        there = client.read_deployment_by_name(f"refresh/{wanted.name}").parameters
    except ObjectNotFound:
        return
    log = str(((there.get("parameters") or {}).get("config") or {}).get("log"))
    if log.rstrip("/") != str(wanted.config.log).rstrip("/"):
        raise UserError(
            f"--refresh: the deployment refresh/{wanted.name} is of the search with the log {log}, not "
            f"{wanted.config.log}; give this search another name, or remove that one: "
            f"prefect deployment delete refresh/{wanted.name}"
        )


def on_pool(deployment: Mapping[str, Any], pool: str | None) -> dict[str, Any]:
    """A deployment with its work pool.

    Args:
        deployment: as it stands in the file.
        pool: takes the place of the pool that the file names.

    Raises:
        UserError: neither names one.
    """
    own = deployment.get("work_pool")
    wanted = {**(own if isinstance(own, dict) else {}), **({"name": pool} if pool else {})}
    if not wanted.get("name"):
        raise UserError(
            f"--file: the deployment {deployment['name']!r} has no work_pool with a name; add one, or --pool"
        )
    return {**deployment, "work_pool": wanted}


def _put(wanted: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / FILE
        file.write_text(json.dumps({"name": "msearch", "pull": [], "deployments": wanted}))
        _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(file))


def _prefect(*arguments: str) -> None:
    command, environment = programs.command("prefect", *arguments), programs.environment()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split()) or "no words"
        raise UserError(f"prefect {' '.join(arguments[:3])} ... failed: {words[-MAX_WORDS:]}")
