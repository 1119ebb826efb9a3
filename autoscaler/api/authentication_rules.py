"""What a well-shaped (Cluster)TriggerAuthentication may still have wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from autoscaler.api.problems import Path, Problem, forbidden, invalid, not_supported, required
from autoscaler.api.triggerauthentication import (
    ClusterTriggerAuthentication,
    OAuth2,
    PodIdentity,
    TriggerAuthentication,
)

_SPEC: Final = Path(("spec",))
_OAUTH2_TYPES: Final = ("clientCredentials",)


def authentication_problems(
    obj: TriggerAuthentication | ClusterTriggerAuthentication,
) -> list[Problem]:
    """Return every rule an authentication object breaks."""
    spec = obj.spec
    problems: list[Problem] = []
    identities = [(spec.pod_identity, _SPEC / "podIdentity")]
    for field, source in (
        ("azureKeyVault", spec.azure_key_vault),
        ("awsSecretManager", spec.aws_secret_manager),
        ("gcpSecretManager", spec.gcp_secret_manager),
    ):
        identities.append((source.pod_identity if source else None, _SPEC / field / "podIdentity"))
    for identity, path in identities:
        if identity:
            problems += _check_identity(identity, path)
    if spec.oauth2:
        problems += _check_oauth2(spec.oauth2, _SPEC / "oauth2")
    if spec.file_path:
        problems += _check_file_path(obj, spec.file_path, _SPEC / "filePath")
    return problems


def _check_identity(identity: PodIdentity, path: Path) -> Iterator[Problem]:
    if identity.provider == "azure-workload":
        if identity.identity_id == "":
            what = "must not be empty (leave it out to use the service's own identity)"
            yield invalid(path / "identityId", what, "")
        if identity.identity_authority_host and not identity.identity_tenant_id:
            yield required(path / "identityTenantId", "is required with identityAuthorityHost")
    if identity.provider == "aws":
        if identity.role_arn and identity.identity_owner == "workload":
            what = "must not be given with identityOwner workload, which has its own role"
            yield forbidden(path / "roleArn", what)
        if identity.external_id and not identity.role_arn:
            yield required(path / "roleArn", "is required with externalID")


def _check_oauth2(oauth2: OAuth2, path: Path) -> Iterator[Problem]:
    if oauth2.type not in _OAUTH2_TYPES:
        yield not_supported(path / "type", oauth2.type, _OAUTH2_TYPES)
    if not oauth2.client_id:
        yield required(path / "clientId", "must not be empty")
    try:
        url = urlsplit(oauth2.token_url)
        usable = url.scheme in {"http", "https"} and bool(url.hostname)
    except ValueError:
        usable = False
    if not usable:
        yield invalid(path / "tokenUrl", "must be an http or https URL", oauth2.token_url)


def _check_file_path(
    obj: TriggerAuthentication | ClusterTriggerAuthentication, text: str, path: Path
) -> Iterator[Problem]:
    if isinstance(obj, TriggerAuthentication):
        yield forbidden(path, "is for ClusterTriggerAuthentication only")
    place = PurePosixPath(text)
    if place.is_absolute() or ".." in place.parts:
        yield invalid(path, "must be relative and must not contain '..'", text)
