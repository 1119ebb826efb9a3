"""Reading external scalers: specs, values and activity of an object in one go."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from typing_extensions import override

from autoscaler.sdk import (
    Answer,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    shorten,
)
from autoscaler.sdk.conversion import INT64_MAX
from autoscaler.sdk.externalscaler import (
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    ScaledObjectRef,
    method_path,
)
from scalers.external.channels import channel_to, retire
from scalers.external.config import FROM_ENV, Endpoint, Entries

FETCH_SECONDS: Final = 8.0
"""Longest time one turn may take. It is less than the collector's own deadline, which would cost
the objects that were answered their answers, too."""

SPECS_MAX: Final = 50
"""Metrics one server may make of one trigger."""

CONCURRENT_OBJECTS: Final = 32
"""Objects asked about at the same time, per server."""

SHORTEST_SECRET: Final = 4
"""Shorter values are not searched for in messages: blanking every ``a`` would help nobody."""

REDACTED: Final = "***"

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

TOO_LARGE: Final = "larger than max"
"""What gRPC says of an answer beyond its limit of 4 MiB."""

M = TypeVar("M", bound=Message)


class ObjectRef(NamedTuple):
    """Whom a server is asked about; its text form shows no metadata, which may hold secrets."""

    namespace: str
    name: str
    metadata: Entries

    @override
    def __repr__(self) -> str:
        return f"ObjectRef({self.namespace}/{self.name})"

    def redact(self, text: str) -> str:
        """Return a server's text without the values of environment variables it was sent."""
        for key, value in self.metadata:
            if key.endswith(FROM_ENV) and len(value) >= SHORTEST_SECRET:
                text = text.replace(value, REDACTED)
        return text

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
    """One server; the channel is lent for as long as the source lives.

    Args:
        endpoint: The server, and as whom it is called.
        call_seconds: Longest time one call may take; KEDA's operator sets none, and hangs with the
            server.
    """

    def __init__(self, endpoint: Endpoint, call_seconds: float) -> None:
        self._endpoint = endpoint
        self._call_seconds = call_seconds
        self._stack = contextlib.AsyncExitStack()
        self._channel: grpc.aio.Channel | None = None
        self._limiter = asyncio.Semaphore(CONCURRENT_OBJECTS)

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer :class:`ObjectRef` queries with :class:`Told`.

        An object the server takes too long for costs the others of this turn at most
        :data:`FETCH_SECONDS`, and no answer.

        Raises:
            MetricError: The server cannot be connected to in the way that is wanted.
        """
        del at
        channel = await self._opened()
        late = f"external scaler {self._endpoint.address}: no answer in {FETCH_SECONDS:g} s"
        answers: dict[Hashable, Answer | MetricError] = {
            query: MetricUnavailable(late) for query in queries
        }

        async def ask(query: ObjectRef) -> None:
            async with self._limiter:
                caller = _Caller(channel, self._endpoint.address, query, self._call_seconds)
                try:
                    answers[query] = await _told(caller)
                except MetricError as error:
                    answers[query] = error

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FETCH_SECONDS), asyncio.TaskGroup() as group:
                for query in queries:
                    assert isinstance(query, ObjectRef), "a query of another source"
                    group.create_task(ask(query))
        await self._look_again(channel, answers.values())
        return answers

    async def close(self) -> None:
        """Give the channel back."""
        self._channel = None
        await self._stack.aclose()

    async def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = await self._stack.enter_async_context(channel_to(self._endpoint))
        return self._channel

    async def _look_again(
        self, channel: grpc.aio.Channel, answers: Iterable[Answer | MetricError]
    ) -> None:
        """Give up a channel bound to a certificate that the server may have replaced."""
        tls = self._endpoint.tls
        if tls is None or tls.verify:
            return
        if all(isinstance(answer, MetricUnavailable) for answer in answers):
            retire(self._endpoint, channel)
            await self.close()


class _Caller(NamedTuple):
    """Makes the calls about one object."""

    channel: grpc.aio.Channel
    address: str
    query: ObjectRef
    call_seconds: float

    def where(self, method: str) -> str:
        """Return what was asked of whom, for messages."""
        return f"external scaler {self.address}: {method}:"

    async def call(self, method: str, request: Message, message: type[M]) -> M:
        """Make a call; raises MetricError."""
        call: Callable[..., Awaitable[bytes]] = self.channel.unary_unary(method_path(method))
        try:
            answer = await call(request.SerializeToString(), timeout=self.call_seconds)
        except grpc.aio.AioRpcError as error:
            raise as_metric_error(error, self.where(method), self.query) from error
        return decoded(answer, message, self.where(method))


async def _told(caller: _Caller) -> Told:
    """Ask a server about an object: specs first, then all values and activity at once."""
    ref = caller.query.message()
    specs = await _specs(caller, ref)

    async def value(spec: Declared) -> tuple[float, ...] | MetricError:
        request = GetMetricsRequest(scaledObjectRef=ref, metricName=spec.name)
        try:
            found = await caller.call("GetMetrics", request, GetMetricsResponse)
            return _values(found, caller.where("GetMetrics"), spec.name, caller.query)
        except MetricError as error:
            return error

    async def activity() -> bool | MetricError:
        try:
            found = await caller.call("IsActive", ref, IsActiveResponse)
        except MetricError as error:
            return error
        return bool(found.result)

    async with asyncio.TaskGroup() as group:
        asking = {spec.name: group.create_task(value(spec)) for spec in specs}
        active = group.create_task(activity())
    if isinstance(verdict := active.result(), MetricError):
        raise verdict
    return Told(specs, {name: task.result() for name, task in asking.items()}, verdict)


async def _specs(caller: _Caller, ref: ScaledObjectRef) -> tuple[Declared, ...]:
    """Return what the server declares; when that fails or is nothing, it is asked once more.

    A server that is slow to fail is not: it would only use up the time of this turn.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        found = await _declared(caller, ref)
    except MetricError:
        if loop.time() - began >= caller.call_seconds / 2:
            raise
        found = ()
    found = found or await _declared(caller, ref)
    if not found:
        raise MetricMalformed(f"{caller.where('GetMetricSpec')} no metric is declared")
    return found


