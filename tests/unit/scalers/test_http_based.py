"""What prometheus and metrics-api do beyond the scaler contract."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from autoscaler.errors import MetricError, MetricMalformed, MetricRejected, TriggerConfigError
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import ClusterPod, Scaler, SourceContext, TriggerContext

AT = 1_700_000_000.0
REGISTRY = ScalerRegistry()


class Server:
    """Answers every path with what is set for it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str]] = {}

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.raw_path)
        query = request.query.get("query") or request.path
        status, text = self.answers.get(query, (404, "nothing here"))
        return web.Response(status=status, text=text)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Provide a server on a free loopback port."""
    it = Server()
    runner = web.ServerRunner(web.Server(it.handle), shutdown_timeout=0.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield it
    await runner.cleanup()


class Endpoints:
    """A cluster whose Services have the given endpoints."""

    def __init__(self, *endpoints: str) -> None:
        self._endpoints = endpoints

    async def list_pods(self, namespace: str, selector: str) -> Sequence[ClusterPod]:
        return ()

    async def service_endpoints(self, namespace: str, service: str) -> Sequence[str]:
        assert (namespace, service) == ("shop", "stats")
        return self._endpoints


def prometheus(server: Server, query: str = "up", *, safe: bool = True, **more: str) -> Scaler:
    """Build a prometheus trigger on the server."""
    metadata = {"serverAddress": server.url, "query": query, "threshold": "5", **more}
    return REGISTRY.create("prometheus", metadata, {}, {}, TriggerContext(safe_defaults=safe))


def vector(*values: object) -> tuple[int, str]:
    """Return a successful answer with one series per value."""
    result = [{"metric": {"n": str(i)}, "value": [AT, v]} for i, v in enumerate(values)]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return 200, json.dumps(body)


@asynccontextmanager
async def context(cluster: Endpoints | None = None) -> AsyncIterator[SourceContext]:
    """Provide what a source needs."""
    async with HttpClient() as http:
        yield SourceContext(http=http, clock=ManualClock(AT), cluster=cluster)


async def read(scaler: Scaler, given: SourceContext) -> float | None:
    """Read the scaler's one metric; raises MetricError."""
    name = scaler.metric_specs()[0].name
    query = scaler.query(name)
    source = scaler.open_source(given)
    answers: Mapping[Hashable, Any] = await source.fetch([query], AT)
    if isinstance(answers[query], MetricError):
        raise answers[query]
    return scaler.reading(name, answers[query], AT).value


async def test_identical_queries_of_many_triggers_are_one_request(server: Server) -> None:
    """Fifty triggers with three queries between them cost three requests, at one instant."""
    server.answers = {f"q{n}": vector(str(n)) for n in range(3)}
    scalers = [prometheus(server, f"q{n % 3}") for n in range(50)]
    assert len({scaler.source_key() for scaler in scalers}) == 1
    queries = list({scaler.query("s0-prometheus") for scaler in scalers})
    async with context() as given:
        answers = await scalers[0].open_source(given).fetch(queries, AT)
    assert len(server.asked) == 3
    assert all("time=2023-11-14T22%3A13%3A20Z" in path for path in server.asked)
    values = [s.reading("s0-prometheus", answers[s.query("")], AT).value for s in scalers]
    assert values == [float(n % 3) for n in range(50)]


@pytest.mark.parametrize("text", ["1e400", " 7", "seven", "", "0x10", "1,5"])
async def test_text_that_is_no_number_is_an_error_even_if_nulls_are_ignored(
    server: Server, text: str
) -> None:
    """Ignoring missing data does not turn garbage into zero."""
    server.answers["up"] = vector(text)
    async with context() as given:
        with pytest.raises(MetricMalformed, match=r"number"):
            await read(prometheus(server, ignoreNullValues="true"), given)


@pytest.mark.parametrize("value", [(), ("NaN",), ("+Inf",), (None,)])
async def test_no_data_is_an_error_unless_it_may_be_ignored(
    server: Server, value: tuple[object, ...]
) -> None:
    """Our own objects hold on missing data; KEDA's objects and ignoreNullValues get zero."""
    server.answers["up"] = vector(*value)
    async with context() as given:
        with pytest.raises(MetricMalformed, match="ignoreNullValues"):
            await read(prometheus(server), given)
        assert await read(prometheus(server, safe=False), given) == 0
        assert await read(prometheus(server, ignoreNullValues="true"), given) == 0
        with pytest.raises(MetricMalformed):
            await read(prometheus(server, safe=False, ignoreNullValues="false"), given)


async def test_several_series_are_an_error_with_advice(server: Server) -> None:
    """A query that gives more than one series is refused, saying what to do."""
    server.answers["up"] = vector("1", "2")
    async with context() as given:
        with pytest.raises(MetricMalformed, match=r'query "up": gives 2 series.*sum\(\)'):
            await read(prometheus(server), given)


