"""The deployments, the image and the automation, as far as they can be checked without a cluster."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import prefect.server.api.collections_data.views
import pytest
import yaml
from prefect.events.schemas.automations import Posture
from prefect.utilities.templating import apply_values, find_placeholders

from flows.automations import HEARTBEAT, SILENCE_SECONDS, crash_detection, end_of_cancelling
from flows.deploying import deploy, deployment_file, deployments, on_pool, refresh_deployment
from flows.events import UPDATED, resource_of
from flows.parameters import RefreshParameters, TrainerParameters
from msearch_core.config import make_config
from msearch_core.errors import UserError
from msearch_core.operations import read_refresh
from tests.searching import REPOSITORY

FILES = ["prefect.yaml", *(f"deployments/{name}.yaml" for name in ("docker", "kubernetes", "several-pools"))]
POOL_TYPES = {
    "msearch": "process", "msearch-docker": "docker", "msearch-kubernetes": "kubernetes", "msearch-cpu": "process",
    "msearch-gpu": "kubernetes",
}  # fmt: skip


@lru_cache
def base_template(kind: str) -> dict[str, Any]:
    """The base job template that `prefect work-pool create --type` gives a pool."""
    (folder,) = prefect.server.api.collections_data.views.__path__
    packages = json.loads((Path(folder) / "aggregate-worker-metadata.json").read_text())
    found: dict[str, Any] = next(workers[kind] for workers in packages.values() if kind in workers)
    template: dict[str, Any] = found["default_base_job_configuration"]
    return template


def template_of(pool: str) -> dict[str, Any]:
    if pool == "msearch-gpu":
        loaded: dict[str, Any] = json.loads((REPOSITORY / "deployments/kubernetes-gpu-pool.json").read_text())
        return loaded
    return base_template(POOL_TYPES[pool])


def every_deployment() -> list[Any]:
    return [
        pytest.param(each, id=f"{file}:{each['name']}")
        for file in FILES
        for each in yaml.safe_load((REPOSITORY / file).read_text())["deployments"]
    ]


@pytest.mark.parametrize("deployment", every_deployment())
def test_a_deployment_fits_its_flow_and_its_pool(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    assert getattr(import_module(module), name).name == name
    assert deployment["tags"] == ["msearch"], "the automation finds runs by this tag"

    template = template_of(deployment["work_pool"]["name"])
    variables = deployment["work_pool"]["job_variables"]
    assert set(variables) <= set(template["variables"]["properties"]), "a pool drops variables that it does not know"
    jsonschema.validate(variables, template["variables"])
    assert variables["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(SILENCE_SECONDS // 3)
    assert all(isinstance(value, str) for value in variables["env"].values())

    defaults = {key: value.get("default") for key, value in template["variables"]["properties"].items()}
    rendered = apply_values(template["job_configuration"], {**defaults, **variables, "command": "x", "name": "x"})
    assert not find_placeholders(rendered), rendered


def test_kubernetes_jobs_name_their_image_and_their_gpus() -> None:
    job = template_of("msearch-gpu")["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert job["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
    assert job["terminationGracePeriodSeconds"] > 30


def test_the_gpu_pool_differs_from_the_usual_one_in_gpus_and_grace_only() -> None:
    ours, usual = copy.deepcopy(template_of("msearch-gpu")), base_template("kubernetes")
    del ours["variables"]["properties"]["gpus"]
    pod = ours["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    del pod["terminationGracePeriodSeconds"], pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    assert ours == usual


def test_limits_of_several_pools_leave_no_gap() -> None:
    file = yaml.safe_load((REPOSITORY / "deployments/several-pools.yaml").read_text())
    own = {each["name"]: each["parameters"]["parameters"] for each in file["deployments"]}
    parameters = {
        name: TrainerParameters(**{"log": "gs://bucket/log", "run": "0001", **values}) for name, values in own.items()
    }
    assert parameters["trainer-cpu"].max_params is not None
    assert parameters["trainer-gpu"].min_params == parameters["trainer-cpu"].max_params + 1


def test_the_wheel_has_the_deployments() -> None:
    import tomllib

    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"prefect.yaml": "flows/prefect.yaml"}
    assert deployment_file() == REPOSITORY / "prefect.yaml"
    assert list(deployments()) == ["search", "trainer", "refresh"]


def test_a_file_without_deployments_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("name: other")
    for name in ("other.yaml", "none.yaml"):
        with pytest.raises(UserError, match="holds no deployments"):
            deployments(tmp_path / name)


def test_a_deployment_needs_a_work_pool_in_the_file_or_by_option() -> None:
    for pool in ({}, {"work_pool": None}, {"work_pool": {"job_variables": {}}}, {"work_pool": "gpus"}):
        with pytest.raises(UserError, match="the deployment 'mine' has no work_pool with a name"):
            on_pool({"name": "mine", **pool}, None)
        assert on_pool({"name": "mine", **pool}, "msearch")["work_pool"]["name"] == "msearch"


def test_a_search_that_recurs_listens_to_its_own_data() -> None:
    parameters = RefreshParameters(config=make_config(data="gs://bucket/new/", log="gs://bucket/log", name="voices"))
    among = deployments().values()
    made = refresh_deployment(among, parameters, "0 3 * * *")
    assert (made["name"], made["entrypoint"]) == ("voices", "flows.refresh.refresh")
    assert made["schedules"] == [{"cron": "0 3 * * *", "slug": "look"}]
    (trigger,) = made["triggers"]
    assert trigger["match"] == {"prefect.resource.id": resource_of("gs://bucket/new/")}
    assert trigger["expect"] == [UPDATED]
    assert RefreshParameters(**made["parameters"]["parameters"]) == parameters
    assert refresh_deployment(among, parameters, None)["schedules"] == []
    with pytest.raises(UserError, match="needs a deployment named 'refresh'"):
        refresh_deployment([], parameters, None)
    named = RefreshParameters(config=make_config(data="gs://bucket/refresh"))
    with pytest.raises(UserError, match="'refresh' is what others are made after; give the search another name"):
        refresh_deployment(among, named, None)
    with pytest.raises(UserError, match="--cron: 'not a cron' is no schedule; expected one such as"):
        refresh_deployment(among, parameters, "not a cron")


def test_a_schedule_for_no_search_is_refused() -> None:
    with pytest.raises(UserError, match=r"--cron .* --refresh"):
        next(deploy(None, "process", cron="0 3 * * *"))


@pytest.mark.parametrize(
    ("deployed", "told"),
    [
        ("my_source.py:Waves", "my_source.py:Waves"),
        ("pictures/", "pictures"),
        ("~/pictures", "pictures/"),
        ("pictures", "file://pictures/"),
        ("gs://bucket/new/", "gs://bucket/new"),
        ("iris", "iris"),
    ],
)
def test_the_event_finds_a_deployment_however_the_data_is_written(
    deployed: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in ("pictures", "iris"):
        (tmp_path / folder).mkdir()
    (tmp_path / "refresh.json").write_text(json.dumps({"data": deployed, "log": "~/log"}))
    parameters = read_refresh(tmp_path / "refresh.json")
    (trigger,) = refresh_deployment(deployments().values(), parameters, None)["triggers"]
    assert trigger["match"] == {"prefect.resource.id": resource_of(told)}


@pytest.mark.parametrize(
    ("log", "absolute"), [("~/log", "{home}/log"), ("log/", "{home}/log"), ("gs://bucket/log", "gs://bucket/log")]
)
def test_the_log_of_a_refresh_is_the_same_folder_wherever_it_runs(
    log: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "refresh.json").write_text(json.dumps({"data": "iris", "log": log}))
    assert read_refresh(tmp_path / "refresh.json").config.log == absolute.format(home=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"keep": 0}, r"--keep: .*greater than or equal to 1 \(got 0\)"),
        ({"keep": "many"}, r"--keep: .*integer.* \(got 'many'\)"),
        ({"overlap": "jion"}, r"--overlap: .*'join' or 'refuse' \(got 'jion'\)"),
    ],
)
def test_wrong_options_of_a_refresh_are_one_line(given: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "refresh.json").write_text(json.dumps({"data": "iris", "log": "log", **given}))
    with pytest.raises(UserError, match=message) as error:
        read_refresh(tmp_path / "refresh.json")
    assert "\n" not in str(error.value)


def test_silent_runs_are_crashed_after_three_heartbeats() -> None:
    automation = crash_detection()
    assert automation.trigger.posture is Posture.Proactive  # type: ignore[union-attr]
    assert automation.trigger.within.total_seconds() == SILENCE_SECONDS  # type: ignore[union-attr]
    assert automation.actions[0].state.value == "CRASHED"  # type: ignore[union-attr]


def test_a_run_that_was_cancelled_on_a_dead_machine_ends() -> None:
    """Prefect refuses to call it crashed, and nobody else would ever end it."""
    automation, first = end_of_cancelling(), crash_detection()
    assert HEARTBEAT in automation.trigger.expect, "a living run ends by itself"  # type: ignore[union-attr]
    assert automation.trigger.within > first.trigger.within, "crashed comes first"  # type: ignore[union-attr]
    assert automation.actions[0].state.value == "CANCELLED"  # type: ignore[union-attr]


def test_the_image_passes_its_linter() -> None:
    linter = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if linter is None:
        pytest.skip("hadolint is not installed")
    found = subprocess.run([linter, "--no-color", str(REPOSITORY / "Dockerfile")], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_image_runs_as_a_user_and_takes_only_what_it_needs() -> None:
    lines = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    instructions = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert instructions[0] == "FROM"
    assert re.search(r"FROM \S+:\S+", lines[0]), "a tag is pinned"
    assert not lines[0].endswith(":latest")
    assert "USER" in instructions[instructions.index("RUN") :], "not as root"
    assert "ADD" not in instructions
    copied = {source for line in lines if line.startswith("COPY") for source in line.split()[2:-1]}
    assert all((REPOSITORY / source).exists() for source in copied)
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
