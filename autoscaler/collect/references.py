"""What resolving a trigger reads of the cluster, as small protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class SecretReader(Protocol):
    """Reads Secrets."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the decoded entries, None when there is no such Secret; raises KubeError."""
        ...


class ConfigMapReader(Protocol):
    """Reads ConfigMaps."""

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the entries, None when there is no such ConfigMap; raises KubeError."""
        ...


class AuthenticationReader(Protocol):
    """Reads TriggerAuthentications and ClusterTriggerAuthentications."""

    async def authentication(
        self, kind: str, namespace: str, name: str
    ) -> Mapping[str, Any] | None:
        """Return the ``spec`` of an object, None when there is none; raises KubeError.

        Args:
            kind: ``TriggerAuthentication`` or ``ClusterTriggerAuthentication``.
            namespace: Of the scaling object; not looked at for the cluster kind.
            name: Of the authentication.
        """
        ...


class ReferenceReader(SecretReader, ConfigMapReader, AuthenticationReader, Protocol):
    """Everything a trigger may refer to."""