async def test_the_servers_own_words_are_shown(server: Server) -> None:
    """A refused query is an error with Prometheus' explanation, shortened."""
    said = {"status": "error", "errorType": "bad_data", "error": "parse error: " + "x" * 500}
    server.answers["up"] = (400, json.dumps(said))
    async with context() as given:
        with pytest.raises(MetricRejected, match="status 400: parse error: xxx") as caught:
            await read(prometheus(server), given)
    assert len(str(caught.value)) < 400


async def test_a_scalar_is_a_value(server: Server) -> None:
    """A scalar result counts like a vector of one."""
    body = {"status": "success", "data": {"resultType": "scalar", "result": [AT, "4"]}}
    server.answers["up"] = (200, json.dumps(body))
    async with context() as given:
        assert await read(prometheus(server), given) == 4


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        '{"status": "success"}',
        '{"status": "success", "data": {"resultType": "matrix", "result": []}}',
        '{"status": "error", "error": "no", "data": {"result": []}}',
        '{"status": "success", "data": {"result": [{"value": [1, 5]}]}}',
        '{"status": "success", "data": {"result": [{"value": ["1"]}]}}',
        '{"status": "success", "data": {"result": null}}',
    ],
)
async def test_an_answer_of_another_shape_is_an_error_even_if_nulls_are_ignored(
    server: Server, body: str
) -> None:
    """Only an empty vector is "no data"; whatever is no Prometheus answer is malformed."""
    server.answers["up"] = (200, body)
    async with context() as given:
        with pytest.raises(MetricMalformed):
            await read(prometheus(server, ignoreNullValues="true"), given)


@pytest.mark.parametrize("name", ["awsRegion", "credentialsFromEnvFile"])
async def test_cloud_credentials_are_refused_by_name(server: Server, name: str) -> None:
    """What we cannot log in with is said when the trigger is applied, not ignored."""
    with pytest.raises(TriggerConfigError, match="cloud provider"):
        prometheus(server, **{name: "x"})


def metrics_api(url: str, location: str = "n", **more: str) -> Scaler:
    """Build a metrics-api trigger."""
    metadata = {"url": url, "valueLocation": location, "targetValue": "5", **more}
    return REGISTRY.create("metrics-api", metadata, {}, {}, TriggerContext())


async def test_triggers_that_look_into_one_answer_share_the_request(server: Server) -> None:
    """Two locations in one document are one query."""
    one, two = metrics_api(f"{server.url}/a", "n"), metrics_api(f"{server.url}/a", "m")
    assert one.source_key() == two.source_key()
    assert one.query("") == two.query("")
    assert metrics_api(f"{server.url}/b").query("") != one.query("")


@pytest.mark.parametrize(
    ("kind", "value"), [("average", 3.0), ("sum", 3.0), ("max", 3.0), ("min", 3.0)]
)
async def test_endpoints_on_the_port_are_aggregated(
    server: Server, kind: str, value: float
) -> None:
    """Endpoints of other ports are left alone; one that fails does not count."""
    server.answers["/n"] = (200, '{"n": 3}')
    port = server.url.rpartition(":")[2]
    cluster = Endpoints(f"127.0.0.1:{port}", "127.0.0.1:1", "127.0.0.2:1")
    scaler = metrics_api(
        f"http://stats.shop.svc:{port}/n",
        aggregateFromKubeServiceEndpoints="true",
        aggregationType=kind,
    )
    async with context(cluster) as given:
        assert await read(scaler, given) == value
    assert server.asked == ["/n"]


async def test_no_endpoint_on_the_port_is_an_error_that_names_the_ports() -> None:
    """A Service without a fitting endpoint is unavailable."""
    scaler = metrics_api("http://stats.shop:80/n", aggregateFromKubeServiceEndpoints="true")
    async with context(Endpoints("10.0.0.1:8080")) as given:
        with pytest.raises(MetricError, match=r"no ready endpoint on port 80; its ports: 8080"):
            await read(scaler, given)


async def test_all_endpoints_failing_is_an_error(server: Server) -> None:
    """With nothing to aggregate the last failure is the error."""
    port = server.url.rpartition(":")[2]
    scaler = metrics_api(f"http://stats.shop:{port}/gone", aggregateFromKubeServiceEndpoints="true")
    async with context(Endpoints(f"127.0.0.1:{port}")) as given:
        with pytest.raises(MetricRejected, match="status 404"):
            await read(scaler, given)


async def test_endpoints_need_a_cluster() -> None:
    """Outside a cluster the trigger says so."""
    scaler = metrics_api("http://stats.shop:80/n", aggregateFromKubeServiceEndpoints="true")
    async with context() as given:
        with pytest.raises(MetricRejected, match="cluster"):
            await read(scaler, given)


def test_aggregation_needs_an_address_that_names_a_service() -> None:
    """An address without namespace cannot be resolved to endpoints."""
    with pytest.raises(TriggerConfigError, match="must name a Service"):
        metrics_api("http://stats/n", aggregateFromKubeServiceEndpoints="true")
