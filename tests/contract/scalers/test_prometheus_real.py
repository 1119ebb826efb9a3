"""The prometheus trigger against a real Prometheus."""

from __future__ import annotations

import time

import pytest

from autoscaler.errors import MetricError, MetricMalformed, MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import SourceContext, TriggerContext
from scalers.prometheus import PrometheusConfig, PrometheusScaler
from tests.servers import PrometheusServer

pytestmark = pytest.mark.real("prometheus")


async def read(server: PrometheusServer, query: str, **given: str) -> float | None:
    """Return the value a trigger reads; raises MetricError."""
    context = TriggerContext()
    metadata = {"serverAddress": server.url, "query": query, "threshold": "1", **given}
    scaler = PrometheusScaler.create(PrometheusConfig.parse(metadata, context=context), context)
    name = scaler.metric_specs()[0].name
    async with HttpClient() as http:
        clock = ManualClock(time.time())
        source = scaler.open_source(SourceContext(http=http, clock=clock))
        asked = scaler.query(name)
        answer = (await source.fetch([asked], clock.now()))[asked]
        if isinstance(answer, MetricError):
            raise answer
        return scaler.reading(name, answer, clock.now()).value


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("vector(7.5)", 7.5),
        ("scalar(vector(3))", 3.0),
        ("42", 42.0),
        ("sum(vector(1)) * 1e6", 1e6),
        ("-vector(2)", -2.0),
        ('label_replace(vector(1), "a", "b c+d&e", "", "")', 1.0),
    ],
)
async def test_a_real_answer_is_read(
    prometheus_server: PrometheusServer, query: str, value: float
) -> None:
    """Vectors of one and scalars arrive as the number the server computed."""
    assert await read(prometheus_server, query) == value


@pytest.mark.parametrize("query", ["absent_metric", "vector(0) / 0", "vector(1) / 0"])
async def test_no_data_and_no_number_are_errors(
    prometheus_server: PrometheusServer, query: str
) -> None:
    """Nothing, NaN and infinity hold replicas, unless they are declared to mean zero."""
    with pytest.raises(MetricMalformed):
        await read(prometheus_server, query)
    assert await read(prometheus_server, query, ignoreNullValues="true") == 0


async def test_several_series_and_ranges_are_errors(prometheus_server: PrometheusServer) -> None:
    """A vector of two and a matrix are refused whatever is ignored."""
    two = 'vector(1) or label_replace(vector(2), "a", "b", "", "")'
    for query, said in ((two, "2 series"), ("up[1m]", "matrix"), ('"text"', "string")):
        with pytest.raises(MetricMalformed, match=said):
            await read(prometheus_server, query, ignoreNullValues="true")


async def test_a_bad_query_brings_the_servers_explanation(
    prometheus_server: PrometheusServer,
) -> None:
    """The parser's message reaches the user."""
    with pytest.raises(MetricRejected, match=r"status 400: .*parse error"):
        await read(prometheus_server, "sum(")


async def test_a_restart_needs_nothing_from_us(prometheus_server: PrometheusServer) -> None:
    """While the server is down readings are errors, afterwards they are values again."""
    prometheus_server.stop()
    with pytest.raises(MetricUnavailable):
        await read(prometheus_server, "vector(1)")
    prometheus_server.start()
    assert await read(prometheus_server, "vector(1)") == 1.0
