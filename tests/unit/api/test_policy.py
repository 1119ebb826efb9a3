"""From a ScaledObject to the policy the core decides with."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.api.parse import parse_object
from autoscaler.api.policy import TriggerMetrics, scaled_object_policy
from autoscaler.api.problems import InvalidObject
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.core.model import (
    Activation,
    Ewma,
    Fallback,
    FallbackBehavior,
    HpaSettings,
    Median,
    MetricSource,
    MetricSpec,
    Pause,
    Policy,
    TargetType,
)
from tests.unit.api.objects import CPU, FLYBALL, KEDA, REDIS, scaled_object

JOBS = MetricSpec(name="s0-redis-jobs", target_milli=5000)


def _metrics(*specs: MetricSpec) -> list[TriggerMetrics]:
    return [
        TriggerMetrics(index=index, name=f"t{index}", type="redis", specs=(spec,))
        for index, spec in enumerate(specs)
    ]


def _policy(
    spec: dict[str, Any] | None = None,
    triggers: list[TriggerMetrics] | None = None,
    *,
    api_version: str = FLYBALL,
    hpa: HpaSettings | None = None,
    **metadata: Any,
) -> Policy:
    obj = parse_object(scaled_object(spec, api_version=api_version, **metadata))
    assert isinstance(obj, ScaledObject)
    return scaled_object_policy(obj, triggers or _metrics(JOBS), hpa=hpa)


def test_messages_name_the_target_with_its_defaults() -> None:
    """What a reference leaves out is a Deployment of apps/v1, and is called so."""
    assert _policy().scale_target == "apps/v1.Deployment shop/worker"
    ref = {"name": "worker", "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    named = _policy({"scaleTargetRef": ref, "triggers": [REDIS]})
    assert named.scale_target == "argoproj.io/v1alpha1.Rollout shop/worker"


def test_the_plainest_object_has_kedas_defaults() -> None:
    """Bounds, cooldown and the rest are KEDA's documented defaults."""
    policy = _policy()
    assert policy.key == "shop/worker"
    assert (policy.min_replicas, policy.max_replicas, policy.idle_replicas) == (0, 100, None)
    assert (policy.cooldown_seconds, policy.initial_cooldown_seconds) == (300.0, 0.0)
    assert policy.behavior is None
    assert policy.fallback is None
    assert policy.modifiers is None
    assert policy.pause == Pause()
    assert not policy.force_activation
    assert not policy.shadow


def test_our_objects_go_straight_to_the_need() -> None:
    """Objects of flyball.dev are not held back on the way up, and rules govern the last step."""
    policy = _policy()
    assert policy.activation is Activation.DIRECT
    assert policy.zero_follows_behavior
    assert not policy.hpa.default_scale_up_limit
    assert policy.hpa.sync_period_seconds == 0.0


def test_adopted_objects_behave_as_under_keda() -> None:
    """Objects of keda.sh keep activation to the minimum, the sync period and the doubling limit."""
    policy = _policy(api_version=KEDA)
    assert policy.activation is Activation.MINIMUM
    assert not policy.zero_follows_behavior
    assert policy.hpa.default_scale_up_limit
    assert policy.hpa.sync_period_seconds == 15.0


def test_controller_wide_settings_are_kept() -> None:
    """Tolerance and windows come from the service's settings."""
    settings = HpaSettings(
        tolerance=0.2, downscale_stabilization_seconds=60, sync_period_seconds=30
    )
    assert _policy(hpa=settings).hpa.tolerance == 0.2
    assert _policy(hpa=settings, api_version=KEDA).hpa.sync_period_seconds == 30


def test_everything_written_reaches_the_policy() -> None:
    """Each field of the spec has its place."""
    policy = _policy(
        {
            "minReplicaCount": 2,
            "maxReplicaCount": 9,
            "idleReplicaCount": 0,
            "cooldownPeriod": 0,
            "initialCooldownPeriod": 45,
            "mode": "shadow",
            "fallback": {
                "failureThreshold": 3,
                "replicas": 4,
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}
                }
            },
        },
        creationTimestamp="2026-01-31T12:00:00Z",
    )
    assert (policy.min_replicas, policy.max_replicas, policy.idle_replicas) == (2, 9, 0)
    assert (policy.cooldown_seconds, policy.initial_cooldown_seconds) == (0.0, 45.0)
    assert policy.created_at == 1769860800.0
    assert policy.shadow
    assert policy.fallback == Fallback(
        failure_threshold=3, replicas=4, behavior=FallbackBehavior.CURRENT_REPLICAS_IF_HIGHER
    )
    assert policy.behavior is not None
    assert policy.behavior.scale_down.stabilization_window_seconds == 60


