"""Replay of ``fallback``: what one failed or good read makes of one metric."""

from __future__ import annotations

from msgspec.structs import replace

from autoscaler.core.fallback import apply_fallback, track_health
from autoscaler.core.model import Fallback, Health, MetricPolicy, Modifiers, Policy, Reading
from autoscaler.core.modifiers import COMPOSITE_METRIC, compose
from autoscaler.errors import FormulaError
from tests.golden.keda_core_shapes import (
    Raw,
    fallback_of,
    good_reading,
    metric_spec,
    milli,
    modifiers_of,
)
from tests.golden.replay import Case, Differs, Outcome, replays

NAMES = ("a", "b")
"""The formula of these objects is ``a+b``; their triggers have no names."""
OTHER = "s1-other"
READ_AT = 1_717_243_200.0
EARLIER_MS = round((READ_AT - 30) * 1000)


@replays("keda/fallback")
def replay_fallback(case: Case, document: Case) -> Outcome:
    """Compare stand-in values, health and the Fallback condition."""
    given, expected = case["input"], case["expect"]
    spec, status = given["scaledObject"]["spec"], given["scaledObject"]["status"]
    written = (spec.get("advanced") or {}).get("scalingModifiers")
    fallback = fallback_of(spec.get("fallback"))
    try:
        modifiers = modifiers_of(written, NAMES)
    except (FormulaError, ValueError):
        # Admission refuses such modifiers in KEDA as well; its fallback then does nothing.
        modifiers, fallback = None, None
    policy = _policy(given, fallback, modifiers)
    health = _health(status.get("health") or {})
    readings = {"s0-m": _reading(given), OTHER: good_reading(OTHER, "0", READ_AT)}
    tracked = track_health(policy, health, {"s0-m": readings["s0-m"]})
    outcome = apply_fallback(
        policy,
        tracked,
        readings,
        current_replicas=given["currentReplicas"],
        ready_pods=given["readyPods"],
    )
    composite = outcome.composite is not None
    served = outcome.composite or outcome.readings["s0-m"]
    if fallback is not None and modifiers is not None and not float(modifiers.target).is_integer():
        _assert_stands_in(given, fallback, modifiers, tracked, served)
        return Differs("fallback-fractional-target")
    if fallback is not None:
        recorded = expected["health"]["s0-m"]["numberOfFailures"]
        assert tracked["s0-m"].failures == recorded
        assert compose(policy, outcome, at=READ_AT).is_active is not None or modifiers is None
    is_active = "s0-m" in outcome.active_metrics
    assert is_active == expected["fallbackActive"], f"in fallback: {is_active}"
    assert (served.error is not None) == ("error" in expected), f"served {served}"
    if served.error is None:
        (metric,) = expected["metrics"]
        name = COMPOSITE_METRIC if composite else served.metric
        assert (name, served.values_milli) == (metric["metricName"], (metric["milli"],))
    return _compare_condition(given, expected, fallback, outcome.condition, tracked)


def _policy(given: Raw, fallback: Fallback | None, modifiers: Modifiers | None) -> Policy:
    spec = metric_spec(given["metricSpec"])
    other = replace(spec, name=OTHER)
    metrics = (
        MetricPolicy(spec=spec, trigger="a", trigger_type="cron"),
        MetricPolicy(spec=other, trigger="b", trigger_type="cron", trigger_index=1),
    )
    return Policy(metrics=metrics, fallback=fallback, modifiers=modifiers)


def _health(raw: Raw) -> dict[str, Health]:
    """Return the counts; those of the other metric only count while it is failing."""
    return {
        name: Health(
            entry["numberOfFailures"] if name == "s0-m" or entry["status"] == "Failing" else 0,
            EARLIER_MS,
        )
        for name, entry in raw.items()
    }


def _reading(given: Raw) -> Reading:
    if given["scalerError"]:
        return Reading.failed("s0-m", given["scalerError"], READ_AT)
    (value,) = given["values"]
    return good_reading("s0-m", value, READ_AT)


def _assert_stands_in(
    given: Raw,
    fallback: Fallback,
    modifiers: Modifiers,
    tracked: object,
    served: Reading,
) -> None:
    """Assert that a fractional target falls back as a whole one does."""
    failures = tracked["s0-m"].failures  # type: ignore[index]
    if given["scalerError"] and failures > fallback.failure_threshold:
        current = given["currentReplicas"]
        replicas = {
            "static": fallback.replicas,
            "currentReplicas": current,
            "currentReplicasIfHigher": max(current, fallback.replicas),
            "currentReplicasIfLower": min(current, fallback.replicas),
        }[fallback.behavior]
        wanted = milli(str(modifiers.target)) * replicas
        if modifiers.metric_type == "Value":
            if not given["readyPods"]:
                assert served.error is not None
                return
            wanted //= given["readyPods"]
        assert served.values_milli == (wanted,)
    else:
        assert (served.error is not None) == bool(given["scalerError"])


def _compare_condition(
    given: Raw, expected: Raw, fallback: Fallback | None, condition: object, tracked: object
) -> Outcome:
    recorded = expected["fallbackCondition"]
    if fallback is None:
        assert condition is None
        assert recorded["status"] == "Unknown", "KEDA left the condition alone too"
        return None
    failing = [count.failures for count in tracked.values()]  # type: ignore[attr-defined]
    now = any(count > fallback.failure_threshold for count in failing)
    before = (given["scaledObject"]["status"].get("health") or {}).values()
    then = any(
        entry["status"] == "Failing" and entry["numberOfFailures"] > fallback.failure_threshold
        for entry in before
    )
    assert recorded["status"] == str(then), "KEDA goes by the counts before this read"
    assert condition.status == str(now)  # type: ignore[attr-defined]
    if now != then:
        return Differs("fallback-condition-is-current")
    seen = (condition.reason, condition.message)  # type: ignore[attr-defined]
    assert seen == (recorded["reason"], recorded["message"])
    return None
