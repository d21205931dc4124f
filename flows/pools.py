"""Finding the deployment that puts trainers on a work pool."""

from __future__ import annotations

from prefect import get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.exceptions import ObjectNotFound

from msearch_core.errors import UserError


def trainer_deployment(pool: str) -> str:
    """The name of the deployment of the flow ``trainer`` on a work pool.

    Raises:
        UserError: there is no such pool, or nothing of the kind is deployed to it.
    """
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(pool)
        except ObjectNotFound:
            raise UserError(
                f"there is no work pool {pool!r}; create it with: prefect work-pool create {pool} --type process"
            ) from None
        found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=["trainer"])))
    names = [each.name for each in found if each.work_pool_name == pool]
    if not names:
        raise UserError(
            f"no trainer is deployed to the work pool {pool!r}; run: prefect deploy --name trainer --pool {pool}"
        )
    return f"trainer/{names[0]}"
