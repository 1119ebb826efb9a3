"""What a well-shaped ScaledObject or ScaledJob may still have wrong.

These are the rules of KEDA's admission webhook that need no look at the cluster, and those of our
own fields. Behavior follows the API server's rules for HorizontalPodAutoscalers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from autoscaler.api.annotations import TRANSFER_HPA_OWNERSHIP, takes_over, validate_annotations
from autoscaler.api.behavior import validate_behavior
from autoscaler.api.problems import (
    Path,
    Problem,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.api.scaledobject import DEFAULT_MAX_REPLICAS, ScaledObject, ScalingModifiers
from autoscaler.api.triggers import UNCACHED_TYPES, Smoothing, Trigger
from autoscaler.core.formula import compile_formula
from autoscaler.core.model import TargetType
from autoscaler.errors import FormulaError

NAME_LIMIT: Final = 63
"""Names travel in label values."""

KEDA_HPA_PREFIX: Final = "keda-hpa-"
"""KEDA names the autoscaler it makes for an object after it, unless the object gives a name."""

SMALLEST_TARGET: Final = 0.001
POD_RESOURCE_SECONDS: Final = 15
"""Usage of pods is read this often even with a longer polling interval."""

_SPEC: Final = Path(("spec",))
_ADVANCED: Final = _SPEC / "advanced"
_AUTHENTICATION_KINDS: Final = ("TriggerAuthentication", "ClusterTriggerAuthentication")
_JOB_STRATEGIES: Final = ("default", "custom", "accurate", "eager")
_JOB_CALCULATIONS: Final = ("max", "min", "avg", "sum")
_ROLLOUTS: Final = ("default", "gradual", "immediate")


def scaled_object_problems(obj: ScaledObject) -> list[Problem]:
    """Return every rule a ScaledObject breaks."""
    return [
        *_check_names(obj),
        *validate_annotations(obj.metadata.annotations),
        *_check_bounds(obj),
        *_check_triggers(obj.spec.triggers),
        *_check_zero(obj),
        *_check_fallback(obj),
        *_check_modifiers(obj),
        *_check_behavior(obj),
    ]


def scaled_job_problems(obj: ScaledJob) -> list[Problem]:
    """Return every rule a ScaledJob breaks.

    Words KEDA takes for its default are warnings on KEDA's own objects and problems on ours.
    """
    problems = [*_check_triggers(obj.spec.triggers)]
    if len(obj.metadata.name) > NAME_LIMIT:
        problems.append(_too_long(Path(("metadata", "name")), obj.metadata.name))
    for index, trigger in enumerate(obj.spec.triggers):
        if trigger.metric_type:
            where = _SPEC / "triggers" / index / "metricType"
            what = "must not be set in a ScaledJob, whose targets are always averages"
            problems.append(forbidden(where, what))
    if not obj.spec.job_target_ref.get("template"):
        where = _SPEC / "jobTargetRef" / "template"
        problems.append(required(where, "needs a pod template to create jobs from"))
    loose = [*_check_job_triggers(obj), *_check_job_words(obj)]
    return problems + [_as_warning(p) if obj.is_keda else p for p in loose]


def _as_warning(problem: Problem) -> Problem:
    return Problem(problem.field, problem.message, problem.reason, is_warning=True)


def _check_names(obj: ScaledObject) -> Iterator[Problem]:
    name = obj.metadata.name
    if len(name) > NAME_LIMIT:
        yield _too_long(Path(("metadata", "name")), name)
    config = obj.hpa_config
    path = _ADVANCED / "horizontalPodAutoscalerConfig" / "name"
    if config and config.name:
        if len(config.name) > NAME_LIMIT:
            yield _too_long(path, config.name)
    elif takes_over(obj.metadata.annotations):
        yield required(path, f"must name the autoscaler to take over ({TRANSFER_HPA_OWNERSHIP})")
    elif obj.is_keda and NAME_LIMIT - len(KEDA_HPA_PREFIX) < len(name) <= NAME_LIMIT:
        # An object of KEDA's has to remain one: KEDA refuses it without a shorter name here.
        what = f"is required: {KEDA_HPA_PREFIX}{name} would have more than {NAME_LIMIT} characters"
        yield required(path, what)


def _too_long(path: Path, name: str) -> Problem:
    return invalid(path, f"must be at most {NAME_LIMIT} characters, has {len(name)}", name)


def _check_bounds(obj: ScaledObject) -> Iterator[Problem]:
    spec = obj.spec
    least = spec.min_replica_count or 0
    most = DEFAULT_MAX_REPLICAS if spec.max_replica_count is None else spec.max_replica_count
    if least > most:
        default = "" if spec.max_replica_count is not None else ", the default"
        what = f"must be at most maxReplicaCount ({most}{default})"
        yield invalid(_SPEC / "minReplicaCount", what, least)
    if spec.idle_replica_count is not None and spec.idle_replica_count >= least:
        what = f"must be less than minReplicaCount ({least})"
        yield invalid(_SPEC / "idleReplicaCount", what, spec.idle_replica_count)
    if spec.cooldown_period is not None and least > 0 and spec.idle_replica_count is None:
        what = "has no effect: minReplicaCount is above 0 and there is no idleReplicaCount"
        yield Problem(str(_SPEC / "cooldownPeriod"), what, is_warning=True)
    interval, triggers = spec.polling_interval, spec.triggers
    measured = bool(triggers) and all(trigger.is_pod_resource for trigger in triggers)
    if measured and interval is not None and interval > POD_RESOURCE_SECONDS:
        what = f"has no effect: cpu and memory are read every {POD_RESOURCE_SECONDS} seconds"
        yield Problem(str(_SPEC / "pollingInterval"), what, is_warning=True)


def _check_triggers(triggers: Sequence[Trigger]) -> Iterator[Problem]:
    path = _SPEC / "triggers"
    if not triggers:
        yield required(path, "needs at least one trigger")
    names: dict[str, int] = {}
    for index, trigger in enumerate(triggers):
        where = path / index
        if trigger.name and trigger.name in names:
            first = path / names[trigger.name]
            yield duplicate(where / "name", f'"{trigger.name}" is already the name of {first}')
        elif trigger.name:
            names[trigger.name] = index
        yield from _check_trigger(trigger, where)


def _check_trigger(trigger: Trigger, path: Path) -> Iterator[Problem]:
    kind = trigger.metric_type
    if kind and kind not in set(TargetType):
        yield not_supported(path / "metricType", kind, TargetType)
    elif kind == TargetType.UTILIZATION and not trigger.is_pod_resource:
        yield invalid(path / "metricType", "is for cpu and memory triggers only", kind)
    if trigger.use_cached_metrics and trigger.type in UNCACHED_TYPES:
        what = f"is not supported for {trigger.type} triggers"
        yield forbidden(path / "useCachedMetrics", what)
    reference = trigger.authentication_ref
    if reference and reference.kind and reference.kind not in _AUTHENTICATION_KINDS:
        where = path / "authenticationRef" / "kind"
        yield not_supported(where, reference.kind, _AUTHENTICATION_KINDS)
    if trigger.smoothing:
        yield from _check_smoothing(trigger, trigger.smoothing, path / "smoothing")


def _check_smoothing(trigger: Trigger, smoothing: Smoothing, path: Path) -> Iterator[Problem]:
    if trigger.is_pod_resource:
        yield forbidden(path, f"is not available for {trigger.type} triggers")
    if smoothing.type == "ewma":
        needed, other = "halfLifeSeconds", "samples"
        has, has_other = smoothing.half_life_seconds is not None, smoothing.samples is not None
    else:
        needed, other = "samples", "halfLifeSeconds"
        has, has_other = smoothing.samples is not None, smoothing.half_life_seconds is not None
    if not has:
        yield required(path / needed, f"is required with type {smoothing.type}")
    if has_other:
        yield forbidden(path / other, f"means nothing with type {smoothing.type}")


def _check_zero(obj: ScaledObject) -> Iterator[Problem]:
    triggers = obj.spec.triggers
    if triggers and all(t.is_pod_resource for t in triggers) and not obj.spec.min_replica_count:
        what = (
            "must be at least 1 with cpu and memory triggers only:"
            " without pods there is nothing to measure, so nothing could leave zero"
        )
        yield invalid(_SPEC / "minReplicaCount", what, 0)


def _check_fallback(obj: ScaledObject) -> Iterator[Problem]:
    fallback, triggers = obj.spec.fallback, obj.spec.triggers
    if fallback is None:
        return
    if triggers and all(trigger.is_pod_resource for trigger in triggers):
        what = "needs a trigger other than cpu and memory: those have no fallback"
        yield forbidden(_SPEC / "fallback", what)
    if fallback.behavior == "scalingModifiers" and not (obj.modifiers and obj.modifiers.formula):
        what = "needs a formula in spec.advanced.scalingModifiers"
        yield invalid(_SPEC / "fallback" / "behavior", what, fallback.behavior)


def _check_modifiers(obj: ScaledObject) -> Iterator[Problem]:
    modifiers = obj.modifiers
    if modifiers is None:
        return
    path = _ADVANCED / "scalingModifiers"
    for index, trigger in enumerate(obj.spec.triggers):
        if not trigger.name and not trigger.is_pod_resource:
            what = "is required with scaling modifiers: the formula calls triggers by name"
            yield required(_SPEC / "triggers" / index / "name", what)
    yield from _check_formula(obj, modifiers, path / "formula")
    yield from _check_targets(modifiers, path)


def _check_formula(obj: ScaledObject, modifiers: ScalingModifiers, path: Path) -> Iterator[Problem]:
    if not modifiers.formula:
        yield required(path, "is required with scaling modifiers")
        return
    try:
        compile_formula(modifiers.formula, formula_names(obj.spec.triggers))
    except FormulaError as error:
        yield Problem(str(path), str(error).partition("\n")[0])


def formula_names(triggers: Sequence[Trigger]) -> tuple[str, ...]:
    """Return the names a formula may use; cpu and memory have no value a formula could see."""
    return tuple(t.name for t in triggers if t.name and not t.is_pod_resource)


def _check_targets(modifiers: ScalingModifiers, path: Path) -> Iterator[Problem]:
    if not modifiers.target:
        yield required(path / "target", "is required with scaling modifiers")
    elif not parse_number(modifiers.target) >= SMALLEST_TARGET:
        what = f"must be a number of at least {SMALLEST_TARGET}"
        yield invalid(path / "target", what, modifiers.target)
    if modifiers.activation_target and math.isnan(parse_number(modifiers.activation_target)):
        yield invalid(path / "activationTarget", "must be a number", modifiers.activation_target)


def parse_number(text: str) -> float:
    """Return a finite number, or NaN when the text is none."""
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _check_behavior(obj: ScaledObject) -> Iterator[Problem]:
    raw = behavior_of(obj)
    if raw is not None:
        path = _ADVANCED / "horizontalPodAutoscalerConfig" / "behavior"
        yield from validate_behavior(raw, path)


def behavior_of(obj: ScaledObject) -> dict[str, Any] | None:
    """Return the behavior block as written, None when there is none."""
    behavior = obj.hpa_config.behavior if obj.hpa_config else None
    return behavior.model_dump(by_alias=True, exclude_none=True) if behavior else None


def _check_job_triggers(obj: ScaledJob) -> Iterator[Problem]:
    for index, trigger in enumerate(obj.spec.triggers):
        if trigger.is_pod_resource:
            what = f"{trigger.type} measures the replicas of a scale target, which jobs are not"
            yield forbidden(_SPEC / "triggers" / index / "type", what)


def _check_job_words(obj: ScaledJob) -> Iterator[Problem]:
    spec = obj.spec
    least, most = spec.min_replica_count or 0, spec.max_replica_count
    if most is None:
        most = DEFAULT_MAX_REPLICAS
    if least > most:
        what = f"must be at most maxReplicaCount ({most})"
        yield invalid(_SPEC / "minReplicaCount", what, least)
    rollout = spec.rollout
    for path, word in (
        (_SPEC / "rolloutStrategy", spec.rollout_strategy),
        (_SPEC / "rollout" / "strategy", rollout.strategy if rollout else ""),
    ):
        if word and word not in _ROLLOUTS:
            yield not_supported(path, word, _ROLLOUTS)
    strategy = spec.scaling_strategy
    if strategy is None:
        return
    path = _SPEC / "scalingStrategy"
    if strategy.strategy and strategy.strategy not in _JOB_STRATEGIES:
        yield not_supported(path / "strategy", strategy.strategy, _JOB_STRATEGIES)
    calculation = strategy.multiple_scalers_calculation
    if calculation and calculation not in _JOB_CALCULATIONS:
        yield not_supported(path / "multipleScalersCalculation", calculation, _JOB_CALCULATIONS)
    share = strategy.custom_scaling_running_job_percentage
    where = path / "customScalingRunningJobPercentage"
    if share and math.isnan(parse_number(share)):
        yield invalid(where, 'must be a number such as "0.5"', share)
    elif not share and strategy.strategy == "custom":
        yield required(where, 'is required with strategy custom ("0" if running jobs do not count)')
