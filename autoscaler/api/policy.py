"""From a ScaledObject to the policy the core decides with.

Objects of ``flyball.dev`` get the safe, fast defaults; objects of ``keda.sh`` behave as KEDA and
the HPA beside it would: activation to the minimum first, one look at the metrics every 15 seconds,
at most a doubling per look without ``behavior``, and a last step to zero that no rule slows down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from autoscaler.api.annotations import FORCE_ACTIVATION, is_on, pause_of
from autoscaler.api.behavior import to_behavior
from autoscaler.api.problems import InvalidObject, Path, Problem, duplicate, invalid
from autoscaler.api.rules import (
    behavior_of,
    formula_names,
    parse_number,
    scaled_object_problems,
)
from autoscaler.api.scaledobject import (
    DEFAULT_COOLDOWN_SECONDS,
    DEFAULT_MAX_REPLICAS,
    FallbackSpec,
    ScaledObject,
)
from autoscaler.api.triggers import Smoothing, Trigger
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import (
    Activation,
    Ewma,
    Fallback,
    FallbackBehavior,
    HpaSettings,
    Median,
    MetricPolicy,
    MetricSpec,
    Modifiers,
    Policy,
    TargetType,
)

HPA_SYNC_PERIOD_SECONDS: Final = 15.0


class TriggerMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics a trigger's scaler declares.

    Attributes:
        index: Position in ``spec.triggers``.
        name: User-given trigger name, may be empty.
        type: Trigger type.
        specs: At least one.
    """

    index: int
    name: str = ""
    type: str = ""
    specs: Sequence[MetricSpec]


def scaled_object_policy(
    obj: ScaledObject, triggers: Sequence[TriggerMetrics], *, hpa: HpaSettings | None = None
) -> Policy:
    """Return the policy of an object.

    Args:
        obj: As parsed.
        triggers: What its scalers declare, in trigger order.
        hpa: Controller-wide settings; what the object's group decides is set on top.

    Raises:
        InvalidObject: The object breaks a rule, or its metrics do not fit together.
    """
    errors = [problem for problem in scaled_object_problems(obj) if not problem.is_warning]
    errors += check_metrics(triggers, needs_targets=obj.modifiers is None)
    if errors:
        raise InvalidObject(errors, subject=f"ScaledObject {obj.metadata.key}")
    spec, annotations = obj.spec, obj.metadata.annotations
    ref = spec.scale_target_ref
    return Policy(
        key=obj.metadata.key,
        scale_target=f"{ref.kind_text} {obj.metadata.namespace}/{ref.name}",
        min_replicas=spec.min_replica_count or 0,
        max_replicas=spec.max_replica_count or DEFAULT_MAX_REPLICAS,
        idle_replicas=spec.idle_replica_count,
        metrics=tuple(metric_policies(spec.triggers, triggers)),
        modifiers=_modifiers(obj),
        fallback=_fallback(spec.fallback) if spec.fallback else None,
        behavior=to_behavior(behavior_of(obj)),
        cooldown_seconds=float(_or(spec.cooldown_period, DEFAULT_COOLDOWN_SECONDS)),
        initial_cooldown_seconds=float(_or(spec.initial_cooldown_period, 0)),
        created_at=obj.metadata.created_at,
        activation=Activation.MINIMUM if obj.is_keda else Activation.DIRECT,
        zero_follows_behavior=not obj.is_keda,
        pause=pause_of(annotations),
        force_activation=is_on(annotations, FORCE_ACTIVATION),
        shadow=spec.mode == "shadow",
        hpa=_settings(hpa or HpaSettings(), is_keda=obj.is_keda),
    )


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _settings(hpa: HpaSettings, *, is_keda: bool) -> HpaSettings:
    if not is_keda:
        return msgspec.structs.replace(hpa, default_scale_up_limit=False)
    period = hpa.sync_period_seconds or HPA_SYNC_PERIOD_SECONDS
    return msgspec.structs.replace(hpa, default_scale_up_limit=True, sync_period_seconds=period)


def check_metrics(triggers: Sequence[TriggerMetrics], *, needs_targets: bool) -> Iterator[Problem]:
    """Yield what does not fit together among the metrics of an object.

    Args:
        triggers: What the scalers declare.
        needs_targets: False when a formula replaces the targets of all but pod resources.
    """
    path = Path(("spec", "triggers"))
    seen: dict[str, int] = {}
    for trigger in triggers:
        where = path / trigger.index
        for spec in trigger.specs:
            if spec.name in seen:
                first = path / seen[spec.name]
                yield duplicate(where, f'metric "{spec.name}" is already declared by {first}')
            seen.setdefault(spec.name, trigger.index)
            if spec.target_milli <= 0 and (needs_targets or spec.resource):
                what = f"the target of metric {spec.name} must be greater than 0"
                yield invalid(where / "metadata", what, spec.target_milli / 1000)


def metric_policies(
    written: Sequence[Trigger], triggers: Sequence[TriggerMetrics]
) -> Iterator[MetricPolicy]:
    """Yield each declared metric with what its trigger says about it."""
    for trigger in triggers:
        as_written = written[trigger.index]
        for spec in trigger.specs:
            yield MetricPolicy(
                spec=spec,
                trigger=trigger.name,
                trigger_index=trigger.index,
                trigger_type=trigger.type,
                freshness_seconds=as_written.freshness,
                smoothing=_smoothing(as_written.smoothing) if as_written.smoothing else None,
            )


def _smoothing(written: Smoothing) -> Ewma | Median:
    if written.half_life_seconds is not None:
        return Ewma(half_life_seconds=written.half_life_seconds)
    assert written.samples is not None, "the rules ask for one of the two"
    return Median(samples=written.samples)


def _fallback(written: FallbackSpec) -> Fallback:
    return Fallback(
        failure_threshold=written.failure_threshold,
        replicas=written.replicas,
        behavior=FallbackBehavior(written.behavior or FallbackBehavior.STATIC),
    )


def _modifiers(obj: ScaledObject) -> Modifiers | None:
    written = obj.modifiers
    if written is None:
        return None
    target = parse_number(written.target)
    return Modifiers(
        formula=compile_formula(written.formula, formula_names(obj.spec.triggers)),
        target=target,
        target_milli=int(target * 1000),
        activation_target=parse_number(written.activation_target or "0"),
        metric_type=TargetType(written.metric_type or TargetType.AVERAGE_VALUE),
    )
