"""Replay of ``scaledobject-executor``: one pass of KEDA's 0-to-1 decision."""

from __future__ import annotations

from autoscaler.api.annotations import PAUSED, PAUSED_REPLICAS
from autoscaler.api.fields import parse_timestamp
from autoscaler.core.activation import Action, Activity, activate, write_failed_event
from autoscaler.core.model import MetricSpec
from tests.golden.keda_core_shapes import conditions_of, policy_of, refusals
from tests.golden.replay import Case, Differs, Outcome, replays

OWN_TYPES = ("Ready", "Active", "Fallback")


@replays("keda/scaledobject-executor")
def replay_executor(case: Case, document: Case) -> Outcome:
    """Compare replicas, last active time, conditions and events."""
    given, expected = case["input"], case["expect"]
    raw = given["scaledObject"]
    annotations = raw["metadata"].get("annotations") or {}
    status, at = raw["status"], parse_timestamp(given["now"])
    policy = policy_of(raw, [[MetricSpec(name="s0-cron", target_milli=1000)]], names=())
    active_at = status.get("lastActiveTime")
    current = given["currentReplicas"]
    verdict = activate(
        policy,
        Activity(
            is_active=given["isActive"],
            is_error=given["isError"],
            active_triggers=tuple(given["activeTriggers"]),
        ),
        at=at,
        current_replicas=current,
        last_active_at=parse_timestamp(active_at) if active_at else None,
        conditions=conditions_of(status["conditions"]),
    )
    wanted = [verdict.replicas] if verdict.action is Action.SCALE else []
    if PAUSED_REPLICAS in annotations and policy.pause.replicas is None:
        assert refusals(raw), "a paused count that is none must be reported"
        assert verdict.action is Action.HOLD
        return Differs("paused-replicas-invalid")
    if PAUSED in annotations and policy.pause.paused and policy.pause.replicas is None:
        assert verdict.action is Action.HOLD
        return Differs("paused-holds-in-the-decision")
    if given.get("scaleUpdateFails"):
        assert wanted, "there is no write that could fail"
        event = write_failed_event(policy, current, verdict.replicas)
        recorded = [text.split()[1] for text in expected["events"]]
        assert recorded == ([] if policy.pause.replicas is not None else [event.reason])
        return Differs("failed-write")
    if _falls_on_errors(case, policy.min_replicas, policy.idle_replicas):
        assert not wanted, f"replicas fall to {wanted} although a trigger fails"
        return Differs("errors-never-lower-replicas")
    assert wanted == expected["scaleUpdates"], f"{wanted} != {expected['scaleUpdates']}"
    _compare_status(verdict, expected)
    events = [f"{event.type} {event.reason} {event.message}" for event in verdict.events]
    assert events == expected["events"], f"{events} != {expected['events']}"
    return None


def _falls_on_errors(case: Case, minimum: int, idle: int | None) -> bool:
    """Say whether KEDA may go to zero or idle while a trigger fails: fallback to 0 replicas."""
    given = case["input"]
    raw = given["scaledObject"]
    fallback = raw["spec"].get("fallback")
    forced = "autoscaling.keda.sh/force-activation" in (raw["metadata"].get("annotations") or {})
    current = given["currentReplicas"]
    return (
        given["isError"]
        and not given["isActive"]
        and not forced
        and fallback is not None
        and fallback["replicas"] == 0
        and current > (idle or 0)
        and (idle is not None or minimum == 0)
    )


def _compare_status(verdict: object, expected: Case) -> None:
    known = {c.type: c for c in verdict.conditions}  # type: ignore[attr-defined]
    for condition in conditions_of(expected["status"]["conditions"]):
        if condition.type in OWN_TYPES:
            assert known[condition.type] == condition, f"{known[condition.type]} != {condition}"
    recorded = expected["status"].get("lastActiveTime")
    last_active_at = parse_timestamp(recorded) if recorded else None
    assert verdict.last_active_at == last_active_at, (  # type: ignore[attr-defined]
        f"last active at {verdict.last_active_at}, not {recorded}"  # type: ignore[attr-defined]
    )
