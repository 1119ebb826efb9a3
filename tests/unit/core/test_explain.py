"""Decisions in words, as a table and as JSON."""

from __future__ import annotations

import json

import pytest

from autoscaler.core.explain import Row, explain, explain_json, explain_table
from autoscaler.core.model import (
    Container,
    Decision,
    HpaSettings,
    MetricPolicy,
    MetricSource,
    MetricSpec,
    Pod,
    PodSample,
    Reading,
    TargetType,
)
from tests.unit.core.scene import Scene, metric, pods_per_minute, policy


def test_a_rescale_is_one_sentence() -> None:
    """What is done comes first, then every reason in order."""
    scene = Scene(policy(min_replicas=1, behavior=pods_per_minute(3)), 2)
    assert explain(scene.decide(68.0)) == (
        "scaling from 2 to 5: there is work; s0-redis-jobs asks for 7 (68 / 10 per replica); "
        "the scale-up policies allow 5 for now"
    )


def test_a_steady_target_says_what_its_metrics_ask_for() -> None:
    """Without any change there is still an answer."""
    assert explain(Scene(policy(), 7).decide(70.0)) == (
        "staying at 7: there is work; s0-redis-jobs asks for 7"
    )
    idle = Decision(at=0.0, current_replicas=0, desired_replicas=0)
    assert explain(idle) == "staying at 0: nothing asks for a change"


@pytest.mark.parametrize(
    ("replicas", "value", "sentence"),
    [
        (2, 1_000.0, "100 is more than the maximum of 20"),
        (30, 1.0, "30 replicas are more than the maximum of 20"),
        (1, 1.0, "1 replicas are fewer than the minimum of 2"),
    ],
)
def test_bounds_are_named(replicas: int, value: float, sentence: str) -> None:
    """The derivation shows which bound bit."""
    assert sentence in explain(Scene(policy(min_replicas=2), replicas).decide(value))


def test_limits_and_windows_are_named() -> None:
    """Each way of holding back has its own sentence."""
    doubling = Scene(policy(hpa=HpaSettings()), 3).decide(90.0)
    assert "one decision at most doubles the replicas, to 6" in explain(doubling)
    free = HpaSettings(downscale_stabilization_seconds=0.0)
    scene = Scene(policy(min_replicas=2, hpa=free), 9)
    scene.decide(90.0)
    assert "1 is fewer than the minimum of 2" in explain(scene.decide(5.0, after=1.0))
    scene = Scene(policy(min_replicas=1, behavior=pods_per_minute(3)), 9)
    scene.decide(90.0)
    text = explain(scene.decide(10.0, after=1.0))
    assert text.endswith("the scale-down policies allow 6 for now")
    held = Scene(policy(min_replicas=1, behavior=pods_per_minute(3, down_window=60)), 9)
    assert "the scale-down window still holds 9 for 60 s" in explain(held.decide(10.0))
    held = Scene(policy(min_replicas=1, behavior=pods_per_minute(3, up_window=60)), 2)
    assert "the scale-up window still holds 2 for 60 s" in explain(held.decide(90.0))


def test_failures_are_named() -> None:
    """A partial failure and an unreadable scale say what happened."""
    partial = Scene(policy(metrics=(metric(), metric("s1"))), 3).decide(None, 35.0)
    assert explain(partial).endswith(
        "1 of 2 metrics failed (s0-redis-jobs: connection refused); the others need no fewer "
        "replicas than there are; s1 asks for 4 (35 / 10 per replica)"
    )
    unreadable = Scene(policy(), 3).decide(1.0, scale_error="timeout")
    assert explain(unreadable) == "staying at 3: the scale cannot be read: timeout"


def _pod_metric(target_type: TargetType, target: int) -> MetricPolicy:
    spec = MetricSpec(
        name="cpu",
        source=MetricSource.RESOURCE,
        resource="cpu",
        target_type=target_type,
        target_milli=target,
    )
    return MetricPolicy(spec=spec)


def _usage(own: MetricPolicy) -> Decision:
    scene = Scene(policy(min_replicas=1, metrics=(own,)), 1)
    app = Container(name="app", requests_milli={"cpu": 500})
    pod = Pod(
        name="p", ready_changed_at=scene.at - 900, started_at=scene.at - 1000, containers=(app,)
    )
    sample = PodSample(pod="p", value_milli=750, sampled_at=scene.at)
    reading = Reading(metric="cpu", sampled_at=scene.at, samples=(sample,))
    return scene.decide(None, pods=(pod,), readings={"cpu": reading})


def test_each_kind_of_target_has_its_words() -> None:
    """The numbers behind a proposal are shown in the metric's own terms."""
    assert "cpu asks for 3 (150 % of what the pods request against 60 %)" in explain(
        _usage(_pod_metric(TargetType.UTILIZATION, 60))
    )
    assert "cpu asks for 3 (0.75 on average against 0.25)" in explain(
        _usage(_pod_metric(TargetType.AVERAGE_VALUE, 250))
    )
    spec = MetricSpec(name="lag", target_type=TargetType.VALUE, target_milli=1500)
    value = Scene(policy(metrics=(MetricPolicy(spec=spec),)), 2).decide(6.0)
    assert "lag asks for 8 (6 against a target of 1.5)" in explain(value)


def test_the_table_has_a_row_per_metric_and_stage() -> None:
    """Empty cells say that nothing was changed there."""
    scene = Scene(policy(metrics=(metric(), metric("s1"))), 2)
    rows = explain_table(scene.decide(35.0, None))
    assert rows[0] == Row("metric", "", "4", "s0-redis-jobs asks for 4")
    assert rows[1] == Row("metric", "", "", "s1 failed: connection refused")
    assert Row("combine", "2", "4", "s0-redis-jobs asks for 4 (35 / 10 per replica)") in rows
    assert rows[-1] == Row("decision", "2", "4", "scaling from 2 to 4")


def test_json_holds_plain_values() -> None:
    """Whatever the decision, it encodes, and the sentences are rendered."""
    given = explain_json(Scene(policy(), 2).decide(68.0))
    again = json.loads(json.dumps(given))
    assert again == given
    assert (given["currentReplicas"], given["desiredReplicas"]) == (2, 7)
    assert given["steps"][-1]["text"] == "s0-redis-jobs asks for 7 (68 / 10 per replica)"
    assert given["summary"].startswith("scaling from 2 to 7: ")
