"""What the cluster tells about asked policies: our ScaledObjects, KEDA's, what they refer to."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec
import structlog

from autoscaler.collect.cluster_references import ClusterReferences
from autoscaler.collect.entries import Entries, EntryReader
from autoscaler.collect.references import ReferenceReader
from autoscaler.collect.resolve import Resolver
from autoscaler.controller.places import ClusterPlaces
from autoscaler.controller.reference_watches import ReferenceWatches
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.targets import Targets
from autoscaler.controller.triggers import TriggerBinder
from autoscaler.controller.watches import Watches
from autoscaler.errors import ConfigError, Forbidden, NotFound, Unreachable
from autoscaler.kube.codec import CustomObject, decode_custom
from autoscaler.kube.resources import (
    CLUSTER_TRIGGER_AUTHENTICATIONS,
    FLYBALL_GROUP,
    KEDA_GROUP,
    SCALED_OBJECTS,
    TRIGGER_AUTHENTICATIONS,
    Discovery,
    in_group,
)
from autoscaler.kube.store import Listener, Store
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry

KEDA_SCALED_OBJECTS: Final = in_group(SCALED_OBJECTS, KEDA_GROUP)

log = structlog.get_logger(__name__)


class KedaObject(msgspec.Struct, frozen=True):
    """KEDA's ScaledObject, as far as a policy in its metadata needs it.

    Attributes:
        target: Its ``scaleTargetRef``.
        created: Its ``creationTimestamp`` as written.
    """

    target: Mapping[str, Any]
    created: str | None


class Cluster:
    """One API server.

    Args:
        client: Connection; of its own, so that callers cannot use up the controller's requests.
        settings: Of the controller.
        rng: Jitter.
        on_references: Called with the users of a changed Secret or ConfigMap.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        settings: ControllerSettings,
        rng: random.Random,
        on_references: Callable[[AbstractSet[str]], None],
    ) -> None:
        self.client = client
        self._settings = settings
        self.watches = Watches(client, namespace=settings.namespace, rng=rng)
        self.objects: Store[CustomObject] = self.watches.custom(SCALED_OBJECTS)
        self.entries = EntryReader(client)
        self._references = ReferenceWatches(client, self.entries, on_change=on_references, rng=rng)
        self.targets = Targets(client, self.watches)
        self.places = ClusterPlaces(client, discovery=Discovery(client), targets=self.targets)

    def triggers(self, registry: ScalerRegistry) -> TriggerBinder:
        """Return what builds the scalers of triggers."""
        ours, kedas = self._group(FLYBALL_GROUP), self._group(KEDA_GROUP)
        namespace = self._settings.cluster_object_namespace
        return TriggerBinder(
            registry,
            {
                FLYBALL_GROUP: Resolver(_EitherGroup(ours, kedas), cluster_namespace=namespace),
                KEDA_GROUP: Resolver(kedas, cluster_namespace=namespace),
            },
            self._references,
        )

    def on_authentication(self, listener: Listener[CustomObject]) -> None:
        """Call a listener on every change of an authentication of either group."""
        for group in (FLYBALL_GROUP, KEDA_GROUP):
            for kind in (TRIGGER_AUTHENTICATIONS, CLUSTER_TRIGGER_AUTHENTICATIONS):
                self.watches.custom(in_group(kind, group)).on_change(listener)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watches.run(), name="external-watches")
            group.create_task(self._references.run(), name="external-references")

    async def named(self, namespace: str, name: str) -> CustomObject:
        """Return a ScaledObject of ours.

        Raises:
            NotFound: There is none.
            KubeError: They cannot be listed (yet).
        """
        await self.watches.wait_listed(SCALED_OBJECTS)
        found = self.objects.get(f"{namespace}/{name}")
        if found is None or found.metadata.deletion_timestamp is not None:
            raise NotFound(
                f'there is no ScaledObject "{namespace}/{name}" of flyball.dev', status=404
            )
        return found

    async def keda_object(self, namespace: str, name: str) -> KedaObject | None:
        """Return KEDA's object of a name; None, with a warning, when it cannot be seen.

        Raises:
            KubeError: The API server could not be asked.
        """
        path = KEDA_SCALED_OBJECTS.path(namespace, name)
        try:
            raw = decode_custom(await self.client.request("GET", path)).raw
        except (NotFound, Forbidden) as error:
            log.warning("keda_object_not_seen", object=f"{namespace}/{name}", error=str(error))
            return None
        except msgspec.MsgspecError as error:
            raise Unreachable(f"GET {path}: not an object") from error
        spec, metadata = raw.get("spec"), raw.get("metadata")
        target = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
        if not isinstance(target, dict):
            return None
        created = metadata.get("creationTimestamp") if isinstance(metadata, dict) else None
        return KedaObject(target, created)

    def _group(self, group: str) -> ClusterReferences:
        return ClusterReferences(
            self.entries,
            self.watches.custom(in_group(TRIGGER_AUTHENTICATIONS, group)),
            self.watches.custom(in_group(CLUSTER_TRIGGER_AUTHENTICATIONS, group)),
        )


class _EitherGroup:
    """Authentications of our group, else of KEDA's: those who use KEDA have theirs already."""

    def __init__(self, ours: ReferenceReader, kedas: ReferenceReader) -> None:
        self._groups = (ours, kedas)

    async def secret(self, namespace: str, name: str) -> Entries:
        return await self._groups[0].secret(namespace, name)

    async def config_map(self, namespace: str, name: str) -> Entries:
        return await self._groups[0].config_map(namespace, name)

    async def authentication(
        self, kind: str, namespace: str, name: str
    ) -> Mapping[str, Any] | None:
        missing: Unreachable | None = None
        for group in self._groups:
            try:
                found = await group.authentication(kind, namespace, name)
            except Unreachable as error:
                # One of the two may not be installed.
                missing = error
                continue
            if found is not None:
                return found
        if missing is not None:
            raise missing
        return None


class NoReferences:
    """Implements the reading of references where there is no cluster."""

    async def secret(self, namespace: str, name: str) -> Entries:
        """Refuse; raises ConfigError."""
        raise ConfigError(f'Secret "{namespace}/{name}" needs access to the cluster it is in')

    async def config_map(self, namespace: str, name: str) -> Entries:
        """Refuse; raises ConfigError."""
        raise ConfigError(f'ConfigMap "{namespace}/{name}" needs access to the cluster it is in')

    async def authentication(
        self, kind: str, namespace: str, name: str
    ) -> Mapping[str, Any] | None:
        """Return that there is none; policies that name one have been refused before."""
        del kind, namespace, name
        return None

    def want(self, user: str, refs: AbstractSet[object]) -> None:
        """Follow nothing."""

    def release(self, user: str) -> None:
        """Follow nothing."""


def offline_triggers(registry: ScalerRegistry) -> TriggerBinder:
    """Return what builds the scalers of triggers where there is no cluster."""
    nothing = NoReferences()
    resolver = Resolver(nothing, cluster_namespace="")
    return TriggerBinder(registry, {FLYBALL_GROUP: resolver, KEDA_GROUP: resolver}, nothing)
