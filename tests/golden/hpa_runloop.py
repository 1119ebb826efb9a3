"""Replay of when the real run loop starts syncs, as far as a decision knows of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import (
    Activation,
    HpaSettings,
    Memory,
    MetricPolicy,
    MetricSpec,
    Observation,
    Policy,
    Reading,
)
from tests.golden.replay import Case, NotCovered, Outcome, replays

STEP_MS = 500


@replays("hpa/runloop-timing")
def sync_times(case: Case, _document: Mapping[str, Any]) -> Outcome:
    """Asked all the time, metrics are acted on exactly when the real loop starts a sync.

    The loop's first sync comes one period after the object; edits of the spec cause none.
    """
    if case["simulated_latency_of_each_sync_ms"]:
        return NotCovered("a decision takes no time; the period after a slow sync is the shell's")
    policy = _policy(case["sync_period_ms"] / 1000)
    created_ms = case["hpa_created_at_ms"]
    memory = Memory(last_sync_at=created_ms / 1000)
    replicas = 3
    starts, counts = [], []
    for now_ms in range(created_ms, case["observed_sync_starts_ms"][-1] + 1, STEP_MS):
        if now_ms in case["hpa_spec_edited_at_ms"]:
            policy = _policy(case["sync_period_ms"] / 1000)
        seen = _observation(now_ms / 1000, replicas)
        decision, memory = decide(policy, memory, seen)
        if not decision.proposals:
            due = next(at for at in case["observed_sync_starts_ms"] if at > now_ms)
            assert decision.requeue_after_seconds == (due - now_ms) / 1000, now_ms
            continue
        starts.append(now_ms)
        counts.append(replicas)
        if decision.is_rescale:
            memory = record_rescale(policy, memory, decision, seen.at, succeeded=True)
            replicas = decision.desired_replicas
    assert starts == case["observed_sync_starts_ms"], starts
    assert counts == case["observed_spec_replicas_at_sync_start"], counts
    return None


def _policy(sync_period_seconds: float) -> Policy:
    return Policy(
        min_replicas=1,
        metrics=(MetricPolicy(spec=MetricSpec(name="m0", target_milli=10_000)),),
        activation=Activation.HPA,
        hpa=HpaSettings(sync_period_seconds=sync_period_seconds),
    )


def _observation(at: float, replicas: int) -> Observation:
    return Observation(
        at=at,
        spec_replicas=replicas,
        status_replicas=replicas,
        readings={"m0": Reading.of("m0", 100.0, at)},
    )
