"""From an object as written to what the service does for it: target, policy and scalers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from autoscaler.api.parse import parse_object
from autoscaler.api.policy import scaled_object_policy
from autoscaler.api.problems import InvalidObject, Problem
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.collect.resolve import ResolvedTrigger, TargetEnvironment
from autoscaler.collect.subscription import MetricReader
from autoscaler.controller.adoption import with_taken_over
from autoscaler.controller.objects import group_of
from autoscaler.controller.resource_metrics import RESOURCE_SOURCES, ResourceMetrics
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.targets import TargetRef
from autoscaler.controller.triggers import (
    TriggerBinder,
    TriggerOwner,
    describe_metric,
    trigger_metrics,
)
from autoscaler.core.model import MetricPolicy, MetricSpec, Policy, TargetType
from autoscaler.errors import ConfigError
from autoscaler.kube.codec import CustomObject
from autoscaler.sdk.scaler import Scaler

SHORTEST_INTERVAL_SECONDS: Final = 1.0


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """What the service does for a valid object.

    Attributes:
        obj: The object as parsed.
        target: What is scaled.
        policy: What its author wants.
        readers: What reads its metrics, with their intervals (seconds).
        pod_selector: Of the target's pods, textual; empty when it declares none.
        needs_pods: Some metric's arithmetic involves the target's pods.
        resolved: Looked-up parameters per trigger, to notice when they change.
    """

    obj: ScaledObject
    target: TargetRef
    policy: Policy
    readers: tuple[tuple[MetricReader, float], ...]
    pod_selector: str
    needs_pods: bool
    resolved: tuple[ResolvedTrigger, ...]

    @property
    def has_references(self) -> bool:
        """Whether anything outside the object went into the scalers."""
        return any(r.auth or r.env for r in self.resolved)

    @property
    def polling_interval_seconds(self) -> float:
        """How often its metrics are read."""
        return self.obj.polling_interval_seconds

    @property
    def found(self) -> object:
        """What was looked up to make the binding."""
        return self.target, self.pod_selector, self.resolved, self.metrics

    @property
    def external_metrics(self) -> tuple[str, ...]:
        """Names of the metrics read from sources."""
        return tuple(
            m.spec.name for m in self.policy.metrics if m.spec.source not in RESOURCE_SOURCES
        )

    @property
    def metrics(self) -> tuple[MetricPolicy, ...]:
        """Every metric of the object."""
        return self.policy.metrics

    def describe(self, metric: str) -> str:
        """Return which trigger a metric belongs to, for messages."""
        return describe_metric(self.metrics, metric)

    def selecting(self, selector: str) -> Binding:
        """Return the binding for a target whose pods are others than they were."""
        readers = tuple(
            (replace(reader, selector=selector), seconds)
            if isinstance(reader, ResourceMetrics)
            else (reader, seconds)
            for reader, seconds in self.readers
        )
        return replace(self, pod_selector=selector, readers=readers)


class Places(Protocol):
    """Where a binder looks: the scale target, and what can be known about it."""

    async def find(
        self, obj: ScaledObject, problems: list[Problem]
    ) -> tuple[TargetRef, str] | None:
        """Return the target and its pod selector; None, with a problem, when there is none.

        Raises:
            KubeError: The API server could not be asked.
        """
        ...

    def environment(self, obj: ScaledObject, target: TargetRef) -> TargetEnvironment:
        """Return where ``FromEnv`` parameters come from."""
        ...

    def usage(
        self, target: TargetRef, selector: str, specs: Sequence[MetricSpec]
    ) -> MetricReader | None:
        """Return what reads the usage of the target's pods, None where nobody can."""
        ...

    @property
    def knows_pods(self) -> bool:
        """Whether the target's pods can be looked at."""
        ...


