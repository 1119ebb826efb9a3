"""TriggerAuthentication and its cluster-wide sibling: where credentials come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autoscaler.api.fields import ApiModel
from autoscaler.api.metadata import ObjectMeta
from autoscaler.api.status import TriggerAuthenticationStatus

Name = Annotated[str, Field(min_length=1)]


class PodIdentity(ApiModel):
    """Credentials the platform gives to a pod."""

    provider: Literal["azure-workload", "gcp", "aws", "aws-eks", "none"]
    identity_id: str | None = None
    identity_tenant_id: str | None = None
    identity_authority_host: str | None = None
    role_arn: str | None = None
    """AWS role to assume; not together with identityOwner ``workload``."""
    external_id: str | None = Field(None, alias="externalID")
    """AWS external ID for assuming ``roleArn``."""
    identity_owner: Literal["keda", "workload"] | None = None
    """Whose service account: this service's (``keda``) or the scaled workload's."""


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap becomes one parameter."""

    parameter: Name
    name: Name
    key: Name


class EnvRef(ApiModel):
    """One environment variable of the scale target becomes one parameter."""

    parameter: Name
    name: Name
    container_name: str = ""
    """Default: the object's ``envSourceContainerName``, else the first container."""


class ServiceAccountToken(ApiModel):
    """A token of a service account becomes one parameter."""

    parameter: Name
    service_account_name: Name


class SecretKeyRef(ApiModel):
    """A key of a Secret."""

    name: Name
    key: Name


class SecretValueSource(ApiModel):
    """Where a value is kept."""

    secret_key_ref: SecretKeyRef


class SecretValue(ApiModel):
    """A value kept in a Secret."""

    value_from: SecretValueSource


class VaultPkiData(ApiModel):
    """Request for a certificate."""

    common_name: str = ""
    alt_names: str = ""
    ip_sans: str = ""
    uri_sans: str = ""
    other_sans: str = ""
    ttl: str = ""
    format: str = ""


class VaultSecret(ApiModel):
    """One entry of HashiCorp Vault becomes one parameter."""

    parameter: Name
    path: Name
    key: Name
    type: Literal["", "secret", "secretV2", "pki"] = ""
    pki_data: VaultPkiData | None = None


class VaultCredential(ApiModel):
    """How to log in to HashiCorp Vault."""

    token: str = ""
    service_account: str = ""
    """Path of a service account token file."""
    service_account_name: str = ""


class HashiCorpVault(ApiModel):
    """Parameters from HashiCorp Vault."""

    address: Name
    authentication: Literal["token", "kubernetes"]
    namespace: str = ""
    role: str = ""
    mount: str = ""
    credential: VaultCredential | None = None
    secrets: list[VaultSecret]


class AzureCredentials(ApiModel):
    """A service principal."""

    client_id: Name
    tenant_id: Name
    client_secret: SecretValue


class AzureCloud(ApiModel):
    """Which Azure."""

    type: Name
    key_vault_resource_url: str = Field("", alias="keyVaultResourceURL")
    active_directory_endpoint: str = ""


class AzureSecret(ApiModel):
    """One entry of Azure Key Vault becomes one parameter."""

    parameter: Name
    name: Name
    version: str = ""


class AzureKeyVault(ApiModel):
    """Parameters from Azure Key Vault."""

    vault_uri: Name
    credentials: AzureCredentials | None = None
    pod_identity: PodIdentity | None = None
    cloud: AzureCloud | None = None
    secrets: list[AzureSecret]


class AwsCredentials(ApiModel):
    """An access key."""

    access_key: SecretValue
    access_secret_key: SecretValue
    access_token: SecretValue | None = None


class AwsSecret(ApiModel):
    """One entry of AWS Secrets Manager becomes one parameter."""

    parameter: Name
    name: Name
    version_id: str = ""
    version_stage: str = ""
    secret_key: str = ""
    """Key inside a JSON secret; default: the whole secret."""


class AwsSecretManager(ApiModel):
    """Parameters from AWS Secrets Manager."""

    region: str = ""
    credentials: AwsCredentials | None = None
    pod_identity: PodIdentity | None = None
    secrets: list[AwsSecret]


class GcpCredentials(ApiModel):
    """A service account key."""

    client_secret: SecretValue


class GcpSecret(ApiModel):
    """One entry of Google Secret Manager becomes one parameter."""

    parameter: Name
    id: Name
    version: str = ""
    """Default ``latest``."""


class GcpSecretManager(ApiModel):
    """Parameters from Google Secret Manager."""

    credentials: GcpCredentials | None = None
    pod_identity: PodIdentity | None = None
    secrets: list[GcpSecret]


class OAuth2(ApiModel):
    """Tokens from an OAuth 2 server."""

    type: str = ""
    """``clientCredentials``."""
    client_id: str = ""
    client_secret: SecretValue | None = None
    token_url: str = ""
    scopes: list[str] = Field(default_factory=list)
    token_url_params: dict[str, str] = Field(default_factory=dict)


class TriggerAuthenticationSpec(ApiModel):
    """Sources of parameters."""

    pod_identity: PodIdentity | None = None
    secret_target_ref: list[KeyRef] = Field(default_factory=list)
    config_map_target_ref: list[KeyRef] = Field(default_factory=list)
    env: list[EnvRef] = Field(default_factory=list)
    file_path: str = ""
    """Cluster-wide objects only: a JSON file below the service's root; replaces all others."""
    hashi_corp_vault: HashiCorpVault | None = None
    azure_key_vault: AzureKeyVault | None = None
    aws_secret_manager: AwsSecretManager | None = None
    gcp_secret_manager: GcpSecretManager | None = None
    bound_service_account_token: list[ServiceAccountToken] = Field(default_factory=list)
    oauth2: OAuth2 | None = None


class TriggerAuthentication(ApiModel):
    """Where the triggers of one namespace get credentials from."""

    api_version: str
    kind: Literal["TriggerAuthentication"]
    metadata: ObjectMeta = ObjectMeta()
    spec: TriggerAuthenticationSpec
    status: TriggerAuthenticationStatus | None = None


class ClusterTriggerAuthentication(ApiModel):
    """Where triggers of any namespace get credentials from."""

    api_version: str
    kind: Literal["ClusterTriggerAuthentication"]
    metadata: ObjectMeta = ObjectMeta()
    spec: TriggerAuthenticationSpec
    status: TriggerAuthenticationStatus | None = None
