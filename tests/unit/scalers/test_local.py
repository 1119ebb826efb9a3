"""What cron, kubernetes-workload, cpu and memory do beyond the scaler contract."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler.core.model import MetricSource, MetricSpec, TargetType
from autoscaler.errors import TriggerConfigError
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import NO_SOURCE, ClusterPod, Scaler, TriggerContext

REGISTRY = ScalerRegistry()


def build(kind: str, metadata: dict[str, str], metric_type: str | None = None) -> Scaler:
    """Build a trigger."""
    context = TriggerContext(namespace="shop", metric_type=metric_type)
    return REGISTRY.create(kind, metadata, {}, {}, context)


WINDOW = {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "4"}


@pytest.mark.parametrize(("hour", "value"), [(7, 0), (8, 4), (12, 4), (17, 4), (18, 0), (23, 0)])
def test_the_window_is_open_from_start_to_end(hour: int, value: int) -> None:
    """The replicas hold from the start, inclusive, to the end, exclusive."""
    scaler = build("cron", WINDOW)
    at = datetime(2026, 5, 5, hour, tzinfo=UTC).timestamp()
    reading = scaler.reading(scaler.metric_specs()[0].name, at, at)
    assert (reading.value, reading.active) == (value, value > 0)


def test_cron_reports_every_problem() -> None:
    """Bad expressions, an unknown zone and no replicas are told together."""
    bad = {"timezone": "Mars/Base", "start": "61 * * * *", "end": "@daily", "desiredReplicas": "1"}
    with pytest.raises(TriggerConfigError) as caught:
        build("cron", bad)
    assert [name for name, _ in caught.value.problems] == ["start", "end", "timezone"]


def test_workload_counts_pods_that_are_not_finished() -> None:
    """Succeeded and failed pods do not count; with groupByNode nodes are counted."""
    pods = [
        ClusterPod(name="a", phase="Running", node="n1"),
        ClusterPod(name="b", phase="Running", node="n1"),
        ClusterPod(name="c", phase="Pending"),
        ClusterPod(name="d", phase="Succeeded", node="n2"),
        ClusterPod(name="e", phase="Failed", node="n3"),
    ]
    metadata = {"podSelector": "app=x", "value": "2"}
    assert build("kubernetes-workload", metadata).reading("m", pods, 0.0).value == 3
    by_node = build("kubernetes-workload", metadata | {"groupByNode": "true"})
    assert by_node.reading("m", pods, 0.0).value == 1


@pytest.mark.parametrize(
    ("kind", "metadata", "metric_type", "spec"),
    [
        (
            "cpu",
            {"value": "60"},
            "Utilization",
            MetricSpec(
                name="s0-cpu",
                source=MetricSource.RESOURCE,
                target_type=TargetType.UTILIZATION,
                target_milli=60,
                resource="cpu",
            ),
        ),
        (
            "memory",
            {"value": "1Gi", "containerName": "app"},
            "AverageValue",
            MetricSpec(
                name="s0-memory-app",
                source=MetricSource.CONTAINER_RESOURCE,
                target_milli=1024**3 * 1000,
                resource="memory",
                container="app",
            ),
        ),
    ],
)
def test_resource_triggers_declare_the_pods_own_metric(
    kind: str, metadata: dict[str, str], metric_type: str, spec: MetricSpec
) -> None:
    """Cpu and memory name resource, container and target; the controller reads them."""
    scaler = build(kind, metadata, metric_type)
    assert scaler.metric_specs() == (spec,)
    assert scaler.source_key() == NO_SOURCE


@pytest.mark.parametrize(
    ("metadata", "metric_type", "parameter"),
    [
        ({"value": "60"}, None, "metricType"),
        ({"value": "60"}, "Value", "metricType"),
        ({"value": "60m"}, "Utilization", "value"),
        ({"value": "0"}, "Utilization", "value"),
        ({"value": "99999999999"}, "Utilization", "value"),
        ({"value": "-1"}, "AverageValue", "value"),
        ({"value": "lots"}, "AverageValue", "value"),
        ({"value": "60", "type": "Utilization"}, "Utilization", "type"),
        ({}, "Utilization", "value"),
    ],
)
def test_resource_triggers_name_what_is_wrong(
    metadata: dict[str, str], metric_type: str | None, parameter: str
) -> None:
    """A missing metric type, a value of another kind and the removed type are refused."""
    with pytest.raises(TriggerConfigError) as caught:
        build("cpu", metadata, metric_type)
    assert [name for name, _ in caught.value.problems] == [parameter]
