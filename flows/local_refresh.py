"""The main of a local refresh process; it tells its parent what happens as ``flows.local_search`` does."""

from __future__ import annotations

from flows.local_search import Parent, check_pool, serve


def main() -> None:
    """Run the refresh whose ``RefreshParameters`` stand on the first line of standard input."""
    serve(_run)


def _run(line: str, parent: Parent) -> None:
    from flows.parameters import RefreshParameters
    from flows.prefect_api import wait_for_api, without_heartbeats
    from flows.refresh import refresh

    parameters = RefreshParameters.model_validate_json(line)
    if parameters.config.pool:
        check_pool(parameters.config.pool, parameters.config.trainers)
    wait_for_api()
    with without_heartbeats():
        state = refresh(parameters, return_state=True)
    parent.tell(ended={"state": state.name, "message": state.message})


if __name__ == "__main__":
    main()
