"""Replay of single syncs on a controller without history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.api.hpa import hpa_policy
from autoscaler.core.combine import combine
from autoscaler.core.conditions import SELECTOR_REQUIRED
from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import (
    Condition,
    Decision,
    DecisionEvent,
    Memory,
    Observation,
    Policy,
    Proposal,
)
from autoscaler.core.quantity import to_milli
from autoscaler.core.rescale import events_after_failure
from tests.golden.hpa_observation import (
    api_reading,
    is_ready,
    pod_of,
    proposals_of,
    raw_metrics,
    settings_of,
)
from tests.golden.replay import Case, Outcome, replays

AT = 1_000_000.0


@replays(
    "hpa/metrics-external",
    "hpa/metrics-object",
    "hpa/metrics-pods",
    "hpa/metrics-resource",
    "hpa/metrics-multi",
    "hpa/metrics-guards",
)
def single_sync(case: Case, _document: Mapping[str, Any]) -> Outcome:
    """Proposals, merged result, scale, status, conditions and events equal the controller's."""
    policy = hpa_policy(case["hpa_spec"], settings_of(case["controller_config"]))
    seen = _observation(case, policy)
    if seen.selector_error is None:
        _check_proposals(case, policy, seen)
    memory = Memory(
        conditions=tuple(
            Condition(item["type"], item["status"], item["reason"], item.get("message", ""))
            for item in case.get("previous_status_conditions") or ()
        )
    )
    decision, memory = decide(policy, memory, seen)
    error = case.get("update_scale_error")
    events = decision.events
    if decision.is_rescale:
        memory = record_rescale(
            policy, memory, decision, AT, succeeded=error is None, error=error or ""
        )
        if error is not None:
            events = events_after_failure(decision, error)
    _check_sync(case["expected"]["reconcile"], seen, decision, memory, events)
    return None


def _observation(case: Case, policy: Policy) -> Observation:
    raws = raw_metrics(case["hpa_spec"])
    return Observation(
        at=AT,
        spec_replicas=case["scale_spec_replicas"],
        status_replicas=case["scale_status_replicas"],
        readings={
            metric.spec.name: api_reading(metric, raw, case, AT)
            for metric, raw in zip(policy.metrics, raws, strict=True)
        },
        ready_pods=sum(map(is_ready, case["pods"])),
        total_pods=len(case["pods"]),
        pods=tuple(pod_of(pod, AT) for pod in case["pods"]),
        scale_error=case.get("get_scale_error"),
        selector_error=_selector_error(case),
    )


def _selector_error(case: Case) -> tuple[str, str] | None:
    selector = case.get("scale_status_selector")
    if selector == "":
        return SELECTOR_REQUIRED, "the scale has no selector"
    if selector is not None and selector.endswith("("):
        return "InvalidSelector", f"selector {selector!r} does not parse"
    if case.get("another_hpa_registered_with_selector") and case["pods"]:
        return "AmbiguousSelector", "the pods belong to several autoscalers"
    return None


def _check_proposals(case: Case, policy: Policy, seen: Observation) -> None:
    expected = case["expected"]
    proposals = proposals_of(policy, seen)
    for proposal, wanted in zip(proposals, expected["per_metric"], strict=True):
        assert proposal.replicas == wanted["replica_proposal"], (proposal, wanted)
        if proposal.replicas is None:
            assert proposal.error_reason == wanted["scaling_active_reason_on_error"], proposal
            assert proposal.error
            continue
        assert proposal.description == wanted["description"], proposal
        if not wanted.get("reported_current_is_platform_dependent"):
            _check_reported(proposal, wanted["reported_current"])
    combined = combine(proposals, seen.spec_replicas)
    merged = expected["merged_metrics"]
    assert combined.replicas == merged["replicas"], combined
    assert bool(combined.failures) == ("error" in merged)
    if combined.replicas is None:
        assert combined.first_failure
        assert merged["scaling_active"] == f"False:{combined.first_failure.error_reason}"
    else:
        assert combined.chosen
        assert merged["scaling_active"] == "True:ValidMetricFound"
        assert merged["chosen_metric"] == combined.chosen.description


def _check_reported(proposal: Proposal, wanted: Mapping[str, Any]) -> None:
    amount = wanted.get("averageValue", wanted.get("value"))
    assert proposal.current_milli == to_milli(amount), (proposal, wanted)
    assert proposal.current_utilization == wanted.get("averageUtilization"), (proposal, wanted)


def _check_sync(
    wanted: Mapping[str, Any],
    seen: Observation,
    decision: Decision,
    memory: Memory,
    events: tuple[DecisionEvent, ...],
) -> None:
    rescaled = memory.last_scale_at is not None
    after = decision.desired_replicas if rescaled else decision.current_replicas
    assert after == wanted["scale_spec_replicas_after"], decision
    assert rescaled == wanted["rescaled"] == wanted["status_last_scale_time_set"]
    if seen.scale_error is None:
        assert decision.current_replicas == wanted["status_current_replicas"]
    assert (memory.desired_replicas or 0) == wanted["status_desired_replicas"], memory
    assert len(decision.proposals) == wanted["status_current_metrics_count"], decision.proposals
    have = [(item.type, item.status, item.reason) for item in memory.conditions]
    want = [(item["type"], item["status"], item["reason"]) for item in wanted["conditions"]]
    assert have == want, (have, want)
    for mine, recorded in zip(memory.conditions, wanted["conditions"], strict=True):
        assert bool(mine.message) == bool(recorded.get("message")), mine
    lines = [f"{event.type}/{event.reason}: {event.message}" for event in events]
    assert [_comparable(line) for line in lines] == [_comparable(e) for e in wanted["events"]]
    assert ("error" in wanted) == any(event.type == "Warning" for event in events), lines


def _comparable(event: str) -> str:
    """Return an event with its text where tools read the text, else only type and reason."""
    return event if "Rescale:" in event else event.split(":", maxsplit=1)[0]
