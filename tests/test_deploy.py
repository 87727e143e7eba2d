"""What people deploy with: compose, Kubernetes and systemd, each held to its schema and to our promises."""

from __future__ import annotations

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from service.__main__ import app
from service.settings import Settings
from tests.dockerfile import LAST, ROOT, environment, only

DEPLOY = ROOT / "docs/deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: the oldest that knows `preStop.sleep` by itself, and the newest that the schemas are of."""

COMMANDS = {str(one.name or getattr(one.callback, "__name__", "")) for one in app.registered_commands}
SETTINGS = {f"PULLQUOTE_{name.upper()}" for name in Settings.model_fields}

STOP_SECONDS = 30
"""What a server takes at most from SIGTERM to its end."""


def name_of(path: Path) -> str:
    return path.name


# ---------------------------------------------------------------- compose


def _compose() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_compose_is_as_its_specification_says() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    PyCompose.from_yaml(text).validate()
    for right, wrong in {
        "cap_drop:": "cap_dropp:",
        "mem_limit: 1g": "mem_limit: lots",
        "interval: 10s": "interval: soon",
    }.items():
        assert right in text
        with pytest.raises(ValueError, match=r"."):
            PyCompose.from_yaml(text.replace(right, wrong)).validate()


def test_compose_runs_the_image_with_next_to_no_rights() -> None:
    (service,) = _compose()["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["mem_limit"] and service["pids_limit"] and service["cpus"]
    assert int(service["stop_grace_period"].removesuffix("s")) > STOP_SECONDS
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert "privileged" not in service


def test_compose_keeps_data_and_reads_the_documents_of_the_repository() -> None:
    found = _compose()
    (service,) = found["services"].values()
    assert service["volumes"] == ["data:/data", "./corpus/texts:/corpus:ro"]
    assert [*found["volumes"]] == ["data"]
    assert service["environment"]["PULLQUOTE_CORPUS"] == "/corpus"
    assert service["environment"].keys() <= SETTINGS
    assert service["healthcheck"]["test"][:2] == ["CMD", "python"]


# ---------------------------------------------------------------- Kubernetes


def _objects(path: Path) -> list[dict[str, Any]]:
    found = [*yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    assert all(isinstance(one, dict) for one in found)
    return found


def _pods(path: Path) -> list[dict[str, Any]]:
    """Return the specifications of the pods that a manifest starts."""
    return [one["spec"]["template"]["spec"] for one in _objects(path) if "template" in one["spec"]]


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_manifest_is_as_the_api_says(path: Path, version: str) -> None:
    kinds = set()
    for one in _objects(path):
        kubernetes_validate.validate(one, version, strict=True)
        kinds.add(one["kind"])
    assert kinds >= {"Service", "Deployment", "PodDisruptionBudget", "NetworkPolicy"}


def test_these_tests_see_a_manifest_that_is_wrong() -> None:
    one = next(one for one in _objects(MANIFESTS[0]) if one["kind"] == "Deployment")
    one["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(one, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_pods_keep_to_the_restricted_standard(path: Path) -> None:
    assert _pods(path)
    for pod in _pods(path):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] > 0
        assert f"{security['runAsUser']}:{security['runAsGroup']}" == only(LAST, "USER").rest
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        # A ConfigMap's files are links, which are not followed; the restricted may mount no host's folder.
        kinds = {kind for volume in pod["volumes"] for kind in volume}
        assert kinds == {"name", "emptyDir", "persistentVolumeClaim"}
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_pods_run_what_there_is(path: Path) -> None:
    for pod in _pods(path):
        # A service `pullquote` would set PULLQUOTE_PORT=tcp://...
        assert pod["enableServiceLinks"] is False
        (container,) = pod["containers"]
        command, *options = container["args"]
        assert command in COMMANDS and {*options} <= {"--watch"}
        assert {one["name"] for one in container["env"]} <= SETTINGS
        (port,) = container["ports"]
        assert str(port["containerPort"]) == environment(LAST)["PULLQUOTE_PORT"]
        probes = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
        assert {name: one["path"] for name, one in probes.items()} == {
            "startupProbe": "/readyz",
            "readinessProbe": "/readyz",
            "livenessProbe": "/livez",
        }
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] > STOP_SECONDS + pause
        mounted = {one["mountPath"] for one in container["volumeMounts"]}
        assert mounted >= {"/data", "/tmp"}
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_every_selector_finds_its_pods(path: Path) -> None:
    objects = _objects(path)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in objects if "template" in one["spec"]]
    for one in objects:
        spec = one["spec"]
        chosen = spec.get("podSelector", spec.get("selector", {}))
        chosen = chosen.get("matchLabels", chosen)
        if one["kind"] != "PersistentVolumeClaim":
            assert chosen and any(chosen.items() <= these.items() for these in labels), one["metadata"]


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_nothing_is_connected_to_from_a_pod(path: Path) -> None:
    (policy,) = [one["spec"] for one in _objects(path) if one["kind"] == "NetworkPolicy"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_one_writer_and_replicas_that_cannot_write() -> None:
    objects = {
        (one["kind"], one["metadata"]["name"]): one for one in _objects(DEPLOY / "kubernetes/shared.yaml")
    }
    writer = objects["StatefulSet", "pullquote-writer"]["spec"]
    assert writer["replicas"] == 1
    assert objects["Deployment", "pullquote"]["spec"]["replicas"] >= 2
    (replica,) = objects["Deployment", "pullquote"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "PULLQUOTE_READ_ONLY", "value": "true"} in replica["env"]
    assert [one["readOnly"] for one in replica["volumeMounts"] if one["mountPath"] == "/data"] == [True]
    (own,) = writer["template"]["spec"]["containers"]
    assert "PULLQUOTE_READ_ONLY" not in {one["name"] for one in own["env"]}
    assert objects["PersistentVolumeClaim", "pullquote"]["spec"]["accessModes"] == ["ReadWriteMany"]


# ---------------------------------------------------------------- systemd

UNIT = DEPLOY / "pullquote.service"
EXPOSED_AT_MOST = 2.0
"""Of ten, as `systemd-analyze security` counts (1.4 with version 252); the most of it is the network."""


def _unit() -> dict[str, list[str]]:
    """Return the values of the unit's [Service] section by name, in order."""
    parser = RawConfigParser(strict=False)
    text = UNIT.read_text(encoding="utf-8")
    parser.read_string(text)  # Ends with an error where a line is no setting.
    assert parser.sections() == ["Unit", "Service", "Install"]
    section = text.partition("[Service]")[2].partition("[Install]")[0]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_the_unit_runs_what_there_is() -> None:
    unit = _unit()
    (start,) = unit["ExecStart"]
    program, command, *options = start.split()
    assert program == "/opt/pullquote/venv/bin/pullquote"
    assert command in COMMANDS and options == ["--watch"]
    named = {word.partition("=")[0] for line in unit["Environment"] for word in line.split()}
    assert {one for one in named if one.startswith("PULLQUOTE_")} <= SETTINGS
    assert int(unit["TimeoutStopSec"][0].removesuffix("s")) > STOP_SECONDS
    assert unit["StateDirectory"] == ["pullquote"]
    assert "PULLQUOTE_DATA=/var/lib/pullquote" in " ".join(unit["Environment"])


def test_the_unit_leaves_next_to_no_rights() -> None:
    unit = _unit()
    assert unit["DynamicUser"] == unit["NoNewPrivileges"] == unit["MemoryDenyWriteExecute"] == ["yes"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX"]
    assert unit["SystemCallFilter"] == ["@system-service", "~@privileged"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    # It looks for the program; here there is none.
    text = UNIT.read_text(encoding="utf-8").replace("/opt/pullquote/venv/bin/pullquote", "/bin/true")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert UNIT.name not in verified.stdout + verified.stderr, verified.stderr
    looked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", looked.stdout)
    assert found, looked.stderr
    assert float(found[1]) <= EXPOSED_AT_MOST
