"""From the KEDA objects in vectors to the core's values.

Vectors feed single KEDA functions, so many objects are ones an admission check would refuse. The
policy is therefore put together here; where our API accepts the object, its policy must be equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from autoscaler.api.annotations import FORCE_ACTIVATION, is_on, pause_of
from autoscaler.api.fields import parse_timestamp
from autoscaler.api.parse import check_object
from autoscaler.api.policy import HPA_SYNC_PERIOD_SECONDS, TriggerMetrics, scaled_object_policy
from autoscaler.api.problems import InvalidObject
from autoscaler.api.rules import parse_number
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Activation,
    Condition,
    Fallback,
    FallbackBehavior,
    HpaSettings,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Modifiers,
    Policy,
    Reading,
    TargetType,
)
from autoscaler.core.quantity import to_milli
from autoscaler.errors import FormulaError

POD_RESOURCES = ("cpu", "memory")
Raw = Mapping[str, Any]


def milli(quantity: str) -> int:
    """Return a quantity in thousandths."""
    return to_milli(quantity)


def metric_spec(raw: Raw) -> MetricSpec:
    """Return the core's form of an ``autoscaling/v2`` metric spec."""
    if "resource" in raw:
        resource = raw["resource"]
        return MetricSpec(
            name=f"s-{resource['name']}",
            source=MetricSource.RESOURCE,
            target_type=TargetType.UTILIZATION,
            target_milli=resource["target"]["averageUtilization"],
            resource=resource["name"],
        )
    external = raw["external"]
    target = external["target"]
    return MetricSpec(
        name=external["metric"]["name"],
        target_type=TargetType(target["type"]),
        target_milli=milli(target.get("averageValue") or target["value"]),
    )


def good_reading(name: str, quantity: str, at: float, *, active: bool | None = None) -> Reading:
    """Return a reading with the exact thousandths of a quantity."""
    value_milli = milli(quantity)
    return Reading(
        metric=name,
        sampled_at=at,
        value=value_milli / 1000,
        values_milli=(value_milli,),
        active=active,
    )


def fallback_of(raw: Raw | None) -> Fallback | None:
    """Return the fallback, None when there is none or KEDA finds it invalid.

    A behavior KEDA does not know counts as ``static`` there; the schema keeps such words out.
    """
    if raw is None or raw["failureThreshold"] < 0 or raw["replicas"] < 0:
        return None
    behavior = raw.get("behavior") or "static"
    known = behavior in set(FallbackBehavior)
    return Fallback(
        failure_threshold=raw["failureThreshold"],
        replicas=raw["replicas"],
        behavior=FallbackBehavior(behavior if known else "static"),
    )


def modifiers_of(raw: Raw | None, names: Sequence[str]) -> Modifiers | None:
    """Return the modifiers; raises FormulaError or ValueError when they cannot work."""
    if not raw:
        return None
    if not raw.get("formula"):
        raise FormulaError("the formula is missing")
    target = parse_number(raw.get("target") or "")
    if not target > 0:
        raise ValueError(f"target {raw.get('target')!r}")
    activation = parse_number(raw.get("activationTarget") or "0")
    if math.isnan(activation):
        raise ValueError(f"activationTarget {raw['activationTarget']!r}")
    metric_type = TargetType(raw.get("metricType") or "AverageValue")
    if metric_type is TargetType.UTILIZATION:
        raise ValueError("metricType Utilization")
    return Modifiers(
        formula=compile_formula(raw["formula"], names),
        target=target,
        target_milli=int(target * 1000),
        activation_target=activation,
        metric_type=metric_type,
    )


def formula_names(triggers: Sequence[Raw]) -> tuple[str, ...]:
    """Return the trigger names a formula may use."""
    return tuple(t["name"] for t in triggers if t.get("name") and t["type"] not in POD_RESOURCES)


def metrics_of(triggers: Sequence[Raw], specs: Sequence[Sequence[MetricSpec]]) -> Any:
    """Return the metric policies of triggers and the specs their scalers declare."""
    return tuple(
        MetricPolicy(
            spec=spec,
            trigger=trigger.get("name", ""),
            trigger_index=index,
            trigger_type=trigger["type"],
        )
        for index, (trigger, declared) in enumerate(zip(triggers, specs, strict=True))
        for spec in declared
    )


def policy_of(raw: Raw, specs: Sequence[Sequence[MetricSpec]], *, names: Sequence[str]) -> Policy:
    """Return the policy of a KEDA ScaledObject.

    Args:
        raw: The object.
        specs: What each trigger's scaler declares.
        names: Trigger names a formula may use.
    """
    spec, metadata = raw["spec"], raw["metadata"]
    annotations = metadata.get("annotations") or {}
    modifiers = (spec.get("advanced") or {}).get("scalingModifiers")
    policy = Policy(
        key=f"{metadata['namespace']}/{metadata['name']}",
        min_replicas=spec.get("minReplicaCount") or 0,
        max_replicas=spec.get("maxReplicaCount") or 100,
        idle_replicas=spec.get("idleReplicaCount"),
        metrics=metrics_of(spec["triggers"], specs),
        modifiers=modifiers_of(modifiers, names),
        fallback=fallback_of(spec.get("fallback")),
        cooldown_seconds=float(spec.get("cooldownPeriod", 300)),
        initial_cooldown_seconds=float(spec.get("initialCooldownPeriod", 0)),
        created_at=parse_timestamp(metadata["creationTimestamp"]),
        activation=Activation.MINIMUM,
        zero_follows_behavior=False,
        pause=pause_of(annotations),
        force_activation=is_on(annotations, FORCE_ACTIVATION),
        hpa=HpaSettings(sync_period_seconds=HPA_SYNC_PERIOD_SECONDS),
    )
    _assert_api_agrees(raw, specs, policy)
    target = f"{raw['status']['scaleTargetKind']} {metadata['namespace']}/"
    return replace(policy, scale_target=target + spec["scaleTargetRef"]["name"])


def _assert_api_agrees(raw: Raw, specs: Sequence[Sequence[MetricSpec]], policy: Policy) -> None:
    obj, problems = check_object(raw)
    if obj is None or any(not problem.is_warning for problem in problems):
        return
    assert isinstance(obj, ScaledObject)
    triggers = [
        TriggerMetrics(
            index=index, name=trigger.get("name", ""), type=trigger["type"], specs=declared
        )
        for index, (trigger, declared) in enumerate(
            zip(raw["spec"]["triggers"], specs, strict=True)
        )
    ]
    try:
        from_api = scaled_object_policy(obj, triggers)
    except InvalidObject:
        return
    same = {"min_replicas": policy.min_replicas, "scale_target": policy.scale_target}
    assert replace(from_api, **same) == policy, "the API makes another policy of it"


def conditions_of(raw: Sequence[Raw]) -> tuple[Condition, ...]:
    """Return the core's form of status conditions."""
    return tuple(
        Condition(c["type"], c["status"], c.get("reason", ""), c.get("message", "")) for c in raw
    )


def refusals(raw: Raw) -> list[str]:
    """Return why our API refuses an object; empty when it accepts it."""
    _, problems = check_object(raw)
    return [str(problem) for problem in problems if not problem.is_warning]
