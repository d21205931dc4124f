"""Finding the deployments that put trainers on work pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.exceptions import ObjectNotFound

from flows.prefect_api import connected
from msearch_core.errors import UserError


@dataclass(frozen=True)
class Place:
    """Where a trainer can run.

    Attributes:
        deployment: ``trainer/<name>``.
        parameters: what the deployment itself says of its trainers' parameters, such as their limits.
    """

    deployment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def places(pools: str, trainers: int | None) -> list[Place]:
    """The place of each trainer of a search.

    Args:
        pools: a work pool, or several with the number of trainers on each: ``cpu=3,gpu=1``.
        trainers: how many trainers there are in all, where ``pools`` does not say.

    Raises:
        UserError: there is no such pool, nothing of the kind is deployed to it, or the numbers contradict each other.
    """
    shares = [share.strip().partition("=") for share in pools.split(",")]
    counts = [(name, int(count) if count.isdecimal() else 0) for name, equals, count in shares if equals]
    if not counts and len(shares) == 1:
        counts = [(pools.strip(), trainers or 1)]
    total = sum(count for _, count in counts)
    if len(counts) != len(shares) or not all(count for _, count in counts) or trainers not in (None, total):
        raise UserError(f"--pool {pools}: expected one pool, or the trainers of each as in --pool cpu=3,gpu=1")
    return [place for name, count in counts for place in [trainer_deployment(name)] * count]


def trainer_deployment(pool: str) -> Place:
    """The deployment of the flow ``trainer`` on a work pool.

    Raises:
        UserError: there is no such pool, or nothing of the kind is deployed to it.
    """
    with connected() as client:
        try:
            client.read_work_pool(pool)
        except ObjectNotFound:
            raise UserError(
                f"there is no work pool {pool!r}; create it with: prefect work-pool create {pool} --type process"
            ) from None
        found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=["trainer"])))
    deployed = [each for each in found if each.work_pool_name == pool]
    if not deployed:
        raise UserError(
            f"no trainer is deployed to the work pool {pool!r}; run: prefect deploy --name trainer --pool {pool}"
        )
    return Place(f"trainer/{deployed[0].name}", deployed[0].parameters.get("parameters") or {})