async def _declared(caller: _Caller, ref: ScaledObjectRef) -> tuple[Declared, ...]:
    response = await caller.call("GetMetricSpec", ref, GetMetricSpecResponse)
    what = caller.where("GetMetricSpec")
    if len(response.metricSpecs) > SPECS_MAX:
        count = len(response.metricSpecs)
        raise MetricMalformed(f"{what} {count} metrics; at most {SPECS_MAX} are read")
    specs = tuple(_spec(spec, what, caller.query) for spec in response.metricSpecs)
    names = [spec.name for spec in specs]
    for name in names:
        if not name:
            raise MetricMalformed(f"{what} a metric without a name")
        if names.count(name) > 1:
            raise MetricMalformed(f'{what} metric "{shorten(name, 80)}" is declared twice')
    return specs


def _spec(spec: MetricSpec, what: str, ref: ObjectRef) -> Declared:
    """Read a spec by KEDA's rule: the float field counts if it is above zero."""
    where = f'{what} metric "{shorten(spec.metricName, 80)}" of {ref.namespace}/{ref.name}'
    target = _number(spec.targetSizeFloat, spec.targetSize)
    if not _is_quantity(target):
        field = _field("targetSize", spec.targetSizeFloat)
        raise MetricMalformed(f"{where}: {field} {target:g} is too large or no number")
    if (milli := int(target * 1000)) <= 0:
        raise MetricMalformed(f"{where} has the target {target:g}, must be at least 0.001")
    return Declared(spec.metricName, milli)


def _values(
    response: GetMetricsResponse, what: str, metric: str, ref: ObjectRef
) -> tuple[float, ...]:
    """Read values by KEDA's rule; their names are not looked at."""
    where = f'{what} metric "{shorten(metric, 80)}" of {ref.namespace}/{ref.name}'
    values = []
    for one in response.metricValues:
        value = _number(one.metricValueFloat, one.metricValue)
        if not _is_quantity(value):
            field = _field("metricValue", one.metricValueFloat)
            raise MetricMalformed(f"{where}: {field} {value:g} is too large or no number")
        values.append(value)
    if not values:
        raise MetricMalformed(f"{where} has no value")
    if not _is_quantity(sum(value for value in values if value > 0)):
        raise MetricMalformed(f"{where}: its values are too large together")
    return tuple(values)


def _is_quantity(number: float) -> bool:
    """Whether the thousandths of a number are what metric values hold: 64 bits with a sign."""
    return math.isfinite(number * 1000) and abs(int(number * 1000)) <= INT64_MAX


def _field(name: str, fraction: float) -> str:
    """Return which of a number's two fields :func:`_number` reads."""
    return f"{name}Float" if fraction > 0 or not math.isfinite(fraction) else name


def _number(fraction: float, integer: int) -> float:
    """Return the float field if it is above zero, else the integer field.

    A float field that is no number is returned as it is, for the caller to refuse. KEDA reads such
    a one as the integer field, which is usually zero: a failure would become a number.
    """
    if not math.isfinite(fraction):
        return fraction
    return fraction if fraction > 0 else float(integer)


def decoded(answer: bytes, message: type[M], where: str) -> M:
    """Return a message; raises MetricMalformed. gRPC itself would answer None for such bytes."""
    try:
        return message.FromString(answer)
    except DecodeError as error:
        raise MetricMalformed(f"{where} the answer is no {message.__name__}") from error


def as_metric_error(error: grpc.aio.AioRpcError, where: str, query: ObjectRef) -> MetricError:
    """Return what a failed call means for a reading."""
    code, details = error.code(), error.details() or "no reason given"
    text = f"{where} {code.name}: {shorten(query.redact(details))}"
    if code in REJECTED:
        return MetricRejected(text)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in details:
        return MetricMalformed(text)
    return MetricUnavailable(text)
