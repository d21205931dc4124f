"""The event that says that data has changed."""

from __future__ import annotations

import asyncio

from msearch_core.session import absolute_source
from msearch_core.urls import short

UPDATED = "msearch.data.updated"


def resource_of(data: str) -> str:
    """The resource that the event is about: the data as a deployed refresh has it, wherever it was named from."""
    return f"msearch.data.{absolute_source(short(data)).rstrip('/')}"


def tell_updated(data: str) -> None:
    """Tell the Prefect server at ``PREFECT_API_URL`` that data has changed, and wait until it has it."""
    asyncio.run(_emit(data))


async def _emit(data: str) -> None:
    from prefect.events import Event, Resource
    from prefect.events.clients import get_events_client

    resource = Resource({"prefect.resource.id": resource_of(data), "prefect.resource.name": data})
    event = Event(event=UPDATED, resource=resource, payload={})
    async with get_events_client(checkpoint_every=1) as client:
        await client.emit(event)
