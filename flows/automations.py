"""What the Prefect server does by itself for msearch's runs."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

CRASHED = "msearch: runs without a heartbeat are crashed"
TAG = "msearch"
"""Every deployment of msearch has it, and so every run of one."""
HEARTBEAT = "prefect.flow-run.heartbeat"
SILENCE_SECONDS = 90
"""Three heartbeats; see prefect.yaml."""
ENDS = ("Completed", "Failed", "Cancelled", "Crashed")


def crash_detection() -> AutomationCore:
    """Mark a run as crashed when its heartbeats stop before its end is reported: its machine is gone."""
    return AutomationCore(
        name=CRASHED,
        description=f"A run of msearch that has sent no heartbeat for {SILENCE_SECONDS} s is on a machine that died.",
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT, *(f"prefect.flow-run.{state}" for state in ENDS)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": ["tag"], "prefect.resource.id": [f"prefect.tag.{TAG}"]}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=SILENCE_SECONDS),
        ),
        actions=[
            ChangeFlowRunState(
                name=None,
                state=StateType.CRASHED,
                force=False,
                message=f"no heartbeat for {SILENCE_SECONDS} s: its machine is gone",
            )
        ],
    )


def install(client: SyncPrefectClient) -> bool:
    """Put the automation on the server, or bring the one that is there up to date. Returns whether it was new."""
    wanted = crash_detection()
    found = client.read_automations_by_name(CRASHED)
    for duplicate in found[1:]:
        client.delete_automation(duplicate.id)
    if found:
        client.update_automation(found[0].id, wanted)
    else:
        client.create_automation(wanted)
    return not found
