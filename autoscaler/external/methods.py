"""The methods of KEDA's external scaler contract, over the served policies.

What KEDA's client makes of the answers is in ``docs/reference/external-scaler.md``. A call that has
no answer ends with a status and a reason; a number is never made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar

import grpc
import structlog

from autoscaler.errors import ConfigError, shorten
from autoscaler.external.admission import Arrivals, Context, Refused, Room
from autoscaler.external.asks import ask_of
from autoscaler.external.policies import Policies, TooMany
from autoscaler.external.served import METRIC_NAME, Served, Trouble, Verdict
from autoscaler.sdk import externalscaler as messages
from autoscaler.sdk.externalscaler import SERVICE
from autoscaler.telemetry.metrics import Metrics

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

CODES: Final = {
    Trouble.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Trouble.MISSING: grpc.StatusCode.NOT_FOUND,
    Trouble.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
DETAILS_MAX: Final = 2_000
"""Characters of a reason: it travels in a header, whose size clients bound."""

SPECS: Final = messages.GetMetricSpecResponse(
    metricSpecs=[messages.MetricSpec(metricName=METRIC_NAME, targetSize=1, targetSizeFloat=1.0)]
)
"""One metric whose value is the wanted count and whose target is one: for ``AverageValue`` the HPA
divides the one by the other."""

log = structlog.get_logger(__name__)


class Methods:
    """Answers calls.

    Args:
        policies: What is served.
        metrics: Where numbers go.
        wait_seconds: How long a call waits for the first answer about a policy.
        streams_max: Open streams at most.
        calls_max: Other calls under way at most.
    """

    def __init__(
        self,
        policies: Policies,
        metrics: Metrics,
        *,
        wait_seconds: float,
        streams_max: int,
        calls_max: int,
    ) -> None:
        self._policies = policies
        self._metrics = metrics
        self._wait_seconds = wait_seconds
        self.arrivals = Arrivals()
        self.streams = Room(streams_max, "streams are open")
        self.calls = Room(calls_max, "calls are under way")
        self._is_draining = False

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of the whole service."""
        unary, stream = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        ref = messages.ScaledObjectRef.FromString
        active = messages.IsActiveResponse.SerializeToString
        specs = messages.GetMetricSpecResponse.SerializeToString
        values = messages.GetMetricsResponse.SerializeToString
        request = messages.GetMetricsRequest.FromString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "IsActive": unary(self._unary("IsActive", self._is_active), ref, active),
                "GetMetricSpec": unary(self._unary("GetMetricSpec", self._specs), ref, specs),
                "GetMetrics": unary(self._unary("GetMetrics", self._values), request, values),
                "StreamIsActive": stream(
                    self._stream("StreamIsActive", self._activity), ref, active
                ),
                "StreamMetricSpec": stream(
                    self._stream("StreamMetricSpec", self._spec_updates), ref, specs
                ),
            },
        )

    def drain(self) -> None:
        """End every stream, so that clients open them elsewhere."""
        self._is_draining = True
        for served in self._policies.all():
            served.wake()

    async def _is_active(
        self, ref: messages.ScaledObjectRef, seconds: float
    ) -> messages.IsActiveResponse:
        verdict = await self._answer(self._served(ref), seconds)
        return messages.IsActiveResponse(result=verdict.is_active)

    async def _specs(
        self, ref: messages.ScaledObjectRef, seconds: float
    ) -> messages.GetMetricSpecResponse:
        served = self._served(ref)
        await self._until(served, seconds, lambda: served.is_bound or served.verdict is not None)
        _check_usable(served)
        return SPECS

    async def _values(
        self, request: messages.GetMetricsRequest, seconds: float
    ) -> messages.GetMetricsResponse:
        served = self._served(request.scaledObjectRef)
        if request.metricName != METRIC_NAME:
            what = f'metric "{shorten(request.metricName, 80)}" is not served, only "{METRIC_NAME}"'
            raise Refused(grpc.StatusCode.NOT_FOUND, what)
        verdict = await self._answer(served, seconds)
        count = verdict.replicas
        value = messages.MetricValue(
            metricName=METRIC_NAME, metricValue=count, metricValueFloat=float(count)
        )
        return messages.GetMetricsResponse(metricValues=[value])

    async def _activity(
        self, ref: messages.ScaledObjectRef
    ) -> AsyncIterator[messages.IsActiveResponse]:
        """Say whether there should be replicas, at once and whenever that changes."""
        served = self._served(ref)
        told: bool | None = None
        async for verdict in self._verdicts(served):
            if verdict.trouble is None and verdict.is_active is not told:
                told = verdict.is_active
                yield messages.IsActiveResponse(result=told)

    async def _spec_updates(
        self, ref: messages.ScaledObjectRef
    ) -> AsyncIterator[messages.GetMetricSpecResponse]:
        """Say what is served, once: whatever the policy, it is the same metric."""
        served = self._served(ref)
        is_told = False
        async for verdict in self._verdicts(served):
            if verdict.trouble is None and not is_told:
                is_told = True
                yield SPECS

    async def _verdicts(self, served: Served) -> AsyncIterator[Verdict]:
        """Yield the verdict and every later one, until the server stops.

        Raises:
            Refused: The policy cannot work.
        """
        served.streams += 1
        try:
            while not self._is_draining:
                verdict = served.verdict
                if verdict is not None:
                    _check_usable(served)
                    yield verdict
                # While the verdict was on its way there may have been a new one, or the end.
                if served.verdict is verdict and not self._is_draining:
                    await served.change()
        finally:
            served.streams -= 1

    async def _answer(self, served: Served, seconds: float) -> Verdict:
        verdict = served.verdict
        if verdict is None:
            await self._until(served, seconds, lambda: served.verdict is not None)
            verdict = served.verdict
            assert verdict is not None
        if verdict.trouble is not None:
            raise Refused(CODES[verdict.trouble], verdict.why)
        return verdict

    async def _until(self, served: Served, seconds: float, is_known: Callable[[], bool]) -> None:
        """Wait for something about a policy that was never asked about before."""
        if is_known():
            return
        try:
            async with asyncio.timeout(seconds):
                while not is_known():
                    await served.change()
        except TimeoutError:
            what = f"nothing was read for this policy within {seconds:.1f} s; ask again"
            raise Refused(grpc.StatusCode.UNAVAILABLE, what) from None

    def _served(self, ref: messages.ScaledObjectRef) -> Served:
        try:
            return self._policies.of(ask_of(ref.namespace, ref.name, ref.scalerMetadata.items()))
        except TooMany as error:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
        except ConfigError as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error

    def _unary(
        self, name: str, method: Callable[[Any, float], Awaitable[ResponseT]]
    ) -> Callable[[AsyncIterator[Any], Context], Awaitable[ResponseT]]:
        """Return a method as the server calls it: counted, bounded, failures turned to codes."""
        ok = self._metrics.external_calls.labels(name, "OK")
        seconds = self._metrics.external_seconds.labels(name)
        clock = asyncio.get_running_loop().time

        async def call(_: AsyncIterator[Any], context: Context) -> ResponseT:
            began = clock()
            try:
                request = await self.arrivals.request_of(context)
                with self.calls.place():
                    # The stubs do not know that a caller may set no deadline.
                    left: float | None = context.time_remaining()
                    wait = self._wait_seconds if left is None else min(left, self._wait_seconds)
                    response = await method(request, max(wait, 0.0))
            except Exception as error:  # noqa: BLE001 -- becomes a status
                await self._end(name, context, error)
            ok.inc()
            seconds.observe(clock() - began)
            return response

        return call

    def _stream(
        self, name: str, method: Callable[[Any], AsyncIterator[ResponseT]]
    ) -> Callable[[AsyncIterator[Any], Context], AsyncIterator[ResponseT]]:
        """Return a stream as the server calls it."""
        ok = self._metrics.external_calls.labels(name, "OK")

        async def call(_: AsyncIterator[Any], context: Context) -> AsyncIterator[ResponseT]:
            try:
                request = await self.arrivals.request_of(context)
                with self.streams.place():
                    self._metrics.external_streams.set(self.streams.taken)
                    async for response in method(request):
                        yield response
            except Exception as error:  # noqa: BLE001 -- becomes a status
                await self._end(name, context, error)
            finally:
                self._metrics.external_streams.set(self.streams.taken)
            ok.inc()

        return call

    async def _end(self, name: str, context: Context, error: Exception) -> NoReturn:
        """End a call with a status; what nobody expected is logged and told as such."""
        if isinstance(error, Refused):
            code, why = error.code, error.why
        else:
            log.error("external_call_failed", method=name, exc_info=error)
            code, why = grpc.StatusCode.INTERNAL, f"unexpected {type(error).__name__}; see the log"
        self._metrics.external_calls.labels(name, code.name).inc()
        await context.abort(code, shorten(why, DETAILS_MAX))


def _check_usable(served: Served) -> None:
    """Refuse a policy that cannot work; a source that fails may do so without being one."""
    verdict = served.verdict
    if verdict is not None and verdict.trouble in {Trouble.INVALID, Trouble.MISSING}:
        raise Refused(CODES[verdict.trouble], verdict.why)
