"""The series of ScaledJobs."""

from __future__ import annotations

from autoscaler.telemetry.job_metrics import SCALED_JOB, JobMetrics
from autoscaler.telemetry.metrics import MetricLabels, Metrics


def test_namesakes_keep_their_series_apart() -> None:
    """A ScaledJob's series go with it; those of a ScaledObject of the same name stay."""
    metrics = Metrics()
    jobs = JobMetrics(metrics)
    metrics.decided("shop", "mail", at=1.0, outcome="ok", current=1, desired=2, is_active=True)
    jobs.decided("shop", "mail", at=2.0, running=3, pending=1, is_active=True, is_paused=False)
    jobs.created("shop", "mail", 3)
    jobs.gone("shop", "mail", 1)
    jobs.not_created("shop", "mail", "Forbidden", 2)
    labels = MetricLabels(
        namespace="shop", name="mail", metric="s0-q", scaler="redis", kind=SCALED_JOB
    )
    jobs.read(labels, 7.0, is_active=True)
    jobs.reading_failed(labels, "MetricUnavailable")
    text = metrics.expose().decode()
    where = 'name="mail",namespace="shop"'
    for line in (
        f"flyball_jobs_running{{{where}}} 3.0",
        f"flyball_jobs_pending{{{where}}} 1.0",
        f"flyball_jobs_created_total{{{where}}} 3.0",
        f"flyball_jobs_deleted_total{{{where}}} 1.0",
        f'flyball_job_creation_failures_total{{{where},reason="Forbidden"}} 2.0',
        f"flyball_scaled_job_ready{{{where}}} 1.0",
    ):
        assert line in text
    assert 'type="scaledjob"' in text
    jobs.forget("shop", "mail")
    after = metrics.expose().decode()
    assert "flyball_jobs_running{" not in after
    assert 'type="scaledjob"' not in after
    assert f"flyball_desired_replicas{{{where}}} 2.0" in after


def test_an_object_that_cannot_work_is_not_ready() -> None:
    """The gauge and KEDA's counter say so; jobs that cannot be listed are not zero jobs."""
    metrics = Metrics()
    jobs = JobMetrics(metrics)
    jobs.could_not_act("shop", "mail")
    jobs.decided(
        "shop", "post", at=1.0, running=None, pending=None, is_active=False, is_paused=True
    )
    text = metrics.expose().decode()
    assert 'flyball_scaled_job_ready{name="mail",namespace="shop"} 0.0' in text
    assert 'keda_scaled_job_errors_total{namespace="shop",scaledJob="mail"} 1.0' in text
    assert 'flyball_scaled_job_paused{name="post",namespace="shop"} 1.0' in text
    assert "flyball_jobs_running{" not in text
