"""Consumer-group lag against KEDA's, over several polls of one scaler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.errors import MetricError
from autoscaler.sdk.scaler import TriggerContext
from scalers.kafka import KafkaConfig, KafkaScaler, Partition
from tests.golden.replay import Case, Differs, NotCovered, Outcome, replays

POLL_SECONDS = 30.0


@replays("keda/kafka")
def lag(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Each poll's offsets give KEDA's value and activity, or an error where KEDA has one."""
    if case["scaler"] != "kafka":
        return NotCovered(f"trigger type {case['scaler']}")
    scaler = _scaler(case["config"])
    assert case["expect"]["build"]["ok"]
    (spec,) = scaler.metric_specs()
    (expected_spec,) = case["expect"]["metricSpecs"]
    assert (spec.name, str(spec.target_type)) == (
        expected_spec["metricName"],
        expected_spec["targetType"],
    )
    outcome: Outcome = None
    for number, (poll, expected) in enumerate(
        zip(case["polls"], case["expect"]["results"], strict=True)
    ):
        got = _read(scaler, _partitions(poll, case["config"]["triggerMetadata"]), number)
        if "error" in expected or "panic" in expected:
            assert got is None, f"poll {number}: {got}, KEDA fails: {expected}"
            continue
        milli = [one["milli"] for one in expected["values"]]
        if _committed_beyond_end(poll) and min(milli) < 0:
            outcome = Differs("kafka-negative-lag")
            milli = [max(0, one) for one in milli]
        want = (milli, expected["active"])
        assert got == want, f"poll {number}: {got}, KEDA: {want}"
    return outcome


def _committed_beyond_end(poll: Mapping[str, Any]) -> bool:
    return any(
        one["committed"] > one["latest"] for partitions in poll.values() for one in partitions
    )


def _scaler(config: Mapping[str, Any]) -> KafkaScaler:
    context = TriggerContext(
        trigger_index=config["triggerIndex"],
        metric_type=config.get("metricType"),
        is_metric_source=config.get("asMetricSource", False),
        safe_defaults=False,
    )
    parameters = KafkaConfig.parse(
        config["triggerMetadata"], config["authParams"], config["resolvedEnv"], context
    )
    return KafkaScaler.create(parameters, context)


def _partitions(poll: Mapping[str, Any], metadata: Mapping[str, str]) -> tuple[Partition, ...]:
    """Return what the source answers when the broker says this."""
    topic = metadata.get("topic")
    return tuple(
        Partition(
            topic=name,
            id=one["id"],
            committed=None if one.get("missingFromOffsetFetch") else one["committed"],
            end=None if one.get("missingFromListOffsets") else one["latest"],
        )
        for name, partitions in poll.items()
        if not topic or name == topic
        for one in partitions
    )


def _read(
    scaler: KafkaScaler, answer: tuple[Partition, ...], number: int
) -> tuple[list[int], bool | None] | None:
    """Return thousandths and activity of one poll, None when it is an error."""
    (spec,) = scaler.metric_specs()
    try:
        reading = scaler.reading(spec.name, answer, number * POLL_SECONDS)
    except MetricError:
        return None
    return list(reading.values_milli), reading.active
