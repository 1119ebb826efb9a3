"""The Kustomize base: consistent in itself and with the code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import autoscaler
from autoscaler.controller.snapshot_format import SHARDS
from autoscaler.settings import Settings, load_settings
from tests.deploy.dockerfile import read_dockerfile
from tests.deploy.kustomize import BASE, PROJECT, Document, one, render

DOCUMENTS = render(BASE)
POD: dict[str, Any] = one(DOCUMENTS, "Deployment")["spec"]["template"]
OVERLAYS = sorted((BASE.parent / "overlays").iterdir())
(CONTAINER,) = POD["spec"]["containers"]


def kind(name: str) -> list[Document]:
    """Return the documents of a kind."""
    return [document for document in DOCUMENTS if document["kind"] == name]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_rendering_equals_that_of_kubectl() -> None:
    """The objects the tests look at are those a user applies."""
    ran = subprocess.run(
        ["kubectl", "kustomize", str(BASE)], capture_output=True, text=True, check=True
    )
    theirs = list(yaml.safe_load_all(ran.stdout))
    assert sorted(map(str, map(_sorted, theirs))) == sorted(map(str, map(_sorted, DOCUMENTS)))


def test_definitions_of_all_kinds_are_included() -> None:
    """Every file of ``deploy/crds`` is part of the base."""
    files = (PROJECT / "deploy" / "crds").glob("*.yaml")
    names = {yaml.safe_load(path.read_text())["metadata"]["name"] for path in files}
    assert {document["metadata"]["name"] for document in kind("CustomResourceDefinition")} == names


def test_namespace_enforces_the_restricted_standard() -> None:
    """Pods that ask for more than ``restricted`` allows are refused, not only warned about."""
    labels = one(DOCUMENTS, "Namespace", "flyball-system")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_with_a_namespace_names_the_same() -> None:
    """No object lands in whatever namespace kubectl has selected."""
    cluster = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    spaces = {d["kind"]: d["metadata"].get("namespace") for d in DOCUMENTS}
    assert {space for name, space in spaces.items() if name not in cluster} == {"flyball-system"}


def test_bindings_name_roles_and_an_account_that_exist() -> None:
    """Each role is bound once, to the account the pods run as."""
    account = {"kind": "ServiceAccount", "name": "flyball", "namespace": "flyball-system"}
    assert POD["spec"]["serviceAccountName"] == "flyball"
    one(DOCUMENTS, "ServiceAccount")
    for scope in ("ClusterRole", "Role"):
        bound = [binding["roleRef"]["name"] for binding in kind(f"{scope}Binding")]
        assert sorted(bound) == sorted(role["metadata"]["name"] for role in kind(scope))
        for binding in kind(f"{scope}Binding"):
            assert binding["subjects"] == [account]


def test_no_rule_grants_everything() -> None:
    """A wildcard stands only for "any kind" of a scale subresource, never for a verb."""
    for role in [*kind("ClusterRole"), *kind("Role")]:
        for rule in role["rules"]:
            assert "*" not in rule["verbs"]
            assert rule["resources"] == ["*/scale"] or "*" not in "".join(
                [*rule["resources"], *rule["apiGroups"]]
            )


def test_secrets_can_be_kept_from_the_service() -> None:
    """Reading Secrets is a role of its own, to be bound in chosen namespaces; none is written."""
    holders = [
        role["metadata"]["name"]
        for role in [*kind("ClusterRole"), *kind("Role")]
        if "secrets" in [name for rule in role["rules"] for name in rule["resources"]]
    ]
    assert holders == ["flyball-references"]
    for rule in one(DOCUMENTS, "ClusterRole", "flyball-references")["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_every_memory_has_a_right_by_name() -> None:
    """The names of the ConfigMaps that keep histories are those of the settings."""
    named = [
        rule["resourceNames"]
        for rule in one(DOCUMENTS, "Role", "flyball-memory")["rules"]
        if "resourceNames" in rule and rule["resources"] == ["configmaps"]
    ]
    memory = mounted_settings().memory
    assert named == [[f"{memory.name}-{number}" for number in range(SHARDS)]]


def test_image_is_of_this_version_and_runs_as_its_user() -> None:
    """The tag is the version of the code, and the user the one the image was made for."""
    final = read_dockerfile((PROJECT / "Dockerfile").read_text())[-1]
    user, _, group = final.only("USER").partition(":")
    assert CONTAINER["image"] == f"flyball:{autoscaler.__version__}"
    assert CONTAINER["args"] == final.command[1:]
    context = POD["spec"]["securityContext"]
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == (user, group)
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_container_gives_up_every_right() -> None:
    """No capabilities, no escalation, nothing to write but an empty /tmp in memory."""
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    writable = [m for m in CONTAINER["volumeMounts"] if not m.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]
    assert volumes[writable[0]["name"]]["emptyDir"]["medium"] == "Memory"


def test_probes_and_service_meet_the_port_of_the_settings() -> None:
    """The container port is the one the settings name, and probes and Service go there."""
    (port,) = CONTAINER["ports"]
    assert port["containerPort"] == mounted_settings().server.port
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] == port["name"]
    (exposed,) = one(DOCUMENTS, "Service")["spec"]["ports"]
    assert exposed["targetPort"] == port["name"]
    selector = one(DOCUMENTS, "Service")["spec"]["selector"]
    assert selector.items() <= POD["metadata"]["labels"].items()


def test_the_settings_file_does_not_invite_to_move_the_port() -> None:
    """The port stands in one place; changed in the settings alone, every probe would fail."""
    settings = yaml.safe_load((BASE / "settings.yaml").read_text())
    assert "port" not in settings.get("server", {})


def test_the_pod_waits_for_the_end_of_the_service() -> None:
    """Kubernetes waits longer for the process than the process for its last reconciles."""
    grace = mounted_settings().scaling.grace_seconds
    assert POD["spec"]["terminationGracePeriodSeconds"] >= grace + 10


def test_two_services_never_run_at_once() -> None:
    """One replica, and an update ends the old one before it starts the new one."""
    spec = one(DOCUMENTS, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_variables_are_settings() -> None:
    """Every variable of the container is the settings file or a known setting."""
    for variable in CONTAINER["env"]:
        if variable["name"] != "FLYBALL_CONFIG":
            group, _, name = variable["name"].removeprefix("FLYBALL_").lower().partition("__")
            assert hasattr(getattr(Settings(), group), name)


def test_keda_objects_get_the_rights_of_our_own() -> None:
    """What the service may do to flyball.dev objects the component allows on those of keda.sh."""
    component = BASE.parent / "components" / "watch-keda" / "rights.yaml"
    role, _ = yaml.safe_load_all(component.read_text())
    ours = one(DOCUMENTS, "ClusterRole")["rules"]
    expected = [
        {**rule, "apiGroups": ["keda.sh"]} for rule in ours if rule["apiGroups"] == ["flyball.dev"]
    ]
    assert role["rules"] == expected


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_overlay_only_adds_to_the_base(overlay: Path) -> None:
    """Every object of the base is in each overlay, unchanged but for variables, ports, volumes."""
    ran = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=True
    )
    theirs = list(yaml.safe_load_all(ran.stdout))
    for document in DOCUMENTS:
        if document["kind"] == "Deployment":
            (container,) = one(theirs, "Deployment")["spec"]["template"]["spec"]["containers"]
            assert all(variable in container["env"] for variable in CONTAINER["env"])
            assert container["securityContext"] == CONTAINER["securityContext"]
        else:
            assert _sorted(document) in map(_sorted, theirs)


def mounted_settings() -> Settings:
    """Return the settings of the ConfigMap, read from where the container looks."""
    (path,) = (v["value"] for v in CONTAINER["env"] if v["name"] == "FLYBALL_CONFIG")
    (mount,) = (m for m in CONTAINER["volumeMounts"] if m["name"] == "settings")
    folder, _, name = path.rpartition("/")
    assert mount["mountPath"] == folder
    (volume,) = (v for v in POD["spec"]["volumes"] if v["name"] == "settings")
    (settings,) = kind("ConfigMap")
    assert volume["configMap"]["name"] == settings["metadata"]["name"]
    assert settings["data"][name] == (BASE / name).read_text()
    return load_settings(file=BASE / name)


def _sorted(node: Any) -> Any:
    """Return mappings in the order of their keys, so that texts can be compared."""
    if isinstance(node, dict):
        return {key: _sorted(node[key]) for key in sorted(node)}
    return [_sorted(item) for item in node] if isinstance(node, list) else node
