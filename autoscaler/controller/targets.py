"""Scale targets: what they look like now, and changing their replicas."""

from __future__ import annotations

from typing import Final

import msgspec

from autoscaler.controller.watches import Watches
from autoscaler.errors import Forbidden, NotFound, Unreachable, shorten
from autoscaler.kube.codec import TemplateSpec, Workload, decode_workload
from autoscaler.kube.resources import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, Resource
from autoscaler.kube.scale import ScaleView, read_scale, write_scale
from autoscaler.kube.selector import selector_text
from autoscaler.kube.transport import KubeClient

WATCHED: Final = frozenset({DEPLOYMENTS, STATEFUL_SETS, REPLICA_SETS})


class TargetRef(msgspec.Struct, frozen=True):
    """A scale target."""

    resource: Resource
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def identity(self) -> str:
        """The same whichever version it is asked with, e.g. ``deployments.apps shop/web``."""
        resource = self.resource
        return f"{resource.plural}.{resource.group} {self.key}"

    @property
    def text(self) -> str:
        """For messages, e.g. ``Deployment "shop/web"``."""
        return f'{self.resource.kind} "{self.key}"'


class TargetGone(NotFound):
    """There is no such scale target."""

    def __init__(self, target: TargetRef) -> None:
        super().__init__(f"{target.text} does not exist", status=404)


class Targets:
    """Reads and writes scale targets.

    The workloads of ``apps/v1`` are read from a watched store, so observing them costs no request;
    other kinds are asked for their scale subresource. Right after a write of ours, or when asked
    for a fresh view, the subresource is read in any case: an old version would only be refused.
    """

    def __init__(self, client: KubeClient, watches: Watches) -> None:
        self._client = client
        self._watches = watches

    async def view(self, target: TargetRef, *, fresh: bool = False) -> ScaleView:
        """Return the target's replicas, selector and version.

        Args:
            target: Which.
            fresh: Ask the API server even if the target is watched.

        Raises:
            TargetGone: There is no such object.
            KubeError: The API server could not be asked.
        """
        if target.resource in WATCHED:
            store = self._watches.workloads(target.resource)
            workload = await self._stored(target)
            if not fresh and not store.is_behind(target.key):
                return ScaleView(
                    spec_replicas=workload.spec.replicas,
                    status_replicas=workload.status.replicas,
                    selector=selector_text(workload.spec.selector),
                    resource_version=workload.metadata.resource_version,
                )
        try:
            return await read_scale(self._client, target.resource, target.namespace, target.name)
        except NotFound:
            raise TargetGone(target) from None

    async def template(self, target: TargetRef) -> TemplateSpec | None:
        """Return the target's pod template; None when its kind has none.

        Raises:
            TargetGone: There is no such object.
            Forbidden: Scaling a kind of others needs no right to read it, this does.
            KubeError: The API server could not be asked.
        """
        resource = target.resource
        if resource in WATCHED:
            return (await self._stored(target)).spec.template.spec
        path = resource.path(target.namespace, target.name)
        try:
            spec = decode_workload(await self._client.request("GET", path)).spec.template.spec
        except NotFound:
            raise TargetGone(target) from None
        except Forbidden as error:
            kind = f"{resource.plural}.{resource.group}".rstrip(".")
            right = f'get {kind} in namespace "{target.namespace}"'
            raise Forbidden(
                f"the pod template of {target.text} cannot be read without the right to "
                f"{right}: {error}",
                status=error.status,
            ) from error
        except msgspec.MsgspecError:
            # Another shape than a workload's: no pod template we could read.
            return None
        return spec if spec.containers else None

    async def scale(self, target: TargetRef, view: ScaleView, replicas: int) -> ScaleView:
        """Set the replicas of a target that is still as it was viewed.

        Raises:
            Conflict: Somebody else wrote first: view and decide again.
            TargetGone: There is no such object any more.
            KubeError: Anything else.
        """
        try:
            written = await write_scale(
                self._client,
                target.resource,
                target.namespace,
                target.name,
                replicas=replicas,
                resource_version=view.resource_version,
            )
        except NotFound:
            raise TargetGone(target) from None
        if target.resource in WATCHED:
            store = self._watches.workloads(target.resource)
            store.wrote(target.key, written.resource_version)
        return written

    async def _stored(self, target: TargetRef) -> Workload:
        store = self._watches.workloads(target.resource)
        await self._watches.wait_listed(target.resource)
        # The watch of one kind may be behind that of another: what it does not know, we ask for.
        return store.get(target.key) or await self._asked(target)

    async def _asked(self, target: TargetRef) -> Workload:
        path = target.resource.path(target.namespace, target.name)
        try:
            return decode_workload(await self._client.request("GET", path))
        except NotFound:
            raise TargetGone(target) from None
        except msgspec.MsgspecError as error:
            raise Unreachable(f"{target.text}: not an object: {shorten(str(error))}") from error
