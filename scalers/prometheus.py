"""``prometheus``: the value of an instant query of Prometheus or a compatible server.

Exactly one series, or a scalar, is a value. No series, an empty sample, NaN and infinities are
either an error or zero, as ``ignoreNullValues`` says; by default an error for ``flyball.dev``
objects and, as in KEDA, zero for adopted ones. Whatever the server refuses is an error with the
server's own words.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote_plus

import msgspec
from pydantic import SecretStr
from typing_extensions import override

from autoscaler.sdk import (
    AUTH,
    ENV,
    METADATA,
    Answer,
    Credentials,
    HttpAuth,
    HttpClient,
    MetricError,
    MetricMalformed,
    MetricSpec,
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
    is_http_url,
    parse_number,
    reading_of,
    shorten,
)

_SHOWN_QUERY: Final = 120
_SAMPLE_LENGTH: Final = 2
_CLOUD: Final = "authentication by a cloud provider is not available; use authModes"


class PrometheusConfig(TriggerConfig):
    """Parameters of a prometheus trigger."""

    server_address: Annotated[
        str, Param("serverAddress", endpoint="url", doc="Address of the server.")
    ]
    query: Annotated[str, Param("query", doc="PromQL; must give one series or a scalar.")]
    threshold: Annotated[float, Param("threshold", doc="Target value.")]
    activation_threshold: Annotated[
        float, Param("activationThreshold", doc="Active above this value.")
    ] = 0.0
    namespace: Annotated[
        str, Param("namespace", doc="Namespace for servers that need one in the query string.")
    ] = ""
    query_parameters: Annotated[
        dict[str, str] | None, Param("queryParameters", doc="More of the query string.")
    ] = None
    custom_headers: Annotated[
        dict[str, str] | None, Param("customHeaders", doc="Headers of each request.")
    ] = None
    ignore_null_values: Annotated[
        bool | None,
        Param(
            "ignoreNullValues",
            doc="Take no data, NaN and infinity for 0; false (keda.sh objects: true) if not given.",
        ),
    ] = None
    unsafe_ssl: Annotated[bool, Param("unsafeSsl", doc="Accept any server certificate.")] = False
    timeout: Annotated[
        Seconds | None, Param("timeout", doc="For one request; 3s if not given or 0.")
    ] = None
    metric_name: Annotated[
        str,
        Param("metricName", deprecated="the metric is named by the trigger's position; ignored"),
    ] = ""
    aws_region: Annotated[str, Param("awsRegion", order=(METADATA, AUTH), removed=_CLOUD)] = ""
    google_credentials: Annotated[
        str, Param("GoogleApplicationCredentials", order=(AUTH,), removed=_CLOUD)
    ] = ""
    credentials: Annotated[str, Param("credentials", order=(ENV,), removed=_CLOUD)] = ""
    credentials_file: Annotated[str, Param("credentialsFromEnvFile", removed=_CLOUD)] = ""
    auth: HttpAuth

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield a useless target and an address without a scheme."""
        yield from check_target("threshold", self.threshold, context)
        if not is_http_url(self.server_address):
            yield "serverAddress", f'"{shorten(self.server_address, 80)}" is no http(s) address'


class PrometheusQuery(msgspec.Struct, frozen=True):
    """What to ask, and everything that makes the answer differ."""

    promql: str
    namespace: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, SecretStr], ...] = ()
    timeout_seconds: float | None = None


