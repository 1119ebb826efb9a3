"""The end of an object: its finalizer, and the replicas its target goes back to.

Only an object that asks for its original replicas gets a finalizer, because only then there is
something to do when it goes. A finalizer on every object would keep namespaces from being deleted
where the service was removed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog

from autoscaler.controller.claims import Claims, is_shadow
from autoscaler.controller.objects import ScalingObjects, resource_of
from autoscaler.controller.targets import TargetRef, Targets
from autoscaler.errors import ConfigError, Conflict, NotFound
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.metadata import read_custom, write_metadata
from autoscaler.kube.resources import SCALED_OBJECTS, Discovery
from autoscaler.kube.status import write_status
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.clock import Clock

FINALIZER: Final = "flyball.dev/scaledobject"
"""Ours, on objects of either group; KEDA's own is never touched."""
CONFLICTS_MAX: Final = 3

log = structlog.get_logger(__name__)


class Lifecycle:
    """Sets and removes the finalizer, and brings back original replicas.

    Args:
        client: Connection.
        objects: The scaling objects; see our writes at once.
        claims: Tells whether somebody else scales the target by now.
        discovery: Finds the resource of a target.
        targets: Where targets are read and written.
        clock: For condition times.
    """

    def __init__(
        self,
        client: KubeClient,
        objects: ScalingObjects,
        claims: Claims,
        *,
        discovery: Discovery,
        targets: Targets,
        clock: Clock,
    ) -> None:
        self._client = client
        self._objects = objects
        self._claims = claims
        self._discovery = discovery
        self._targets = targets
        self._clock = clock

    async def hold(self, key: str, item: CustomObject, target: TargetRef) -> CustomObject:
        """Make sure that nothing is lost before the target is touched, or let go of the object.

        An object that wishes its original replicas back has them in its status, and a finalizer,
        before anything is scaled; so a service that was away when the object was deleted, or that
        ends in the middle, knows what to do.

        Returns:
            The object as it is now.

        Raises:
            KubeError: It could not be written; the target must not be scaled.
        """
        wishes = wishes_restore(item) and not is_shadow(item)
        if wishes is has_finalizer(item):
            return item
        if not wishes:
            return await self.release(key, item)
        if original_replicas(item) is None:
            view = await self._targets.view(target, fresh=True)
            item = await self._note_original(key, item, view.spec_replicas)
        return await self._write(key, item, is_held=True)

    async def release(self, key: str, item: CustomObject) -> CustomObject:
        """Remove our finalizer if it is there; raises KubeError."""
        return await self._write(key, item, is_held=False) if has_finalizer(item) else item

    async def end(self, key: str, item: CustomObject) -> None:
        """Do what is left to do for an object that is being deleted, and let it go.

        Raises:
            KubeError: Something could not be read or written; the object stays until it can.
        """
        if not has_finalizer(item):
            return
        count = original_replicas(item)
        if wishes_restore(item) and not is_shadow(item) and count is not None:
            await self._restore(key, item, count)
        try:
            await self.release(key, item)
        except NotFound:
            log.info("object_gone", object=key)

    async def _restore(self, key: str, item: CustomObject, count: int) -> None:
        successors = [other for other in self._claims.successors(item) if other != key]
        if successors:
            log.info("not_restored", object=key, why=f"{successors[0]} scales the target now")
            return
        ref = _target_ref(item)
        try:
            resource = await self._discovery.resolve(
                str(ref.get("apiVersion") or ""), str(ref.get("kind") or ""), needs_scale=True
            )
            target = TargetRef(resource, item.metadata.namespace, str(ref.get("name") or ""))
            await self._scale_back(target, count)
        except (NotFound, ConfigError) as error:
            # Nothing is left to bring back, and nobody would ever come to let the object go.
            log.info("not_restored", object=key, why=str(error))
            return
        log.info("restored", object=key, target=target.text, replicas=count)

    async def _scale_back(self, target: TargetRef, count: int) -> None:
        for attempt in range(CONFLICTS_MAX):
            view = await self._targets.view(target, fresh=True)
            if view.spec_replicas == count:
                return
            try:
                await self._targets.scale(target, view, count)
            except Conflict:
                if attempt == CONFLICTS_MAX - 1:
                    raise
                continue
            return

    async def _note_original(self, key: str, item: CustomObject, count: int) -> CustomObject:
        written = await write_status(
            self._client,
            resource_of(SCALED_OBJECTS, item),
            item,
            {"originalReplicaCount": count},
            at=self._clock.now(),
        )
        return self._seen(key, written or item)

    async def _write(self, key: str, item: CustomObject, *, is_held: bool) -> CustomObject:
        resource = resource_of(SCALED_OBJECTS, item)
        for attempt in range(CONFLICTS_MAX):
            others = [one for one in item.metadata.finalizers if one != FINALIZER]
            try:
                written = await write_metadata(
                    self._client,
                    resource,
                    item,
                    finalizers=[*others, FINALIZER] if is_held else others,
                )
            except Conflict:
                if attempt == CONFLICTS_MAX - 1:
                    raise
                item = await read_custom(self._client, resource, item)
                continue
            return self._seen(key, written)
        raise AssertionError("the last attempt returns or raises")

    def _seen(self, key: str, item: CustomObject) -> CustomObject:
        self._objects.wrote(key, item.metadata.resource_version, item)
        return item


def has_finalizer(item: CustomObject) -> bool:
    """Whether the object waits for us when it is deleted."""
    return FINALIZER in item.metadata.finalizers


def wishes_restore(item: CustomObject) -> bool:
    """Whether the target is to go back to its original replicas when the object is deleted."""
    advanced = _mapping(_mapping(item.raw.get("spec")).get("advanced"))
    return advanced.get("restoreToOriginalReplicaCount") is True


def original_replicas(item: CustomObject) -> int | None:
    """Return the replicas of the target before the object; None when nobody noted them."""
    count = item.status.get("originalReplicaCount")
    return count if isinstance(count, int) else None


def _target_ref(item: CustomObject) -> Mapping[str, Any]:
    return _mapping(_mapping(item.raw.get("spec")).get("scaleTargetRef"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
