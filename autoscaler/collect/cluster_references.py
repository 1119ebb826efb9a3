"""References read from the cluster: authentications from stores, Secrets and ConfigMaps by GET."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from autoscaler.collect.resolve import CLUSTER_KIND
from autoscaler.errors import NotFound, Unreachable
from autoscaler.kube.codec import CustomObject, decode_config_map, decode_secret
from autoscaler.kube.resources import CONFIG_MAPS, SECRETS, Resource
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient

Entries = Mapping[str, str] | None

REMEMBERED_SECONDS: Final = 5.0
"""Many objects name the same Secret; those built at the same time share one read."""
REMEMBERED_OBJECTS: Final = 1000


class ClusterReferences:
    """Implements :class:`~autoscaler.collect.references.ReferenceReader`.

    Secrets are never watched (that would need the right to list them all) and never kept longer
    than :data:`REMEMBERED_SECONDS`.

    Args:
        client: Connection.
        authentications: TriggerAuthentications.
        cluster_authentications: ClusterTriggerAuthentications.
    """

    def __init__(
        self,
        client: KubeClient,
        authentications: Store[CustomObject],
        cluster_authentications: Store[CustomObject],
    ) -> None:
        self._client = client
        self._authentications = authentications
        self._cluster_authentications = cluster_authentications
        self._remembered: OrderedDict[tuple[Resource, str, str], tuple[float, Entries]] = (
            OrderedDict()
        )

    def forget(self) -> None:
        """Read everything anew from now on (credentials were refused: they may have changed)."""
        self._remembered.clear()

    async def secret(self, namespace: str, name: str) -> Entries:
        """Return the decoded entries of a Secret, None when there is none; raises KubeError."""
        return await self._entries(SECRETS, namespace, name, self._read_secret)

    async def config_map(self, namespace: str, name: str) -> Entries:
        """Return the entries of a ConfigMap, None when there is none; raises KubeError."""
        return await self._entries(CONFIG_MAPS, namespace, name, self._read_config_map)

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

    async def _entries(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        read: Callable[[str], Awaitable[Mapping[str, str]]],
    ) -> Entries:
        now = asyncio.get_running_loop().time()
        key = (resource, namespace, name)
        held = self._remembered.get(key)
        if held is not None and now - held[0] < REMEMBERED_SECONDS:
            return held[1]
        entries: Entries
        try:
            entries = await read(resource.path(namespace, name))
        except NotFound:
            entries = None
        self._remembered[key] = (now, entries)
        self._remembered.move_to_end(key)
        while self._remembered:
            oldest, (read_at, _) = next(iter(self._remembered.items()))
            if len(self._remembered) <= REMEMBERED_OBJECTS and now - read_at < REMEMBERED_SECONDS:
                break
            del self._remembered[oldest]
        return entries

    async def _read_secret(self, path: str) -> Mapping[str, str]:
        secret = decode_secret(await self._client.request("GET", path))
        return {key: _text(value) for key, value in secret.data.items()}

    async def _read_config_map(self, path: str) -> Mapping[str, str]:
        config_map = decode_config_map(await self._client.request("GET", path))
        return {**config_map.data, **{k: _text(v) for k, v in config_map.binary_data.items()}}


def _text(value: bytes) -> str:
    """Return the value as text; parameters are text, and bytes that are none survive unchanged."""
    return value.decode("utf-8", "surrogateescape")
