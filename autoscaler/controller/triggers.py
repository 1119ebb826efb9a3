"""From the triggers of an object as written to scalers: what ScaledObjects and ScaledJobs share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from autoscaler.api.policy import TriggerMetrics
from autoscaler.api.problems import Problem
from autoscaler.api.triggers import Trigger
from autoscaler.collect.resolve import (
    NAMESPACED_KIND,
    ResolvedTrigger,
    Resolver,
    TargetEnvironment,
    TriggerReferences,
)
from autoscaler.core.model import MetricPolicy
from autoscaler.errors import ConfigError, TriggerConfigError, UnknownScalerError
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import Scaler, TriggerContext


class TriggerOwner(msgspec.Struct, frozen=True, kw_only=True):
    """The object whose triggers are bound.

    Attributes:
        group: API group of the object, which is that of the authentications it names.
        is_metric_source: Its triggers feed a formula instead of being targets themselves.
        safe_defaults: No data is an error (ours), not a zero (KEDA's).
    """

    group: str
    namespace: str
    name: str
    triggers: Sequence[Trigger]
    is_metric_source: bool = False
    safe_defaults: bool = True


class BoundTriggers(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an object's triggers, in their order.

    Attributes:
        scalers: None where a trigger has problems.
        resolved: Looked-up parameters, without those that could not be looked up.
    """

    scalers: tuple[Scaler | None, ...]
    resolved: tuple[ResolvedTrigger, ...]


class HasTriggers(Protocol):
    """A binding, as far as its metrics and triggers matter."""

    @property
    def metrics(self) -> Sequence[MetricPolicy]:
        """Every metric of the object."""
        ...

    def describe(self, metric: str) -> str:
        """Return which trigger a metric belongs to, for messages."""
        ...


class TriggerBinder:
    """Builds the scalers of an object's triggers; everything wrong with them comes out here.

    Args:
        registry: The trigger types.
        resolvers: Where authentications and environments are looked up, by API group.
    """

    def __init__(self, registry: ScalerRegistry, resolvers: Mapping[str, Resolver]) -> None:
        self._registry = registry
        self._resolvers = resolvers
        self._loaded: set[str] = set()

    async def bind(
        self,
        owner: TriggerOwner,
        environment: TargetEnvironment | None,
        problems: list[Problem],
    ) -> BoundTriggers:
        """Build the scalers of all triggers.

        Args:
            owner: Whose.
            environment: Where ``FromEnv`` parameters come from; None when that is not known, which
                somebody else reports.
            problems: Gets what is wrong.

        Raises:
            KubeError: The API server could not be asked.
        """
        await self._load({trigger.type for trigger in owner.triggers})
        found = await self._resolve(owner, environment, problems)
        scalers = [
            self._create(owner, index, trigger, parameters, problems)
            for index, (trigger, parameters) in enumerate(zip(owner.triggers, found, strict=True))
        ]
        return BoundTriggers(
            scalers=tuple(scalers), resolved=tuple(one for one in found if one is not None)
        )

    async def _load(self, trigger_types: set[str]) -> None:
        """Import plugins in a thread: a large driver would hold up the event loop for long."""
        for trigger_type in sorted(trigger_types - self._loaded):
            with contextlib.suppress(UnknownScalerError):
                await asyncio.to_thread(self._registry.get, trigger_type)
                self._loaded.add(trigger_type)

    async def _resolve(
        self,
        owner: TriggerOwner,
        environment: TargetEnvironment | None,
        problems: list[Problem],
    ) -> list[ResolvedTrigger | None]:
        """Look up what the triggers refer to; None where that is not possible."""
        resolver = self._resolvers[owner.group]
        resolved: list[ResolvedTrigger | None] = []
        for reference in map(_references, range(len(owner.triggers)), owner.triggers):
            if environment is None and reference.environment_keys:
                resolved.append(None)
                continue
            found, missing = await resolver.resolve(
                reference, owner.namespace, environment or TargetEnvironment()
            )
            problems += missing
            resolved.append(None if missing else found)
        return resolved

    def _create(
        self,
        owner: TriggerOwner,
        index: int,
        trigger: Trigger,
        found: ResolvedTrigger | None,
        problems: list[Problem],
    ) -> Scaler | None:
        where = f"spec.triggers[{index}]"
        context = TriggerContext(
            namespace=owner.namespace,
            name=owner.name,
            trigger_index=index,
            trigger_name=trigger.name,
            metric_type=trigger.metric_type or None,
            is_metric_source=owner.is_metric_source,
            safe_defaults=owner.safe_defaults,
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


def needs_environment(triggers: Sequence[Trigger]) -> bool:
    """Whether anything a trigger refers to may be in the environment of a container."""
    return any(
        reference.environment_keys or reference.authentication_name
        for reference in map(_references, range(len(triggers)), triggers)
    )


def trigger_metrics(
    triggers: Sequence[Trigger], scalers: Sequence[Scaler]
) -> tuple[TriggerMetrics, ...]:
    """Return what the scalers declare, in trigger order."""
    return tuple(
        TriggerMetrics(index=index, name=t.name, type=t.type, specs=tuple(s.metric_specs()))
        for index, (t, s) in enumerate(zip(triggers, scalers, strict=True))
    )


def describe_metric(metrics: Sequence[MetricPolicy], metric: str) -> str:
    """Return which trigger a metric belongs to, for messages."""
    for known in metrics:
        if known.spec.name == metric:
            name = f' "{known.trigger}"' if known.trigger else ""
            return f"trigger {known.trigger_index} ({known.trigger_type}{name})"
    return metric


def _references(index: int, trigger: Trigger) -> TriggerReferences:
    ref = trigger.authentication_ref
    return TriggerReferences(
        index=index,
        metadata=trigger.metadata,
        authentication_kind=(ref.kind if ref else "") or NAMESPACED_KIND,
        authentication_name=ref.name if ref else "",
    )
