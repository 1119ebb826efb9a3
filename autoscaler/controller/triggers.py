"""From the triggers of an object as written to scalers: what ScaledObjects and ScaledJobs share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, Protocol

import msgspec

from autoscaler.api.policy import TriggerMetrics
from autoscaler.api.problems import Problem
from autoscaler.api.triggers import Trigger
from autoscaler.collect.entries import EntryRef
from autoscaler.collect.resolve import (
    CLUSTER_KIND,
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
        uid: Of the object; what is built for it is kept under this.
        group: API group of the object, which is that of the authentications it names.
        is_metric_source: Its triggers feed a formula instead of being targets themselves.
        safe_defaults: No data is an error (ours), not a zero (KEDA's).
    """

    group: str
    uid: str
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


class _Built(NamedTuple):
    """A scaler and all it was made from."""

    position: int
    trigger: Trigger
    found: ResolvedTrigger
    is_metric_source: bool
    safe_defaults: bool
    scaler: Scaler

    def is_for(
        self, owner: TriggerOwner, index: int, trigger: Trigger, found: ResolvedTrigger | None
    ) -> bool:
        """Whether building it anew would give the same scaler."""
        return (self.position, self.trigger, self.is_metric_source, self.safe_defaults) == (
            index,
            trigger,
            owner.is_metric_source,
            owner.safe_defaults,
        ) and self.found == found


class References(Protocol):
    """Follows the Secrets and ConfigMaps that triggers name."""

    def want(self, user: str, refs: AbstractSet[EntryRef]) -> None:
        """Follow exactly these for a user from now on."""
        ...

    def release(self, user: str) -> None:
        """Note that a user is gone."""
        ...


class TriggerBinder:
    """Builds the scalers of an object's triggers; everything wrong with them comes out here.

    Args:
        registry: The trigger types.
        resolvers: Where authentications and environments are looked up, by API group.
        references: Watches what was looked at.
    """

    def __init__(
        self,
        registry: ScalerRegistry,
        resolvers: Mapping[str, Resolver],
        references: References,
    ) -> None:
        self._registry = registry
        self._resolvers = resolvers
        self._references = references
        self._built: dict[str, tuple[_Built, ...]] = {}
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
        made = [
            self._made(owner, index, trigger, parameters, problems)
            for index, (trigger, parameters) in enumerate(zip(owner.triggers, found, strict=True))
        ]
        self._built[owner.uid] = tuple(one for one in made if one is not None)
        return BoundTriggers(
            scalers=tuple(one.scaler if one else None for one in made),
            resolved=tuple(one for one in found if one is not None),
        )

    def forget(self, uid: str) -> None:
        """Drop what was built for an object that is gone."""
        self._built.pop(uid, None)
        self._references.release(uid)

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
        uses: set[EntryRef] = set()
        for reference in map(_references, range(len(owner.triggers)), owner.triggers):
            if environment is None and reference.environment_keys:
                resolved.append(None)
                continue
            found, missing = await resolver.resolve(
                reference, owner.namespace, environment or TargetEnvironment()
            )
            uses |= found.uses
            problems += missing
            resolved.append(None if missing else found)
        self._references.want(owner.uid, uses)
        return resolved

    def _made(
        self,
        owner: TriggerOwner,
        index: int,
        trigger: Trigger,
        found: ResolvedTrigger | None,
        problems: list[Problem],
    ) -> _Built | None:
        """Return the trigger's scaler: the one there is, unless something about it changed."""
        for built in self._built.get(owner.uid, ()):
            if built.is_for(owner, index, trigger, found):
                return built
        scaler = self._create(owner, index, trigger, found, problems)
        if scaler is None or found is None:
            return None
        return _Built(index, trigger, found, owner.is_metric_source, owner.safe_defaults, scaler)

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


def uses_authentication(triggers: Sequence[Trigger], name: str, *, is_cluster: bool) -> bool:
    """Whether a trigger names a TriggerAuthentication or ClusterTriggerAuthentication."""
    references = [trigger.authentication_ref for trigger in triggers]
    return any(
        reference and reference.name == name and (reference.kind == CLUSTER_KIND) is is_cluster
        for reference in references
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
