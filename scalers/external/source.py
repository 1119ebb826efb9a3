"""Reading external scalers: specs, values and activity of an object in one go."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import grpc

from autoscaler.sdk import (
    Answer,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    shorten,
)
from autoscaler.sdk.externalscaler import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    ScaledObjectRef,
    method_path,
)
from scalers.external.channels import channel_to
from scalers.external.config import Endpoint, Entries

CALL_SECONDS: Final = 3.0
"""Longest time one call may take; KEDA's operator sets none, and hangs with the server."""

SPECS_MAX: Final = 50
"""Metrics one server may make of one trigger."""

CONCURRENT_OBJECTS: Final = 32
"""Objects asked about at the same time, per server."""

REJECTED: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
"""Statuses by which the server refuses; others may be over the next time."""

R = TypeVar("R")


class ObjectRef(NamedTuple):
    """Whom a server is asked about."""

    namespace: str
    name: str
    metadata: Entries

    def message(self) -> ScaledObjectRef:
        """Return the reference as it is sent."""
        return ScaledObjectRef(
            name=self.name, namespace=self.namespace, scalerMetadata=dict(self.metadata)
        )


class Declared(NamedTuple):
    """A metric as the server declares it."""

    name: str
    target_milli: int


class Told(NamedTuple):
    """What a server says about an object.

    Attributes:
        specs: In its order.
        values: By metric name: every value it gave, or why there is none.
        active: Its verdict.
    """

    specs: tuple[Declared, ...]
    values: Mapping[str, tuple[float, ...] | MetricError]
    active: bool


class ExternalSource:
    """One server; the channel is lent for as long as the source lives."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._stack = contextlib.AsyncExitStack()
        self._channel: grpc.aio.Channel | None = None
        self._limiter = asyncio.Semaphore(CONCURRENT_OBJECTS)

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer :class:`ObjectRef` queries with :class:`Told`.

        Raises:
            MetricError: The server cannot be connected to in the way that is wanted.
        """
        del at
        channel = await self._opened()
        answers: dict[Hashable, Answer | MetricError] = {}

        async def ask(query: ObjectRef) -> None:
            async with self._limiter:
                try:
                    answers[query] = await _told(channel, self._endpoint.address, query)
                except MetricError as error:
                    answers[query] = error

        async with asyncio.TaskGroup() as group:
            for query in queries:
                assert isinstance(query, ObjectRef), "a query of another source"
                group.create_task(ask(query))
        return answers

    async def close(self) -> None:
        """Give the channel back."""
        self._channel = None
        await self._stack.aclose()

    async def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = await self._stack.enter_async_context(channel_to(self._endpoint))
        return self._channel


async def _told(channel: grpc.aio.Channel, address: str, query: ObjectRef) -> Told:
    """Ask a server about an object: specs, then values, then activity."""
    ref = query.message()
    specs = await _specs(channel, address, ref)
    values: dict[str, tuple[float, ...] | MetricError] = {}
    for spec in specs:
        request = GetMetricsRequest(scaledObjectRef=ref, metricName=spec.name)
        try:
            found = await _call(
                channel, address, "GetMetrics", request, GetMetricsResponse.FromString
            )
            values[spec.name] = _values(found, address, spec.name)
        except MetricError as error:
            values[spec.name] = error
    active = await _call(channel, address, "IsActive", ref, IsActiveResponse.FromString)
    return Told(specs, values, bool(active.result))


async def _specs(
    channel: grpc.aio.Channel, address: str, ref: ScaledObjectRef
) -> tuple[Declared, ...]:
    """Return what the server declares; when that fails or is nothing, it is asked once more."""
    try:
        found = await _declared(channel, address, ref)
    except MetricError:
        found = ()
    return found or await _insist(channel, address, ref)


async def _insist(
    channel: grpc.aio.Channel, address: str, ref: ScaledObjectRef
) -> tuple[Declared, ...]:
    found = await _declared(channel, address, ref)
    if not found:
        raise MetricMalformed(f"external scaler {address}: GetMetricSpec: no metric is declared")
    return found


async def _declared(
    channel: grpc.aio.Channel, address: str, ref: ScaledObjectRef
) -> tuple[Declared, ...]:
    response = await _call(channel, address, "GetMetricSpec", ref, GetMetricSpecResponse.FromString)
    specs = tuple(_spec(spec, address) for spec in response.metricSpecs)
    names = [spec.name for spec in specs]
    what = f"external scaler {address}: GetMetricSpec:"
    if len(specs) > SPECS_MAX:
        raise MetricMalformed(f"{what} {len(specs)} metrics; at most {SPECS_MAX} are read")
    for name in names:
        if not name:
            raise MetricMalformed(f"{what} a metric without a name")
        if names.count(name) > 1:
            raise MetricMalformed(f'{what} metric "{shorten(name, 80)}" is declared twice')
    return specs


def _spec(spec: MetricSpec, address: str) -> Declared:
    """Read a spec by KEDA's rule: the float field counts if it is above zero."""
    target = spec.targetSizeFloat if spec.targetSizeFloat > 0 else spec.targetSize
    milli = int(target * 1000) if math.isfinite(target) else 0
    if milli <= 0:
        raise MetricMalformed(
            f'external scaler {address}: metric "{shorten(spec.metricName, 80)}" has the target '
            f"{target:g}, must be at least 0.001"
        )
    return Declared(spec.metricName, milli)


def _values(response: GetMetricsResponse, address: str, metric: str) -> tuple[float, ...]:
    """Read values by KEDA's rule; their names are not looked at."""
    values = tuple(
        float(one.metricValueFloat if one.metricValueFloat > 0 else one.metricValue)
        for one in response.metricValues
    )
    where = f'external scaler {address}: GetMetrics: metric "{shorten(metric, 80)}"'
    if not values:
        raise MetricMalformed(f"{where} has no value")
    if not all(map(math.isfinite, values)):
        raise MetricMalformed(f"{where} has a value that is no number")
    return values


async def _call(
    channel: grpc.aio.Channel,
    address: str,
    method: str,
    request: Any,
    read: Callable[[bytes], R],
) -> R:
    """Make a call; raises MetricError."""
    call: Callable[..., Awaitable[R]] = channel.unary_unary(
        method_path(method), type(request).SerializeToString, read
    )
    try:
        return await call(request, timeout=CALL_SECONDS)
    except grpc.aio.AioRpcError as error:
        raise as_metric_error(error, address, method) from error


def as_metric_error(error: grpc.aio.AioRpcError, address: str, method: str) -> MetricError:
    """Return what a failed call means for a reading."""
    details = shorten(error.details() or "no reason given")
    text = f"external scaler {address}: {method}: {error.code().name}: {details}"
    return MetricRejected(text) if error.code() in REJECTED else MetricUnavailable(text)
