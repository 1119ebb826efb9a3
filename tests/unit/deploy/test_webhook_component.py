"""The Kustomize components of the webhook: names agree with each other and with the settings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.api.parse import FLYBALL_API, KINDS
from autoscaler.settings import WebhookSettings
from autoscaler.web.admission import PATH
from tests.servers.process import ServerMissing, find_program

KUSTOMIZE = Path(__file__).parents[3] / "deploy" / "kustomize"
COMPONENT = KUSTOMIZE / "components" / "webhook"
DEFAULTS = WebhookSettings()


def of(kind: str, *, folder: Path = COMPONENT) -> dict[str, Any]:
    """Return the component's one object of a kind."""
    found = [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] == kind
    ]
    (document,) = found
    return document


def rendered(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what kubectl makes of a folder, by kind."""
    try:
        kubectl = find_program("kubectl", package="kubernetes-client")
    except ServerMissing as missing:
        pytest.skip(str(missing))
    made = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all(made.stdout):
        by_kind.setdefault(document["kind"], []).append(document)
    return by_kind


def test_the_api_server_calls_what_the_service_serves() -> None:
    """Service, port and path are those of the service's settings."""
    configuration = of("ValidatingWebhookConfiguration")
    (webhook,) = configuration["webhooks"]
    called = webhook["clientConfig"]["service"]
    service = of("Service")
    assert configuration["metadata"]["name"] == DEFAULTS.configuration
    assert called["name"] == service["metadata"]["name"] == DEFAULTS.service
    assert called["namespace"] == service["metadata"]["namespace"]
    assert called["path"] == PATH
    (port,) = service["spec"]["ports"]
    (container,) = of("Deployment")["spec"]["template"]["spec"]["containers"]
    assert (called["port"], port["targetPort"]) == (port["port"], container["ports"][0]["name"])
    assert container["ports"][0]["containerPort"] == DEFAULTS.port


def test_the_webhook_is_never_in_the_way() -> None:
    """Failures are ignored, deletes not asked about, and our own deadline is the shorter one."""
    (webhook,) = of("ValidatingWebhookConfiguration")["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["sideEffects"] == "None"
    assert webhook["timeoutSeconds"] > DEFAULTS.timeout_seconds
    (rule,) = webhook["rules"]
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    assert rule["apiGroups"] == [FLYBALL_API.partition("/")[0]]
    assert set(rule["resources"]) == {f"{kind.lower()}s" for kind in KINDS}


def test_the_certificate_is_all_the_service_may_write() -> None:
    """The rights name the one Secret and the one configuration."""
    secret = of("Secret")
    assert secret["metadata"]["name"] == DEFAULTS.secret
    assert "data" not in secret
    (rule,) = of("Role")["rules"]
    assert rule["resourceNames"] == [DEFAULTS.secret]
    roles = [
        document
        for document in yaml.safe_load_all((COMPONENT / "rights.yaml").read_text())
        if document["kind"] == "ClusterRole"
    ]
    (changing,) = (
        rule for role in roles for rule in role["rules"] if set(rule["verbs"]) - {"get", "list"}
    )
    assert changing["resources"] == ["validatingwebhookconfigurations"]
    assert changing["resourceNames"] == [DEFAULTS.configuration]


def test_the_overlay_adds_the_webhook_to_the_base() -> None:
    """The base stays whole, its Deployment listens for reviews."""
    base, made = rendered(KUSTOMIZE / "base"), rendered(KUSTOMIZE / "overlays" / "webhook")
    for kind, documents in base.items():
        names = {document["metadata"]["name"] for document in documents}
        assert names <= {document["metadata"]["name"] for document in made[kind]}
    (deployment,) = made["Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "FLYBALL_WEBHOOK__IS_ENABLED", "value": "true"} in container["env"]
    assert {port["name"] for port in container["ports"]} == {"http", "webhook"}


def test_with_cert_manager_the_service_has_no_right_to_certificates() -> None:
    """Its Secret, and the rights to it and to the configuration, are gone; a mount is there."""
    made = rendered(KUSTOMIZE / "overlays" / "webhook-cert-manager")
    assert "Secret" not in made
    for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
        names = {document["metadata"]["name"] for document in made[kind]}
        assert not any(name.endswith("certificate") for name in names)
    (configuration,) = made["ValidatingWebhookConfiguration"]
    (certificate,) = made["Certificate"]
    namespace = certificate["metadata"]["namespace"]
    injected = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
    assert injected == f"{namespace}/{certificate['metadata']['name']}"
    assert certificate["spec"]["dnsNames"] == [f"{DEFAULTS.service}.{namespace}.svc"]
    (deployment,) = made["Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (volume,) = (v for v in spec["volumes"] if v["name"] == "webhook-certificate")
    assert mounts["webhook-certificate"] == env["FLYBALL_WEBHOOK__CERTIFICATE_FOLDER"]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]


def test_objects_of_keda_can_be_reviewed_too(tmp_path: Path) -> None:
    """One more component adds their group to the rules."""
    # Folders are named relative to each other in Kustomize.
    up = "/".join([".."] * (len(tmp_path.parts) - 1)) + str(KUSTOMIZE)
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [f"{up}/base"],
                "components": [f"{up}/components/webhook", f"{up}/components/webhook-keda"],
            }
        )
    )
    (configuration,) = rendered(tmp_path)["ValidatingWebhookConfiguration"]
    assert configuration["webhooks"][0]["rules"][0]["apiGroups"] == ["flyball.dev", "keda.sh"]
