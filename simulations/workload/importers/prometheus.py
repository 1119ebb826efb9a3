"""Range queries over days of a Prometheus (or anything that speaks its API); extra ``backtest``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np

from autoscaler.errors import shorten
from simulations.errors import SimulationError
from simulations.workload.trace import Floats, Trace, Unit

POINTS_PER_QUERY: Final = 10_000
"""Below the 11,000 points Prometheus allows per series and query."""

TIMEOUT_SECONDS: Final = 60

Progress = Callable[[int, int], None]
"""Called with the queries answered and the queries needed."""


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a Prometheus.

    Attributes:
        url: Such as ``https://prometheus.example:9090``.
        bearer_token: Sent with every request, if given.
        headers: Further headers, such as ``X-Scope-OrgID``.
        ca_file: Certificates to trust instead of the system's.
        insecure_skip_verify: Check no certificate.
    """

    url: str
    bearer_token: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""
    insecure_skip_verify: bool = False


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
        SimulationError: Nothing answers, the query is refused, or it gives several series or none.
    """
    if to_at <= from_at or step_seconds < 1 or step_seconds != int(step_seconds):
        raise SimulationError(
            f"a range from {from_at:g} to {to_at:g} in steps of {step_seconds:g} s is no range of "
            "whole seconds"
        )
    # On whole multiples of the step every query and every run asks for the same instants.
    begin = math.ceil(from_at / step_seconds) * step_seconds
    count = int((to_at - begin) // step_seconds) + 1
    values = np.full(count, np.nan)
    client = _Client(access)
    queries = -(-count // POINTS_PER_QUERY)
    for number in range(queries):
        first = number * POINTS_PER_QUERY
        last = min(count, first + POINTS_PER_QUERY) - 1
        series = client.ask(
            query, begin + first * step_seconds, begin + last * step_seconds, int(step_seconds)
        )
        _fill(values, series, begin, step_seconds, query)
        if progress is not None:
            progress(number + 1, queries)
    if np.isnan(values).all():
        raise SimulationError(f'query "{shorten(query, 120)}" gave no value in the whole time')
    return Trace(
        name=shorten(query, 60),
        start_at=begin,
        step_seconds=step_seconds,
        values=values,
        unit=Unit.PER_SECOND,
        source=f"{access.url} {shorten(query, 120)}",
    )


class _Client:
    """The client library, its errors translated."""

    def __init__(self, access: Access) -> None:
        try:
            from prometheus_api_client import PrometheusConnect
            from requests import Session
        except ImportError as error:
            raise SimulationError(
                "queries of a Prometheus need the extra backtest: pip install 'flyball[backtest]'"
            ) from error
        headers = dict(access.headers)
        if access.bearer_token:
            headers["Authorization"] = f"Bearer {access.bearer_token}"
        session = Session()
        if access.ca_file:
            session.verify = access.ca_file
        if access.insecure_skip_verify:
            session.verify = False
        self._url = access.url
        self._client = PrometheusConnect(
            url=access.url.rstrip("/"), headers=headers, session=session, timeout=TIMEOUT_SECONDS
        )

    def ask(self, query: str, first: float, last: float, step: int) -> list[Mapping[str, Any]]:
        """Return the series of one range query."""
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from requests import RequestException

        try:
            answer: list[Mapping[str, Any]] = self._client.custom_query_range(
                query,
                datetime.fromtimestamp(first, UTC),
                datetime.fromtimestamp(last, UTC),
                str(step),
            )
        except RequestException as error:
            raise SimulationError(
                f"{self._url} does not answer: {shorten(str(error))}", field="prometheus"
            ) from error
        except PrometheusApiClientException as error:
            raise SimulationError(
                f'{self._url} refuses the query "{shorten(query, 120)}": {shorten(str(error))}',
                field="query",
            ) from error
        return answer


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
        for at, text in one["values"]:
            value = float(text)
            if math.isfinite(value):
                values[round((float(at) - begin) / step)] = value