class PrometheusScaler:
    """One prometheus trigger."""

    config_type: ClassVar[type[TriggerConfig]] = PrometheusConfig
    tier: ClassVar[str] = "gold"
    description: ClassVar[str] = "Value of a PromQL query"

    def __init__(self, config: PrometheusConfig, context: TriggerContext) -> None:
        self._config = config
        self._metric = external_metric(
            context, "prometheus", config.threshold, config.activation_threshold
        )
        self._ignores_nulls = (
            not context.safe_defaults
            if config.ignore_null_values is None
            else config.ignore_null_values
        )
        self._credentials = config.auth.credentials(unsafe_ssl=config.unsafe_ssl)

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> PrometheusScaler:
        """Build the scaler."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._metric,)

    def source_key(self) -> Hashable:
        """Return server and credentials."""
        return (self._config.server_address, self._credentials)

    def open_source(self, context: SourceContext) -> Source:
        """Build the source."""
        return PrometheusSource(context.http, self._config.server_address, self._credentials)

    def query(self, metric_name: str) -> Hashable:
        """Return the query."""
        del metric_name
        config = self._config
        return PrometheusQuery(
            promql=config.query,
            namespace=config.namespace,
            parameters=tuple(sorted((config.query_parameters or {}).items())),
            headers=tuple(
                (name, SecretStr(value))
                for name, value in sorted((config.custom_headers or {}).items())
            ),
            timeout_seconds=config.timeout or None,
        )

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Turn the sample's text, or None for no data, into a reading."""
        value = math.nan if answer is None else parse_number(answer)
        if not math.isfinite(value):
            if not self._ignores_nulls:
                what = "no data" if answer is None else answer
                raise MetricMalformed(
                    f'query "{shorten(self._config.query, _SHOWN_QUERY)}" gives {what}; '
                    'set ignoreNullValues to "true" if that means 0'
                )
            value = 0.0
        return reading_of(metric_name, value, at)


class PrometheusSource:
    """One server, as one user."""

    def __init__(self, http: HttpClient, server_address: str, credentials: Credentials) -> None:
        self._http = http
        self._server_address = server_address
        self._credentials = credentials

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Ask every query for its value at the same instant."""
        instant = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

        async def ask(query: Any) -> Answer:
            return await self._ask(query, instant)

        return await fetch_each(queries, ask)

    async def close(self) -> None:
        """Do nothing; connections belong to the shared client."""

    async def _ask(self, query: PrometheusQuery, instant: str) -> str | None:
        fields = [("query", query.promql), ("time", instant)]
        if query.namespace:
            fields.append(("namespace", query.namespace))
        fields.extend(query.parameters)
        text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields)
        answer = await self._http.get(
            f"{self._server_address}/api/v1/query?{text}",
            headers={name: value.get_secret_value() for name, value in query.headers},
            credentials=self._credentials,
            timeout_seconds=query.timeout_seconds,
            explain=_reason,
        )
        try:
            return _sample(answer.body)
        except MetricMalformed as error:
            shown = shorten(query.promql, _SHOWN_QUERY)
            raise MetricMalformed(f'query "{shown}": {error}') from None


class _Data(msgspec.Struct):
    resultType: str = "vector"  # noqa: N815 - name on the wire
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    status: str = ""
    error: str = ""
    data: _Data | None = None


class _Series(msgspec.Struct):
    value: list[str | float | int | None] | None = None


def _sample(body: bytes) -> str | None:
    """Return the text of the only sample, None when there is no series or no sample."""
    try:
        answer = msgspec.json.decode(body, type=_Body)
        data = answer.data or _Data()
        if answer.status == "error":
            raise MetricMalformed(f"the server answers an error: {shorten(answer.error)}")
        match data.resultType:
            case "scalar":
                return _text(msgspec.json.decode(data.result, type=list[str | float | int | None]))
            case "vector":
                series = msgspec.json.decode(data.result, type=list[_Series])
            case other:
                raise MetricMalformed(f"gives a {shorten(other, 20)}, not an instant vector")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MetricMalformed(f"no Prometheus answer: {shorten(str(error))}") from None
    if len(series) > 1:
        raise MetricMalformed(f"gives {len(series)} series, not one; aggregate with sum() or max()")
    return _text(series[0].value) if series and series[0].value else None


def _text(sample: list[str | float | int | None]) -> str | None:
    if len(sample) < _SAMPLE_LENGTH:
        raise MetricMalformed("a sample without a value")
    value = sample[1]
    if value is None or isinstance(value, str):
        return value
    raise MetricMalformed("a sample whose value is no text")


def _reason(body: bytes) -> str:
    """Return Prometheus' own error text, or the body when it is something else."""
    try:
        return msgspec.json.decode(body, type=_Body).error or body.decode("utf-8", "replace")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "replace")