def test_an_empty_behavior_is_a_behavior() -> None:
    """Writing ``behavior: {}`` asks for the API server's default rules."""
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": {}}}
    assert _policy({"advanced": advanced}).behavior is not None
    assert _policy({"advanced": {"horizontalPodAutoscalerConfig": {}}}).behavior is None


def test_metrics_carry_what_their_trigger_says() -> None:
    """Freshness and smoothing belong to all metrics of a trigger."""
    triggers = [
        {**REDIS, "freshness": "90s", "smoothing": {"type": "ewma", "halfLifeSeconds": 30}},
        {**REDIS, "smoothing": {"type": "median", "samples": 3}},
    ]
    second = MetricSpec(name="s1-redis-jobs", target_milli=1)
    policy = _policy({"triggers": triggers}, _metrics(JOBS, second))
    first, other = policy.metrics
    assert (first.trigger, first.trigger_index, first.trigger_type) == ("t0", 0, "redis")
    assert (first.freshness_seconds, first.smoothing) == (90.0, Ewma(half_life_seconds=30.0))
    assert (other.freshness_seconds, other.smoothing) == (None, Median(samples=3))


def test_a_formula_is_compiled_with_the_names_it_may_use() -> None:
    """Targets become numbers and thousandths; cpu is no name of the formula."""
    triggers = [{**REDIS, "name": "a"}, {**CPU, "name": "b"}]
    modifiers = {
        "formula": "a * 2",
        "target": "2.5",
        "activationTarget": "1",
        "metricType": "Value",
    }
    resource = MetricSpec(
        name="s1-cpu",
        source=MetricSource.RESOURCE,
        target_type=TargetType.UTILIZATION,
        target_milli=60,
        resource="cpu",
    )
    unset = MetricSpec(name="s0-redis-jobs", target_milli=0)
    policy = _policy(
        {"triggers": triggers, "advanced": {"scalingModifiers": modifiers}},
        _metrics(unset, resource),
    )
    assert policy.modifiers is not None
    assert policy.modifiers.formula.evaluate({"a": 4.0}) == 8.0
    assert (policy.modifiers.target, policy.modifiers.target_milli) == (2.5, 2500)
    assert policy.modifiers.activation_target == 1.0
    assert policy.modifiers.metric_type is TargetType.VALUE


def test_annotations_pause_and_activate() -> None:
    """The annotations of the object end up in the policy."""
    annotations = {
        "autoscaling.keda.sh/paused-replicas": "3",
        "autoscaling.keda.sh/force-activation": "true",
    }
    policy = _policy(annotations=annotations)
    assert policy.pause == Pause(paused=True, replicas=3)
    assert policy.force_activation


def test_metrics_that_do_not_fit_together_are_reported_at_once() -> None:
    """Equal metric names and targets of nothing are problems of the triggers that bring them."""
    with pytest.raises(InvalidObject) as caught:
        _policy(
            {"triggers": [REDIS, REDIS, REDIS]},
            _metrics(JOBS, JOBS, MetricSpec(name="s2-other", target_milli=0)),
        )
    assert [str(problem) for problem in caught.value.problems] == [
        'spec.triggers[1]: metric "s0-redis-jobs" is already declared by spec.triggers[0]',
        "spec.triggers[2].metadata: the target of metric s2-other must be greater than 0, got 0.0",
    ]


def test_a_policy_is_never_made_of_an_invalid_object() -> None:
    """Rules are checked again for objects that were not parsed here."""
    good = parse_object(scaled_object())
    assert isinstance(good, ScaledObject)
    bad = good.model_copy(update={"spec": good.spec.model_copy(update={"min_replica_count": 500})})
    with pytest.raises(InvalidObject, match="minReplicaCount"):
        scaled_object_policy(bad, _metrics(JOBS))
