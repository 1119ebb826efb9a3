"""The service's Prometheus series."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.telemetry.metrics import MetricLabels, Metrics

LABELS = MetricLabels(
    namespace="shop", name="web", metric="s0-redis-jobs", scaler="redis", trigger_index=0
)
OBJECT = {"namespace": "shop", "name": "web"}
KEDA = {
    "namespace": "shop",
    "metric": "s0-redis-jobs",
    "scaledObject": "web",
    "scaler": "redis",
    "triggerIndex": "0",
    "type": "scaledobject",
}


def decide(metrics: Metrics, name: str = "web", at: float = 100.0) -> None:
    """Note a decision."""
    metrics.decided("shop", name, at=at, outcome="written", current=2, desired=5, is_active=True)


def sample(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    """Return a sample's value."""
    return metrics.registry.get_sample_value(series, labels)


def test_a_decision_is_counted_and_shown() -> None:
    """Counts, replicas and flags of an object follow its decisions."""
    metrics = Metrics()
    decide(metrics)
    assert sample(metrics, "flyball_decisions_total", **OBJECT, outcome="written") == 1
    assert sample(metrics, "flyball_current_replicas", **OBJECT) == 2
    assert sample(metrics, "flyball_desired_replicas", **OBJECT) == 5
    assert sample(metrics, "flyball_object_active", **OBJECT) == 1
    assert sample(metrics, "flyball_object_ready", **OBJECT) == 1
    assert sample(metrics, "flyball_object_paused", **OBJECT) == 0


def test_readings_are_counted_by_outcome() -> None:
    """Good readings set the value; failed ones count by reason and leave the value."""
    metrics = Metrics()
    metrics.read(LABELS, 42.5, is_active=True)
    metrics.reading_failed(LABELS, "MetricUnavailable")
    assert sample(metrics, "flyball_readings_total", scaler="redis", outcome="ok") == 1
    assert (
        sample(metrics, "flyball_readings_total", scaler="redis", outcome="MetricUnavailable") == 1
    )
    assert (
        sample(metrics, "flyball_metric_value", **OBJECT, metric="s0-redis-jobs", scaler="redis")
        == 42.5
    )


def test_existing_dashboards_find_their_series() -> None:
    """The mirrors carry KEDA's names and labels."""
    metrics = Metrics()
    metrics.read(LABELS, 42.5, is_active=True)
    metrics.reading_failed(LABELS, "MetricUnavailable")
    metrics.could_not_act("shop", "web", "ConfigError")
    assert sample(metrics, "keda_scaler_metrics_value", **KEDA) == 42.5
    assert sample(metrics, "keda_scaler_active", **KEDA) == 1
    assert sample(metrics, "keda_scaler_detail_errors_total", **KEDA) == 1
    assert (
        sample(metrics, "keda_scaled_object_errors_total", namespace="shop", scaledObject="web")
        == 1
    )


def test_the_mirrors_can_be_left_out() -> None:
    """Beside a real KEDA the mirrors would be counted twice, so they can be switched off."""
    metrics = Metrics(keda_names=False)
    metrics.read(LABELS, 1.0, is_active=True)
    metrics.reading_failed(LABELS, "X")
    metrics.could_not_act("shop", "web", "X")
    decide(metrics)
    assert b"keda_" not in metrics.expose()


def test_a_failed_reconcile_makes_the_object_unready() -> None:
    """Errors count by reason; the next decision makes the object ready again."""
    metrics = Metrics()
    metrics.could_not_act("shop", "web", "ConfigError")
    assert sample(metrics, "flyball_object_ready", **OBJECT) == 0
    assert sample(metrics, "flyball_object_errors_total", **OBJECT, reason="ConfigError") == 1
    decide(metrics)
    assert sample(metrics, "flyball_object_ready", **OBJECT) == 1


@pytest.mark.parametrize(("before", "after", "direction"), [(0, 5, "up"), (5, 0, "down")])
def test_writes_count_by_direction(before: int, after: int, direction: str) -> None:
    """Scaling out and in are told apart."""
    metrics = Metrics()
    metrics.scaled("shop", "web", before=before, after=after)
    labels = {**OBJECT, "direction": direction, "outcome": "ok"}
    assert sample(metrics, "flyball_scale_writes_total", **labels) == 1


def test_nothing_remains_of_a_deleted_object() -> None:
    """All series of an object go with it, those of others stay."""
    metrics = Metrics()
    for name in ("web", "api"):
        decide(metrics, name)
        metrics.scaled("shop", name, before=0, after=1)
        metrics.could_not_act("shop", name, "X")
        labels = MetricLabels(namespace="shop", name=name, metric="s0", scaler="cron")
        metrics.read(labels, 1.0, is_active=False)
        metrics.reading_failed(labels, "X")
    metrics.forget("shop", "web")
    metrics.forget("shop", "never seen")
    text = metrics.expose().decode()
    assert '"web"' not in text
    assert '"api"' in text


def test_an_object_may_come_back() -> None:
    """After being forgotten, an object of the same name starts its counts anew."""
    metrics = Metrics()
    decide(metrics)
    metrics.forget("shop", "web")
    decide(metrics)
    assert sample(metrics, "flyball_decisions_total", **OBJECT, outcome="written") == 1


def test_the_oldest_decision_proves_liveness() -> None:
    """The gauge shows the object that waits longest, and zero without objects."""
    metrics, now = Metrics(), [130.0]
    metrics.observe_decision_age(lambda: now[0])
    assert sample(metrics, "flyball_oldest_decision_age_seconds") == 0
    decide(metrics, "web", at=100.0)
    decide(metrics, "api", at=125.0)
    assert sample(metrics, "flyball_oldest_decision_age_seconds") == 30
    metrics.forget("shop", "web")
    assert sample(metrics, "flyball_oldest_decision_age_seconds") == 5


def test_sources_and_requests_are_timed() -> None:
    """Latencies come as histograms with bounded labels."""
    metrics = Metrics()
    metrics.fetched("redis", 0.02, 40)
    metrics.fetched("redis", 10.0, 40, "MetricUnavailable")
    metrics.kube_requested("PATCH", 409, 0.01)
    assert sample(metrics, "flyball_source_queries_total", scaler="redis") == 80
    count = "flyball_source_fetch_seconds_count"
    assert sample(metrics, count, scaler="redis", outcome="ok") == 1
    assert sample(metrics, count, scaler="redis", outcome="MetricUnavailable") == 1
    assert sample(metrics, "flyball_kube_request_seconds_count", verb="PATCH", code="409") == 1


def test_two_services_in_one_process_do_not_share_counts() -> None:
    """Each has a registry of its own unless one is given."""
    registry = CollectorRegistry()
    one, two = Metrics(), Metrics(registry)
    decide(one)
    assert two.registry is registry
    assert sample(two, "flyball_decisions_total", **OBJECT, outcome="written") is None


def test_the_exposition_is_valid_and_every_series_is_explained() -> None:
    """Prometheus can read the text, names carry our prefix, and each has a help text."""
    metrics = Metrics()
    metrics.observe_process()
    decide(metrics)
    families = list(text_string_to_metric_families(metrics.expose().decode()))
    assert all(family.documentation for family in families)
    prefixes = ("flyball_", "keda_", "process_", "python_")
    assert all(family.name.startswith(prefixes) for family in families)
