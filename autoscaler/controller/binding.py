"""From an object as written to what the service does for it: target, policy and scalers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import msgspec

from autoscaler.api.parse import parse_object
from autoscaler.api.policy import TriggerMetrics, scaled_object_policy
from autoscaler.api.problems import InvalidObject, Problem
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.api.triggers import Trigger
from autoscaler.collect.resolve import (
    NAMESPACED_KIND,
    ResolvedTrigger,
    Resolver,
    TargetEnvironment,
    TriggerReferences,
)
from autoscaler.collect.subscription import MetricReader
from autoscaler.controller.resource_metrics import RESOURCE_SOURCES, ResourceMetrics
from autoscaler.controller.settings import ControllerSettings
from autoscaler.controller.targets import TargetRef, Targets
from autoscaler.core.model import MetricSpec, Policy, TargetType
from autoscaler.errors import ConfigError, NotFound, TriggerConfigError, UnknownScalerError
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import Discovery
from autoscaler.kube.transport import KubeClient
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import Scaler, TriggerContext

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
    def external_metrics(self) -> tuple[str, ...]:
        """Names of the metrics read from sources."""
        return tuple(
            m.spec.name for m in self.policy.metrics if m.spec.source not in RESOURCE_SOURCES
        )

    def describe(self, metric: str) -> str:
        """Return which trigger a metric belongs to, for messages."""
        for known in self.policy.metrics:
            if known.spec.name == metric:
                name = f' "{known.trigger}"' if known.trigger else ""
                return f"trigger {known.trigger_index} ({known.trigger_type}{name})"
        return metric


class Binder:
    """Builds bindings; everything that can be wrong with an object comes out here, at once."""

    def __init__(
        self,
        client: KubeClient,
        *,
        registry: ScalerRegistry,
        discovery: Discovery,
        targets: Targets,
        resolver: Resolver,
        settings: ControllerSettings,
    ) -> None:
        self._client = client
        self._registry = registry
        self._discovery = discovery
        self._targets = targets
        self._resolver = resolver
        self._settings = settings
        self._loaded: set[str] = set()

    async def bind(self, item: CustomObject) -> Binding:
        """Build the binding of an object.

        Raises:
            InvalidObject: With every problem of the object and what it refers to.
            KubeError: The API server could not be asked.
        """
        obj = parse_object(item.raw)
        if not isinstance(obj, ScaledObject):
            raise ConfigError(f"kind {obj.kind} is not a ScaledObject", field="kind")
        await self._load({trigger.type for trigger in obj.spec.triggers})
        problems: list[Problem] = []
        found = await self._find_target(obj, problems)
        resolved = await self._resolve(obj, found[0] if found else None, problems)
        scalers = [
            self._create(obj, index, trigger, parameters, problems)
            for index, (trigger, parameters) in enumerate(
                zip(obj.spec.triggers, resolved, strict=True)
            )
        ]
        if problems or found is None:
            raise InvalidObject(problems)
        target, selector = found
        built = [scaler for scaler in scalers if scaler is not None]
        triggers = [
            TriggerMetrics(index=index, name=t.name, type=t.type, specs=tuple(s.metric_specs()))
            for index, (t, s) in enumerate(zip(obj.spec.triggers, built, strict=True))
        ]
        policy = scaled_object_policy(obj, triggers, hpa=self._settings.hpa)
        return Binding(
            obj=obj,
            target=target,
            policy=policy,
            readers=self._readers(obj, target, selector, built),
            pod_selector=selector,
            needs_pods=_needs_pods(policy),
            resolved=tuple(one for one in resolved if one is not None),
        )

    async def _load(self, trigger_types: set[str]) -> None:
        """Import plugins in a thread: a large driver would hold up the event loop for long."""
        for trigger_type in sorted(trigger_types - self._loaded):
            with contextlib.suppress(UnknownScalerError):
                await asyncio.to_thread(self._registry.get, trigger_type)
                self._loaded.add(trigger_type)

    async def _find_target(
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

    async def _resolve(
        self, obj: ScaledObject, target: TargetRef | None, problems: list[Problem]
    ) -> list[ResolvedTrigger | None]:
        """Look up what the triggers refer to; None where that is not possible."""
        references = [_references(index, t) for index, t in enumerate(obj.spec.triggers)]
        environment = TargetEnvironment()
        if target and any(r.environment_keys or r.authentication_name for r in references):
            environment = TargetEnvironment(
                template=await self._targets.template(target),
                container=obj.spec.scale_target_ref.env_source_container_name,
            )
        resolved: list[ResolvedTrigger | None] = []
        for reference in references:
            if target is None and reference.environment_keys:
                resolved.append(None)
                continue
            found, missing = await self._resolver.resolve(
                reference, obj.metadata.namespace, environment
            )
            problems += missing
            resolved.append(None if missing else found)
        return resolved

    def _create(
        self,
        obj: ScaledObject,
        index: int,
        trigger: Trigger,
        found: ResolvedTrigger | None,
        problems: list[Problem],
    ) -> Scaler | None:
        where = f"spec.triggers[{index}]"
        context = TriggerContext(
            namespace=obj.metadata.namespace,
            name=obj.metadata.name,
            trigger_index=index,
            trigger_name=trigger.name,
            metric_type=trigger.metric_type or None,
            is_metric_source=obj.modifiers is not None,
            safe_defaults=not obj.is_keda,
        )
        try:
            if found is None:
                # Its parameters are incomplete, but an unknown type is worth saying, too.
                self._registry.get(trigger.type)
                return None
            return self._registry.create(
                trigger.type, trigger.metadata, found.auth, found.env, context
            )
        except TriggerConfigError as error:
            for name, message in error.problems:
                field = f"{where}.metadata.{name}" if name else where
                problems.append(Problem(field, message))
        except ConfigError as error:
            problems.append(Problem(f"{where}.{error.field}".rstrip("."), str(error)))
        return None

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
        if usage:
            reader = ResourceMetrics(
                client=self._client,
                namespace=target.namespace,
                selector=selector,
                specs=tuple(usage),
            )
            readers.append((reader, min(interval, self._settings.resource_metrics_seconds)))
        return tuple(readers)


def _references(index: int, trigger: Trigger) -> TriggerReferences:
    ref = trigger.authentication_ref
    return TriggerReferences(
        index=index,
        metadata=trigger.metadata,
        authentication_kind=(ref.kind if ref else "") or NAMESPACED_KIND,
        authentication_name=ref.name if ref else "",
    )


def _needs_pods(policy: Policy) -> bool:
    """Whether readiness of pods enters the arithmetic (or a stand-in value)."""
    if policy.modifiers is not None and policy.modifiers.metric_type is TargetType.VALUE:
        return True
    return any(
        m.spec.source in RESOURCE_SOURCES or m.spec.target_type is TargetType.VALUE
        for m in policy.metrics
    )
