"""Resource usage of pods."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.errors import (
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
)
from autoscaler.kube.pod_metrics import PodMetrics, read_pod_metrics, resource_samples
from tests.doubles.scripted_api import Answer, refusal, reply
from tests.unit.kube.conftest import Connected


def usage(**containers: dict[str, int]) -> PodMetrics:
    """Return the usage of a pod by container."""
    return PodMetrics(pod="web-1", usage_milli=containers, sampled_at=100.0, window_seconds=15.0)


@pytest.mark.looptime
async def test_usage_is_read_with_time_and_window(connected: Connected) -> None:
    """Amounts come in thousandths, nanocores rounded up, with the end and length of the window."""
    answer: dict[str, Any] = {
        "items": [
            {
                "metadata": {"name": "web-1"},
                "timestamp": "2026-11-01T10:00:00Z",
                "window": "1m0.5s",
                "containers": [
                    {"name": "main", "usage": {"cpu": "1500001n", "memory": "64Mi", "odd": "?"}},
                    {"name": "side", "usage": {"cpu": "20m"}},
                ],
            }
        ]
    }
    async with connected(reply(answer)) as (api, client):
        found = await read_pod_metrics(client, "shop", "app=web")
    assert found == (
        PodMetrics(
            pod="web-1",
            usage_milli={"main": {"cpu": 2, "memory": 64 * 2**20 * 1000}, "side": {"cpu": 20}},
            sampled_at=1_793_527_200.0,
            window_seconds=60.5,
        ),
    )
    assert api.asked == ["GET /apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"]
    assert api.requests[0].query == {"labelSelector": "app=web"}


@pytest.mark.looptime
@pytest.mark.parametrize("window", ["", "soon", "10", "-5s"])
async def test_an_unreadable_window_counts_as_a_minute(connected: Connected, window: str) -> None:
    """A metrics server that does not tell its window does not cost the sample."""
    answer = {"items": [{"metadata": {"name": "a"}, "window": window}]}
    async with connected(reply(answer)) as (_, client):
        found = await read_pod_metrics(client, "shop", "")
    assert found[0].window_seconds == 60.0


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(404, "NotFound", "no metrics server"), MetricRejected),
        (refusal(403, "Forbidden"), MetricRejected),
        (refusal(503, "ServiceUnavailable"), MetricUnavailable),
        (refusal(429, "TooManyRequests"), MetricUnavailable),
        (Answer([b"<html>"]), MetricMalformed),
        (Answer([b"{}"]), MetricMalformed),
    ],
)
async def test_whatever_fails_is_a_metric_error(
    connected: Connected, answer: Answer, expected: type[MetricError]
) -> None:
    """Nothing that went wrong passes for an empty list of pods."""
    async with connected(answer) as (_, client):
        with pytest.raises(expected):
            await read_pod_metrics(client, "shop", "app=web")


def test_a_pod_sample_is_the_sum_of_its_containers() -> None:
    """Containers are added up; time and window go with the sample."""
    (sample,) = resource_samples([usage(main={"cpu": 200}, side={"cpu": 50})], "cpu")
    assert (sample.pod, sample.value_milli) == ("web-1", 250)
    assert (sample.sampled_at, sample.window_seconds) == (100.0, 15.0)


def test_a_container_without_the_resource_means_no_sample() -> None:
    """Half a sum would be a wrong number, so there is none."""
    assert resource_samples([usage(main={"cpu": 200}, side={"memory": 5})], "cpu") == ()


def test_a_pod_without_containers_means_no_sample() -> None:
    """An empty entry is not zero usage."""
    assert resource_samples([usage()], "cpu") == ()


def test_one_container_counts_alone() -> None:
    """ContainerResource takes the named container; without it there is no sample."""
    metrics = [usage(main={"cpu": 200}, side={"memory": 5})]
    assert [s.value_milli for s in resource_samples(metrics, "cpu", "main")] == [200]
    assert resource_samples(metrics, "cpu", "side") == ()
    assert resource_samples(metrics, "cpu", "absent") == ()
