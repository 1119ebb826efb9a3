"""``metrics-api``: a number at an HTTP endpoint, or aggregated over a Service's endpoints."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
from typing_extensions import override

from autoscaler.sdk import (
    Answer,
    ClusterReader,
    Credentials,
    Document,
    DocumentFormat,
    HttpAuth,
    HttpClient,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricSpec,
    MetricUnavailable,
    Param,
    Problem,
    Reading,
    Seconds,
    Source,
    SourceContext,
    TriggerConfig,
    TriggerContext,
    check_target,
    external_metric,
    fetch_each,
    host_of_url,
    is_http_url,
    only_ok,
    reading_of,
    shorten,
)

ENDPOINT_CONCURRENCY: Final = 5
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_SERVICE_LABELS: Final = 2


class MetricsApiConfig(TriggerConfig):
    """Parameters of a metrics-api trigger."""

    url: Annotated[str, Param("url", endpoint="url", doc="Address to read.")]
    value_location: Annotated[
        str,
        Param(
            "valueLocation",
            doc="Where the number is: a gjson path (json), names joined by dots (yaml, xml), a "
            'series such as name{label="value"} (prometheus).',
        ),
    ]
    format: Annotated[DocumentFormat, Param("format", doc="What the endpoint answers.")] = "json"
    target_value: Annotated[float, Param("targetValue", doc="Target value.")] = 0.0
    activation_target_value: Annotated[
        float, Param("activationTargetValue", doc="Active above this value.")
    ] = 0.0
    unsafe_ssl: Annotated[bool, Param("unsafeSsl", doc="Accept any server certificate.")] = False
    timeout: Annotated[
        Seconds | None, Param("timeout", doc="For one request; 3s if not given or 0.")
    ] = None
    aggregate_endpoints: Annotated[
        bool,
        Param(
            "aggregateFromKubeServiceEndpoints",
            doc="Read every endpoint of the Service the address names; an endpoint that fails "
            "does not count, unless all do.",
        ),
    ] = False
    aggregation_type: Annotated[
        Literal["average", "sum", "max", "min"],
        Param("aggregationType", doc="How the endpoints' numbers become one."),
    ] = "average"
    auth: HttpAuth

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield a useless target and an unusable address."""
        yield from check_target("targetValue", self.target_value, context)
        if not is_http_url(self.url):
            yield "url", f'"{shorten(self.url, 80)}" is no http(s) address'
        elif self.aggregate_endpoints and _service_of(self.url) is None:
            yield "url", f'"{shorten(self.url, 80)}" must name a Service as <name>.<namespace>'


class MetricsApiQuery(msgspec.Struct, frozen=True):
    """What to read; several triggers may look for different numbers in the same answer."""

    url: str
    format: DocumentFormat
    timeout_seconds: float | None = None
    aggregate_endpoints: bool = False


class MetricsApiScaler:
    """One metrics-api trigger."""

    config_type: ClassVar[type[TriggerConfig]] = MetricsApiConfig
    tier: ClassVar[str] = "silver"
    description: ClassVar[str] = "A number at an HTTP endpoint"

    def __init__(self, config: MetricsApiConfig, context: TriggerContext) -> None:
        self._config = config
        self._metric = external_metric(
            context,
            f"metric-api-{config.value_location}",
            config.target_value,
            config.activation_target_value,
        )
        self._credentials = config.auth.credentials(unsafe_ssl=config.unsafe_ssl)

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> MetricsApiScaler:
        """Build the scaler."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._metric,)

    def source_key(self) -> Hashable:
        """Return server and credentials."""
        parts = urlsplit(self._config.url)
        return (parts.scheme, parts.netloc, self._credentials)

    def open_source(self, context: SourceContext) -> Source:
        """Build the source."""
        return MetricsApiSource(context.http, context.cluster, self._credentials)

    def query(self, metric_name: str) -> Hashable:
        """Return what to read."""
        del metric_name
        config = self._config
        return MetricsApiQuery(
            config.url, config.format, config.timeout or None, config.aggregate_endpoints
        )

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Find the number in each answer and aggregate."""
        numbers: list[float] = []
        failure: MetricError = MetricMalformed("no endpoint answered")
        for one in answer if isinstance(answer, tuple) else (MetricMalformed("no answer"),):
            try:
                if isinstance(one, MetricError):
                    raise one
                numbers.append(reading_of(metric_name, self._number(one), at).value or 0.0)
            except MetricError as error:
                failure = error
        if not numbers:
            raise failure
        return reading_of(metric_name, _AGGREGATE[self._config.aggregation_type](numbers), at)

    def _number(self, document: Any) -> float:
        if not isinstance(document, Document):
            raise MetricMalformed("no answer")
        return document.number(self._config.value_location)


_AGGREGATE: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "average": lambda numbers: sum(numbers) / len(numbers),
    "sum": sum,
    "max": max,
    "min": min,
}


class MetricsApiSource:
    """One server or Service, as one user."""

    def __init__(
        self, http: HttpClient, cluster: ClusterReader | None, credentials: Credentials
    ) -> None:
        self._http = http
        self._cluster = cluster
        self._credentials = credentials

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Read every address once; an answer is one document or error per endpoint."""
        del at
        return await fetch_each(queries, self._ask)

    async def close(self) -> None:
        """Do nothing; connections belong to the shared client."""

    async def _ask(self, query: Any) -> Answer:
        if not query.aggregate_endpoints:
            return (await self._read(query.url, query),)

        async def read(url: str) -> Answer:
            try:
                return await self._read(url, query)
            except MetricUnavailable as error:
                # Not reaching one endpoint says nothing about the others.
                raise MetricUnavailable(str(error)) from error

        urls = await self._endpoint_urls(query.url)
        answers = await fetch_each(urls, read, concurrency=ENDPOINT_CONCURRENCY)
        return tuple(answers[url] for url in urls)

    async def _read(self, url: str, query: MetricsApiQuery) -> Document:
        answer = await self._http.get(
            url,
            credentials=self._credentials,
            timeout_seconds=query.timeout_seconds,
            accepts=only_ok,
        )
        return Document(answer.body, query.format)

    async def _endpoint_urls(self, url: str) -> list[str]:
        """Return the address on each ready endpoint that serves the address's port."""
        service = _service_of(url)
        if self._cluster is None or service is None:
            raise MetricRejected("endpoints need a cluster, and there is none here")
        parts = urlsplit(url)
        name, namespace = service
        wanted = str(parts.port or _DEFAULT_PORTS[parts.scheme.lower()])
        endpoints = await self._cluster.service_endpoints(namespace, name)
        fitting = sorted({e for e in endpoints if e.rpartition(":")[2] == wanted})
        if not fitting:
            ports = sorted({endpoint.rpartition(":")[2] for endpoint in endpoints})
            raise MetricUnavailable(
                f"Service {namespace}/{name} has no ready endpoint on port {wanted}"
                + (f"; its ports: {', '.join(ports)}" if ports else "")
            )
        return [urlunsplit(parts._replace(netloc=endpoint)) for endpoint in fitting]


def _service_of(url: str) -> tuple[str, str] | None:
    """Return name and namespace of the Service in ``http://name.namespace.svc…``."""
    labels = host_of_url(url).lower().split(".")
    return (labels[0], labels[1]) if len(labels) >= _SERVICE_LABELS and all(labels[:2]) else None
