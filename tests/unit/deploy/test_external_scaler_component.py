"""The Kustomize components of the external scaler: ports, names and variables agree."""

from __future__ import annotations

from pathlib import Path

import yaml

from autoscaler.settings import ExternalSettings
from tests.unit.deploy.test_webhook_component import KUSTOMIZE, of, rendered

COMPONENT = KUSTOMIZE / "components" / "external-scaler"
TLS = KUSTOMIZE / "components" / "external-scaler-tls"
EXAMPLES = KUSTOMIZE.parent / "examples" / "keda"
DEFAULTS = ExternalSettings()


def test_keda_calls_what_the_container_serves() -> None:
    """Service, container port and the settings' default are the same; so are the examples."""
    service = of("Service", folder=COMPONENT)
    (port,) = service["spec"]["ports"]
    (container,) = of("Deployment", folder=COMPONENT)["spec"]["template"]["spec"]["containers"]
    (open_port,) = container["ports"]
    assert (port["port"], open_port["containerPort"]) == (DEFAULTS.port, DEFAULTS.port)
    assert port["targetPort"] == open_port["name"]
    meta = service["metadata"]
    address = f"scalerAddress: {meta['name']}.{meta['namespace']}:{port['port']}\n"
    assert all(address in path.read_text() for path in EXAMPLES.glob("*.yaml"))


def test_variables_are_settings() -> None:
    """A misspelt variable would leave the server off, or without TLS."""
    for folder in (COMPONENT, TLS):
        (container,) = of("Deployment", folder=folder)["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]:
            group, _, name = variable["name"].removeprefix("FLYBALL_").lower().partition("__")
            assert group == "external"
            assert name in ExternalSettings.model_fields


def test_the_certificate_folder_is_where_the_secret_is_mounted() -> None:
    """What cert-manager renews is what is served."""
    pod = of("Deployment", folder=TLS)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,), (volume,) = container["volumeMounts"], pod["volumes"]
    (variable,) = container["env"]
    assert variable["value"] == mount["mountPath"]
    assert (mount["name"], mount["readOnly"]) == (volume["name"], True)


def test_both_components_fit_the_base(tmp_path: Path) -> None:
    """One container with both variables, both volumes and the rights of the component."""
    up = Path("../" * (len(tmp_path.parts) - 1)) / KUSTOMIZE.relative_to("/")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{up}/base"],
        "components": [f"{up}/components/external-scaler", f"{up}/components/external-scaler-tls"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    made = rendered(tmp_path)
    (deployment,) = made["Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    names = {variable["name"] for variable in container["env"]}
    assert {"FLYBALL_EXTERNAL__IS_ENABLED", "FLYBALL_EXTERNAL__CERTIFICATE_FOLDER"} <= names
    assert "flyball-external-scaler" in {role["metadata"]["name"] for role in made["ClusterRole"]}
