"""Secrets and ConfigMaps, read by GET one at a time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from autoscaler.errors import NotFound
from autoscaler.kube.codec import decode_config_map, decode_secret
from autoscaler.kube.resources import CONFIG_MAPS, SECRETS, Resource
from autoscaler.kube.transport import KubeClient

Entries: TypeAlias = Mapping[str, str] | None

REMEMBERED_SECONDS: Final = 5.0
"""Many objects name the same Secret; those built at the same time share one read."""
REMEMBERED_OBJECTS: Final = 1000
VERSIONS_REMEMBERED: Final = 10_000


class EntryRef(msgspec.Struct, frozen=True):
    """A Secret or ConfigMap; it need not exist."""

    resource: Resource
    namespace: str
    name: str


class EntryReader:
    """Reads Secrets and ConfigMaps; none is kept longer than :data:`REMEMBERED_SECONDS`.

    Args:
        client: Connection.
    """

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._remembered: OrderedDict[EntryRef, tuple[float, Entries]] = OrderedDict()
        self._versions: OrderedDict[EntryRef, str] = OrderedDict()

    def forget(self, ref: EntryRef | None = None) -> None:
        """Read one of them, or all, anew from now on."""
        if ref is None:
            self._remembered.clear()
        else:
            self._remembered.pop(ref, None)

    def is_current(self, ref: EntryRef, resource_version: str) -> bool:
        """Whether the last read saw this version; an empty one means there was no such object."""
        return self._versions.get(ref) == resource_version

    async def secret(self, namespace: str, name: str) -> Entries:
        """Return the decoded entries of a Secret, None when there is none; raises KubeError."""
        return await self._read(EntryRef(SECRETS, namespace, name))

    async def config_map(self, namespace: str, name: str) -> Entries:
        """Return the entries of a ConfigMap, None when there is none; raises KubeError."""
        return await self._read(EntryRef(CONFIG_MAPS, namespace, name))

    async def _read(self, ref: EntryRef) -> Entries:
        now = asyncio.get_running_loop().time()
        held = self._remembered.get(ref)
        if held is not None and now - held[0] < REMEMBERED_SECONDS:
            return held[1]
        entries: Entries
        try:
            body = await self._client.request("GET", ref.resource.path(ref.namespace, ref.name))
        except NotFound:
            version, entries = "", None
        else:
            version, entries = _decoded(ref.resource, body)
        self._note_version(ref, version)
        self._remembered[ref] = (now, entries)
        self._remembered.move_to_end(ref)
        while self._remembered:
            oldest, (read_at, _) = next(iter(self._remembered.items()))
            if len(self._remembered) <= REMEMBERED_OBJECTS and now - read_at < REMEMBERED_SECONDS:
                break
            del self._remembered[oldest]
        return entries

    def _note_version(self, ref: EntryRef, version: str) -> None:
        self._versions[ref] = version
        self._versions.move_to_end(ref)
        while len(self._versions) > VERSIONS_REMEMBERED:
            self._versions.popitem(last=False)


def _decoded(resource: Resource, body: bytes) -> tuple[str, Mapping[str, str]]:
    if resource is SECRETS:
        secret = decode_secret(body)
        texts = {key: _text(value) for key, value in secret.data.items()}
        return secret.metadata.resource_version, texts
    found = decode_config_map(body)
    binary = {key: _text(value) for key, value in found.binary_data.items()}
    return found.metadata.resource_version, {**found.data, **binary}


def _text(value: bytes) -> str:
    """Return the value as text; parameters are text, and bytes that are none survive unchanged."""
    return value.decode("utf-8", "surrogateescape")