class Binder:
    """Builds bindings; everything that can be wrong with an object comes out here, at once.

    Args:
        triggers: Builds scalers.
        places: Where targets are looked up.
        settings: Of the controller.
    """

    def __init__(
        self, *, triggers: TriggerBinder, places: Places, settings: ControllerSettings
    ) -> None:
        self._triggers = triggers
        self._places = places
        self._settings = settings

    async def bind(self, item: CustomObject) -> Binding:
        """Build the binding of an object.

        Raises:
            InvalidObject: With every problem of the object and what it refers to.
            KubeError: The API server could not be asked.
        """
        obj = parse_object(with_taken_over(item))
        if not isinstance(obj, ScaledObject):
            raise ConfigError(f"kind {obj.kind} is not a ScaledObject", field="kind")
        problems: list[Problem] = []
        found = await self._places.find(obj, problems)
        owner = TriggerOwner(
            group=group_of(item),
            uid=item.metadata.uid,
            namespace=obj.metadata.namespace,
            name=obj.metadata.name,
            triggers=obj.spec.triggers,
            is_metric_source=obj.modifiers is not None,
            safe_defaults=not obj.is_keda,
        )
        environment = self._places.environment(obj, found[0]) if found else None
        bound = await self._triggers.bind(owner, environment, problems)
        if problems or found is None:
            raise InvalidObject(problems)
        target, selector = found
        scalers = [scaler for scaler in bound.scalers if scaler is not None]
        metrics = trigger_metrics(obj.spec.triggers, scalers)
        policy = scaled_object_policy(obj, metrics, hpa=self._settings.hpa)
        if _needs_pods(policy) and not self._places.knows_pods:
            raise InvalidObject([_no_pods(policy)])
        return Binding(
            obj=obj,
            target=target,
            policy=policy,
            readers=self._readers(obj, target, selector, scalers),
            pod_selector=selector,
            needs_pods=_needs_pods(policy),
            resolved=bound.resolved,
        )

    def forget(self, uid: str) -> None:
        """Drop what is kept for an object that is gone."""
        self._triggers.forget(uid)

    def _readers(
        self, obj: ScaledObject, target: TargetRef, selector: str, scalers: Sequence[Scaler]
    ) -> tuple[tuple[MetricReader, float], ...]:
        interval = max(SHORTEST_INTERVAL_SECONDS, obj.polling_interval_seconds)
        readers: list[tuple[MetricReader, float]] = []
        usage: list[MetricSpec] = []
        for scaler in scalers:
            specs = scaler.metric_specs()
            measured = [spec for spec in specs if spec.source in RESOURCE_SOURCES]
            usage += measured
            if not measured:
                readers.append((scaler, interval))
        reader = self._places.usage(target, selector, usage) if usage else None
        if reader is not None:
            readers.append((reader, min(interval, self._settings.resource_metrics_seconds)))
        return tuple(readers)


def _no_pods(policy: Policy) -> Problem:
    """Return what is wrong with a policy whose arithmetic involves pods nobody can look at."""
    measured = [m for m in policy.metrics if m.spec.source in RESOURCE_SOURCES]
    by_value = [m for m in policy.metrics if m.spec.target_type is TargetType.VALUE]
    for metric in measured:
        where = f"spec.triggers[{metric.trigger_index}].type"
        return Problem(where, "measures pods, which needs access to their cluster")
    for metric in by_value:
        where = f"spec.triggers[{metric.trigger_index}].metricType"
        what = "Value counts ready pods, which needs access to their cluster; use AverageValue"
        return Problem(where, what)
    where = "spec.advanced.scalingModifiers.metricType"
    return Problem(where, "Value counts ready pods, which needs access to their cluster")


def _needs_pods(policy: Policy) -> bool:
    """Whether readiness of pods enters the arithmetic (or a stand-in value)."""
    if policy.modifiers is not None and policy.modifiers.metric_type is TargetType.VALUE:
        return True
    return any(
        m.spec.source in RESOURCE_SOURCES or m.spec.target_type is TargetType.VALUE
        for m in policy.metrics
    )
