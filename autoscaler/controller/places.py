"""Scale targets of the cluster, as bindings need them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from autoscaler.api.problems import Problem
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.collect.resolve import TargetEnvironment
from autoscaler.collect.subscription import MetricReader
from autoscaler.controller.resource_metrics import ResourceMetrics
from autoscaler.controller.targets import TargetRef, Targets
from autoscaler.core.model import MetricSpec
from autoscaler.errors import ConfigError, NotFound
from autoscaler.kube.resources import Discovery
from autoscaler.kube.transport import KubeClient


class ClusterPlaces:
    """Implements :class:`~autoscaler.controller.binding.Places` for a cluster.

    Args:
        client: Connection.
        discovery: Finds kinds.
        targets: Reads scale targets.
    """

    knows_pods = True

    def __init__(self, client: KubeClient, *, discovery: Discovery, targets: Targets) -> None:
        self._client = client
        self._discovery = discovery
        self._targets = targets

    async def find(
        self, obj: ScaledObject, problems: list[Problem]
    ) -> tuple[TargetRef, str] | None:
        """Return the target and its pod selector; None when it cannot be scaled."""
        ref = obj.spec.scale_target_ref
        try:
            resource = await self._discovery.resolve(ref.api_version, ref.kind, needs_scale=True)
        except ConfigError as error:
            problems.append(Problem(error.field or "spec.scaleTargetRef", str(error)))
            return None
        target = TargetRef(resource, obj.metadata.namespace, ref.name)
        try:
            view = await self._targets.view(target)
        except NotFound:
            text = f"{target.text} does not exist"
            problems.append(Problem("spec.scaleTargetRef.name", text))
            return None
        return target, view.selector

    def environment(self, obj: ScaledObject, target: TargetRef) -> TargetEnvironment:
        """Return where ``FromEnv`` parameters come from."""
        return TargetEnvironment(
            container=obj.spec.scale_target_ref.env_source_container_name,
            read=partial(self._targets.template, target),
        )

    def usage(
        self, target: TargetRef, selector: str, specs: Sequence[MetricSpec]
    ) -> MetricReader | None:
        """Return what reads the usage of the target's pods."""
        return ResourceMetrics(
            client=self._client,
            namespace=target.namespace,
            selector=selector,
            specs=tuple(specs),
        )
