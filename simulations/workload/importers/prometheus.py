"""Range queries over days of a Prometheus (or anything that speaks its API); extra ``backtest``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit, urlunsplit

import msgspec
import numpy as np

from autoscaler.errors import shorten
from simulations.errors import SimulationError
from simulations.workload.trace import STEPS_MAX, Floats, Trace, Unit

POINTS_PER_QUERY: Final = 10_000
"""Below the 11,000 points Prometheus allows per series and query."""

TIMEOUT_SECONDS: Final = 60
RETRIES: Final = 3
RETRY_BACKOFF_SECONDS: Final = 0.5
"""Doubled with every further try; a ``Retry-After`` is obeyed."""
RETRIED_STATUSES: Final = (408, 429, 500, 502, 503, 504)

Progress = Callable[[int, int], None]
"""Called with the queries answered and the queries needed."""


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a Prometheus.

    Attributes:
        url: Such as ``https://prometheus.example:9090``; may hold ``user:password@``.
        bearer_token: Sent with every request, if given.
        bearer_token_file: Path of a file with the token instead.
        headers: Further headers, such as ``X-Scope-OrgID``.
        ca_file: Certificates to trust instead of the system's.
        cert_file: Certificate to show the server.
        key_file: Its key.
        insecure_skip_verify: Check no certificate.
    """

    url: str
    bearer_token: str = ""
    bearer_token_file: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure_skip_verify: bool = False

    def __post_init__(self) -> None:
        try:
            is_address = urlsplit(self.url).scheme in {"http", "https"}
        except ValueError:
            is_address = False
        if not is_address:
            raise SimulationError(
                "url of the Prometheus must be an address such as http://prometheus:9090, is "
                f'"{shorten(self.url.rpartition("@")[2], 80)}"',
                field="prometheus.url",
            )

    @property
    def shown_url(self) -> str:
        """The address without user and password."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def query_range(
    access: Access,
    query: str,
    *,
    from_at: float,
    to_at: float,
    step_seconds: float,
    progress: Progress | None = None,
) -> Trace:
    """Return what a query gave over a time; instants without an answer are missing, never zero.

    Args:
        access: Where to ask.
        query: PromQL that gives at most one series.
        from_at: First instant, epoch seconds.
        to_at: Last instant.
        step_seconds: Between instants; whole seconds.
        progress: Told after each query.

    Raises:
        SimulationError: Nothing answers, the query is refused, or it gives several series or none;
            or the range is none, or too long.
    """
    if not query.strip():
        raise SimulationError("query is empty, must be PromQL that gives one series", field="query")
    begin, count = _instants(from_at, to_at, step_seconds)
    values = np.full(count, np.nan)
    queries = -(-count // POINTS_PER_QUERY)
    with _Client(access) as client:
        for number in range(queries):
            first = number * POINTS_PER_QUERY
            last = min(count, first + POINTS_PER_QUERY) - 1
            series = client.ask(
                query, begin + first * step_seconds, begin + last * step_seconds, int(step_seconds)
            )
            _fill(values, series, begin, step_seconds, query)
            if progress is not None:
                progress(number + 1, queries)
    shown = shorten(query, 120)
    if np.isnan(values).all():
        raise SimulationError(f'query "{shown}" gave no value in the whole time', field="query")
    if np.nanmin(values) < 0:
        at = begin + int(np.nanargmin(values)) * step_seconds
        raise SimulationError(
            f'query "{shown}" gave {np.nanmin(values):g} at {at:.0f}, must be >= 0', field="query"
        )
    return Trace(
        name=shorten(query, 60),
        start_at=begin,
        step_seconds=step_seconds,
        values=values,
        unit=Unit.PER_SECOND,
        source=f"{access.shown_url} {shown}",
    )


def _instants(from_at: float, to_at: float, step_seconds: float) -> tuple[float, int]:
    """Return the first instant of a range, and how many there are.

    They are whole multiples of the step, so that every query and every run asks for the same ones.
    """
    shown = f"a range from {from_at:.0f} to {to_at:.0f} in steps of {step_seconds:g} s"
    if not all(map(math.isfinite, (from_at, to_at, step_seconds))) or from_at < 0:
        raise SimulationError(f"{shown} is none since 1970")
    if to_at <= from_at or step_seconds < 1 or step_seconds != int(step_seconds):
        raise SimulationError(f"{shown} is no range of whole seconds")
    begin = math.ceil(from_at / step_seconds) * step_seconds
    if begin > to_at:
        raise SimulationError(f"{shown} holds no whole multiple of the step")
    count = int((to_at - begin) // step_seconds) + 1
    if count > STEPS_MAX:
        raise SimulationError(f"{shown} has {count} instants, must have at most {STEPS_MAX}")
    return begin, count


class _Client:
    """The client library, its errors translated."""

    def __init__(self, access: Access) -> None:
        try:
            from prometheus_api_client import PrometheusConnect
            from requests import Session
            from urllib3 import Retry
        except ImportError as error:
            raise SimulationError(
                "queries of a Prometheus need the extra backtest: pip install 'flyball[backtest]'"
            ) from error
        session = Session()
        if access.ca_file:
            session.verify = access.ca_file
        if access.cert_file:
            session.cert = (
                (access.cert_file, access.key_file) if access.key_file else access.cert_file
            )
        if access.insecure_skip_verify:
            session.verify = False
        self._url = access.shown_url
        self._client = PrometheusConnect(
            url=access.url.rstrip("/"),
            headers=_headers(access),
            session=session,
            timeout=TIMEOUT_SECONDS,
            retry=Retry(
                RETRIES, backoff_factor=RETRY_BACKOFF_SECONDS, status_forcelist=RETRIED_STATUSES
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ask(self, query: str, first: float, last: float, step: int) -> list[Mapping[str, Any]]:
        """Return the series of one range query."""
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from requests import JSONDecodeError

        try:
            answer: list[Mapping[str, Any]] = self._client.custom_query_range(
                query,
                datetime.fromtimestamp(first, UTC),
                datetime.fromtimestamp(last, UTC),
                str(step),
            )
        except (JSONDecodeError, KeyError, TypeError) as error:
            raise SimulationError(
                f"{self._url} answers, but not as a Prometheus does", field="prometheus"
            ) from error
        except PrometheusApiClientException as error:
            raise SimulationError(
                f'{self._url} refuses the query "{shorten(query, 120)}": {shorten(str(error))}',
                field="query",
            ) from error
        except OSError as error:
            # Connections that fail, certificates that cannot be read, retries that ran out.
            raise SimulationError(
                f"{self._url} does not answer: {shorten(str(error))}", field="prometheus"
            ) from error
        return answer


def _headers(access: Access) -> dict[str, str]:
    token = access.bearer_token
    if access.bearer_token_file:
        try:
            token = Path(access.bearer_token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SimulationError(
                f"bearer_token_file cannot be read: {error}", field="prometheus"
            ) from error
    return {**access.headers, **({"Authorization": f"Bearer {token}"} if token else {})}


def _fill(
    values: Floats, series: list[Mapping[str, Any]], begin: float, step: float, query: str
) -> None:
    if len(series) > 1:
        labels = shorten(", ".join(str(one.get("metric")) for one in series[:3]))
        raise SimulationError(
            f'query "{shorten(query, 120)}" gives {len(series)} series ({labels}); it must give '
            "one: wrap it in sum()",
            field="query",
        )
    for one in series:
        # Native histograms have no "values".
        for at, text in one.get("values", ()):
            value = float(text)
            if math.isfinite(value):
                values[round((float(at) - begin) / step)] = value
