"""Replay of ``polling-state``: one pass over all triggers of a ScaledObject or ScaledJob."""

from __future__ import annotations

import math
from collections.abc import Mapping

from autoscaler.core.activation import activity
from autoscaler.core.fallback import FallbackOutcome, apply_fallback, track_health, wanted_replicas
from autoscaler.core.jobs import (
    JobMemory,
    JobObservation,
    JobPolicy,
    decide_jobs,
    job_bounds,
)
from autoscaler.core.model import Health, MetricSource, Policy, Reading, TargetType
from autoscaler.core.modifiers import COMPOSITE_METRIC, Composite, compose
from autoscaler.errors import FormulaError
from tests.golden.keda_core_scaledjob import strategy_of
from tests.golden.keda_core_shapes import (
    Raw,
    formula_names,
    good_reading,
    metric_spec,
    metrics_of,
    policy_of,
)
from tests.golden.replay import Case, Differs, Outcome, replays

READ_AT = 1_717_243_200.0
EARLIER_MS = round((READ_AT - 30) * 1000)


@replays("keda/polling-state")
def replay_polling(case: Case, document: Case) -> Outcome:
    """Compare activity, errors, health and what every metric is worth."""
    if case["area"] == "ScaledJob":
        return _replay_job(case)
    return _replay_object(case)


def _replay_object(case: Case) -> Outcome:
    given, expected = case["input"], case["expect"]
    raw = given["scaledObject"]
    triggers = raw["spec"]["triggers"]
    specs = [[metric_spec(spec) for spec in scaler["metricSpecs"]] for scaler in given["scalers"]]
    try:
        policy = policy_of(raw, specs, names=formula_names(triggers))
    except FormulaError:
        assert "validationError" in expected
        return None
    except ValueError:
        if "validationError" in expected:
            return None
        # Only an activation target that is no number: found out at the first poll there.
        assert expected["isError"]
        return Differs("activation-target-is-checked-before")
    readings = _readings(given)
    before = {
        name: Health(entry["numberOfFailures"], EARLIER_MS)
        for name, entry in (raw["status"].get("health") or {}).items()
    }
    health = track_health(policy, before, readings)
    outcome = apply_fallback(
        policy, health, readings, current_replicas=given["currentReplicas"], ready_pods=0
    )
    composite = compose(policy, outcome, at=READ_AT)
    work = activity(policy, outcome, composite)
    if policy.fallback and policy.modifiers and not policy.modifiers.target.is_integer():
        _assert_fractional_fallback(given, policy, before, health, composite)
        return Differs("fallback-fractional-target")
    assert work.is_error == expected["isError"], f"error: {work.is_error}"
    assert work.is_active == expected["isActive"], f"active: {work.is_active}"
    assert sorted(work.active_triggers) == (expected["activeTriggers"] or [])
    assert bool(outcome.active_metrics) == expected["fallbackActive"]
    if policy.fallback is not None:
        for name, entry in (expected.get("health") or {}).items():
            assert health[name].failures == entry["numberOfFailures"], f"health of {name}"
    return _compare_metrics(given, expected["adapterMetrics"], outcome, composite)


def _assert_fractional_fallback(
    given: Raw,
    policy: Policy,
    before: Mapping[str, Health],
    health: Mapping[str, Health],
    composite: Composite,
) -> None:
    """Assert that a fractional target counts failures and falls back as a whole one does."""
    fallback, modifiers = policy.fallback, policy.modifiers
    assert fallback is not None
    assert modifiers is not None
    failed = [
        spec for s in given["scalers"] if s["error"] for spec in map(metric_spec, s["metricSpecs"])
    ]
    over = False
    for spec in failed:
        if spec.source is MetricSource.EXTERNAL:
            count = before.get(spec.name, Health()).failures + 1
            assert health[spec.name].failures == count
            over |= count > fallback.failure_threshold
    reading = composite.readings[COMPOSITE_METRIC]
    if over and modifiers.metric_type is TargetType.AVERAGE_VALUE:
        replicas = wanted_replicas(fallback, given["currentReplicas"])
        assert reading.values_milli == (modifiers.target_milli * replicas,)
    else:
        external = [spec for spec in failed if spec.source is MetricSource.EXTERNAL]
        assert (reading.error is not None) == bool(external), "no ready pods, or below threshold"


def _readings(given: Raw) -> dict[str, Reading]:
    readings = {}
    for scaler in given["scalers"]:
        for spec in map(metric_spec, scaler["metricSpecs"]):
            if spec.source is not MetricSource.EXTERNAL:
                continue
            name = spec.name
            readings[name] = (
                Reading.failed(name, scaler["error"], READ_AT)
                if scaler["error"]
                else good_reading(name, scaler["values"][name], READ_AT, active=scaler["active"])
            )
    return readings


def _compare_metrics(
    given: Raw, recorded: Mapping[str, Raw], outcome: FallbackOutcome, composite: Composite
) -> Outcome:
    rule: Outcome = None
    for name, entry in recorded.items():
        reading = composite.readings.get(name)
        has_value = reading is not None and reading.error is None
        if name == COMPOSITE_METRIC and not _has_external(given):
            assert has_value, "a formula that needs no trigger has a value"
            rule = Differs("composite-without-external-triggers")
        elif "error" in entry:
            assert not has_value, f"{name} = {reading}, not an error"
        else:
            assert reading is not None, f"{name} is missing"
            assert reading.error is None, f"{name}: {reading.error}"
            value = entry["values"][0]["milli"]
            if reading.values_milli != (value,) and _has_ambiguous_trigger(given):
                assert name == COMPOSITE_METRIC
                assert outcome.composite is None
                rule = Differs("last-metric-of-a-trigger")
            else:
                assert reading.values_milli == (value,), f"{name}: {reading} != {value}"
    return rule


def _has_external(given: Raw) -> bool:
    return any("external" in spec for s in given["scalers"] for spec in s["metricSpecs"])


def _has_ambiguous_trigger(given: Raw) -> bool:
    """Say whether a named trigger has several metrics with different values."""
    triggers = given["scaledObject"]["spec"]["triggers"]
    return any(
        trigger.get("name") and len(set(scaler["values"].values())) > 1
        for trigger, scaler in zip(triggers, given["scalers"], strict=True)
    )


def _replay_job(case: Case) -> Outcome:
    given, expected = case["input"], case["expect"]
    raw = given["scaledJob"]
    spec = raw["spec"]
    minimum, most = job_bounds(spec.get("minReplicaCount"), spec.get("maxReplicaCount"))
    specs = [[metric_spec(spec) for spec in scaler["metricSpecs"]] for scaler in given["scalers"]]
    policy = JobPolicy(
        min_jobs=minimum,
        max_queue_jobs=most,
        metrics=metrics_of(spec["triggers"], specs),
        **strategy_of(spec.get("scalingStrategy") or {}),
    )
    seen = JobObservation(at=READ_AT, readings=_readings(given))
    decision, _ = decide_jobs(policy, JobMemory(), seen)
    ready = {condition.type: condition.status for condition in decision.conditions}["Ready"]
    assert (ready != "True") == expected["isError"], f"Ready is {ready}"
    assert decision.is_active == expected["isActive"], f"active: {decision.is_active}"
    assert sorted(decision.active_triggers) == (expected["activeTriggers"] or [])
    assert math.ceil(decision.load.queue_length) == expected["scaleTo"]
    assert math.ceil(decision.load.max_jobs) == expected["maxScale"]
    return None
