"""What may be wrong between a ScaledObject and the rest of the cluster.

The rules of KEDA's admission webhook that need a look at other objects; who looks is not their
business. None of them insists that anything exists: objects are created in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from autoscaler.api.annotations import TRANSFER_OWNERSHIP, takes_over
from autoscaler.api.problems import Path, Problem, ProblemReason, duplicate
from autoscaler.api.rules import KEDA_HPA_PREFIX
from autoscaler.api.scaledobject import DEFAULT_API_VERSION, DEFAULT_KIND, ScaledObject
from autoscaler.api.triggers import Trigger
from autoscaler.core.model import TargetType

TARGET_FIELD: Final = Path(("spec", "scaleTargetRef"))
AUTOSCALER_NAME_FIELD: Final = Path(("spec", "advanced", "horizontalPodAutoscalerConfig", "name"))


class Target(msgspec.Struct, frozen=True):
    """A scale target within its namespace; the versions of a group are the same object."""

    group: str
    kind: str
    name: str

    @classmethod
    def of(cls, api_version: str, kind: str, name: str) -> Target:
        """Return the target of a reference whose ``apiVersion`` and ``kind`` may be empty."""
        group = (api_version or DEFAULT_API_VERSION).rpartition("/")[0]
        return cls(group, kind or DEFAULT_KIND, name)


class Claimant(msgspec.Struct, frozen=True, kw_only=True):
    """Another ScaledObject of the namespace.

    Attributes:
        group: API group it belongs to.
        autoscaler: Name of the HorizontalPodAutoscaler it has or would have in KEDA.
    """

    group: str
    name: str
    target: Target
    autoscaler: str


class Owner(msgspec.Struct, frozen=True):
    """An owner reference."""

    group: str
    kind: str
    name: str


class Autoscaler(msgspec.Struct, frozen=True, kw_only=True):
    """A HorizontalPodAutoscaler of the namespace.

    Attributes:
        is_exempt: Its author wants no check of who owns it.
    """

    name: str
    target: Target
    owners: tuple[Owner, ...] = ()
    is_exempt: bool = False


class TemplateContainer(msgspec.Struct, frozen=True):
    """A container that runs as long as its pod: what it has a request or a limit of."""

    name: str
    resources: frozenset[str]


class Template(msgspec.Struct, frozen=True):
    """A workload's pod template; ``resources`` are those requested or limited at pod level."""

    containers: tuple[TemplateContainer, ...]
    resources: frozenset[str] = frozenset()


def target_of(obj: ScaledObject) -> Target:
    """Return what an object scales."""
    ref = obj.spec.scale_target_ref
    return Target.of(ref.api_version, ref.kind, ref.name)


def autoscaler_name(explicit: str, name: str) -> str:
    """Return how KEDA names the autoscaler of an object called ``name``."""
    return explicit or f"{KEDA_HPA_PREFIX}{name}"


def check_claimants(obj: ScaledObject, others: Iterable[Claimant]) -> Iterator[Problem]:
    """Yield clashes with other ScaledObjects.

    One of the other API group is only mentioned: that is how objects are handed over between
    ``keda.sh`` and ``flyball.dev``, the younger one waiting for the older one to be deleted.

    Args:
        obj: The object in question; in shadow mode it is in nobody's way.
        others: Those of its namespace that act, without itself.
    """
    if is_shadow(obj):
        return
    group, target = _group(obj), target_of(obj)
    config = obj.hpa_config
    own_name = autoscaler_name(config.name if config else "", obj.metadata.name)
    for other in others:
        if other.target == target:
            what = f'{target.kind} "{target.name}" is already scaled by '
            if other.group == group:
                yield duplicate(TARGET_FIELD, f'{what}ScaledObject "{other.name}"')
            else:
                waits = f'{what}ScaledObject "{other.name}" of {other.group}; the younger one waits'
                yield Problem(str(TARGET_FIELD), waits, ProblemReason.DUPLICATE, is_warning=True)
        if other.group == group and other.autoscaler == own_name:
            what = f'"{own_name}" is the HorizontalPodAutoscaler of ScaledObject "{other.name}"'
            yield duplicate(AUTOSCALER_NAME_FIELD, what)


def check_autoscalers(obj: ScaledObject, autoscalers: Iterable[Autoscaler]) -> Iterator[Problem]:
    """Yield the HorizontalPodAutoscalers that would fight over the target.

    Args:
        obj: The object in question; in shadow mode it is in nobody's way.
        autoscalers: Those of its namespace.
    """
    if is_shadow(obj):
        return
    target, own = target_of(obj), Owner(_group(obj), obj.kind, obj.metadata.name)
    taken_over = obj.hpa_config.name if obj.hpa_config else ""
    for autoscaler in autoscalers:
        if autoscaler.target != target or autoscaler.is_exempt or own in autoscaler.owners:
            continue
        what = f'{target.kind} "{target.name}" is scaled by HorizontalPodAutoscaler '
        if not takes_over(obj.metadata.annotations):
            what += (
                f'"{autoscaler.name}"; delete that, or take it over with annotation '
                f'{TRANSFER_OWNERSHIP}: "true" and {AUTOSCALER_NAME_FIELD}'
            )
            yield duplicate(TARGET_FIELD, what)
        elif taken_over != autoscaler.name:
            what += f'"{autoscaler.name}", which is the name to give here to take it over'
            yield duplicate(AUTOSCALER_NAME_FIELD, what)


def utilization_triggers(obj: ScaledObject) -> list[tuple[int, Trigger]]:
    """Return the triggers, with their index, that need requests to measure usage against."""
    return [
        (index, trigger)
        for index, trigger in enumerate(obj.spec.triggers)
        if trigger.is_pod_resource and trigger.metric_type == TargetType.UTILIZATION
    ]


def check_requests(
    obj: ScaledObject, template: Template, defaults: frozenset[str]
) -> Iterator[Problem]:
    """Yield the triggers whose utilization would be undefined.

    Args:
        obj: The object in question.
        template: Of its target.
        defaults: Resources that a LimitRange of the namespace gives every container.
    """
    target = target_of(obj)
    for index, trigger in utilization_triggers(obj):
        missing = _without(trigger, template)
        if missing and trigger.type not in defaults:
            what = (
                f"Utilization needs a {trigger.type} request: {target.kind} "
                f'"{target.name}" has neither request nor limit in container '
                f"{', '.join(missing)}, and no LimitRange gives a default"
            )
            path = Path(("spec", "triggers", index, "metricType"))
            yield Problem(str(path), what)


def is_shadow(obj: ScaledObject) -> bool:
    """Whether the object only watches its target."""
    return obj.spec.mode == "shadow"


def _without(trigger: Trigger, template: Template) -> Sequence[str]:
    """Return the containers that count for a trigger and say nothing of its resource."""
    wanted = trigger.metadata.get("containerName", "")
    containers = [c for c in template.containers if wanted in {"", c.name}]
    missing = [c.name for c in containers if trigger.type not in c.resources]
    if not wanted and template.resources and len(missing) < len(containers):
        # With requests at pod level it is enough that somebody requests this one.
        return ()
    return () if not wanted and trigger.type in template.resources else missing


def _group(obj: ScaledObject) -> str:
    return obj.api_version.partition("/")[0]
