"""References read from the cluster: authentications from stores, Secrets and ConfigMaps by GET."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.collect.entries import Entries, EntryReader
from autoscaler.collect.resolve import CLUSTER_KIND
from autoscaler.errors import Unreachable
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.store import Store


class ClusterReferences:
    """What the objects of one API group may refer to.

    Implements :class:`~autoscaler.collect.references.ReferenceReader`.

    Args:
        entries: Reads Secrets and ConfigMaps, for all groups.
        authentications: TriggerAuthentications of the group.
        cluster_authentications: ClusterTriggerAuthentications of the group.
    """

    def __init__(
        self,
        entries: EntryReader,
        authentications: Store[CustomObject],
        cluster_authentications: Store[CustomObject],
    ) -> None:
        self._entries = entries
        self._authentications = authentications
        self._cluster_authentications = cluster_authentications

    async def secret(self, namespace: str, name: str) -> Entries:
        """Return the decoded entries of a Secret, None when there is none; raises KubeError."""
        return await self._entries.secret(namespace, name)

    async def config_map(self, namespace: str, name: str) -> Entries:
        """Return the entries of a ConfigMap, None when there is none; raises KubeError."""
        return await self._entries.config_map(namespace, name)

    async def authentication(
        self, kind: str, namespace: str, name: str
    ) -> Mapping[str, Any] | None:
        """Return an authentication's ``spec``, None when there is none.

        Raises:
            Unreachable: They have not been listed yet.
        """
        is_cluster = kind == CLUSTER_KIND
        store = self._cluster_authentications if is_cluster else self._authentications
        found = store.get(name if is_cluster else f"{namespace}/{name}")
        if found is not None:
            spec = found.raw.get("spec")
            return spec if isinstance(spec, dict) else {}
        if not store.has_synced:
            raise Unreachable(
                f"{kind} objects could not be listed yet; is their CustomResourceDefinition "
                "installed?"
            )
        return None
