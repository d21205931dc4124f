"""What the Prefect server does by itself for msearch's runs."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

CRASHED = "msearch: runs without a heartbeat are crashed"
CANCELLED = "msearch: runs that do not end when cancelled are cancelled"
TAG = "msearch"
"""Every deployment of msearch has it, and so every run of one."""
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
SILENCE_SECONDS = 90
"""Three heartbeats; see prefect.yaml."""
LATER_SECONDS = 120
"""When the first automation has surely had its turn."""


def crash_detection() -> AutomationCore:
    """Mark a run as crashed when its heartbeats stop before its end is reported: its machine is gone."""
    return AutomationCore(
        name=CRASHED,
        description=f"A run of msearch that has sent no heartbeat for {SILENCE_SECONDS} s is on a machine that died.",
        trigger=_missed_heartbeats(SILENCE_SECONDS),
        actions=[_change(StateType.CRASHED, f"no heartbeat for {SILENCE_SECONDS} s: its machine is gone")],
    )


def end_of_cancelling() -> AutomationCore:
    """Mark a run as cancelled whose heartbeats stopped too, where it was told to end before that was noticed.

    Prefect lets a run that is being cancelled become nothing else, so the other automation has no effect on it.
    This one counts heartbeats rather than the time since the run was told to end: Prefect holds back the events of
    a run's states for a quarter of an hour when its server was restarted in between. For the same reason it then
    does not see that a run was called crashed before, and calls it cancelled; it has ended in any case.
    """
    return AutomationCore(
        name=CANCELLED,
        description=f"A cancelled run of msearch that has sent no heartbeat for {LATER_SECONDS} s is on a machine that "
        "died.",
        trigger=_missed_heartbeats(LATER_SECONDS),
        actions=[_change(StateType.CANCELLED, f"no heartbeat for {LATER_SECONDS} s: its machine is gone")],
    )


def install(client: SyncPrefectClient) -> dict[str, bool]:
    """Put the automations on the server, or bring those that are there up to date. Returns which are new, by name."""
    return {wanted.name: _install(client, wanted) for wanted in (crash_detection(), end_of_cancelling())}


def _install(client: SyncPrefectClient, wanted: AutomationCore) -> bool:
    found = client.read_automations_by_name(wanted.name)
    for duplicate in found[1:]:
        client.delete_automation(duplicate.id)
    if found:
        client.update_automation(found[0].id, wanted)
    else:
        client.create_automation(wanted)
    return not found


def _missed_heartbeats(seconds: float) -> EventTrigger:
    """Fires for a run of msearch when neither another heartbeat nor its end follows one in time."""
    return EventTrigger(
        after={HEARTBEAT},
        expect={HEARTBEAT, *ENDS},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": ["tag"], "prefect.resource.id": [f"prefect.tag.{TAG}"]}
        ),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )


def _change(state: StateType, message: str) -> ChangeFlowRunState:
    return ChangeFlowRunState(name=None, state=state, force=False, message=message)
