"""The trigger types ``external`` and ``external-push``.

Names and targets of the metrics are the server's, and known only once it has been asked. Until then
the trigger declares one metric of its own, so that it can fail and fall back like any other; an
answer with other metrics than those declared is taken over, and the object is bound anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from random import Random
from typing import Any, ClassVar, Final, Self

import grpc

from autoscaler.sdk import (
    Answer,
    Backoff,
    MetricError,
    MetricMalformed,
    MetricSpec,
    Reading,
    SourceContext,
    TargetType,
    TriggerConfig,
    TriggerContext,
)
from autoscaler.sdk.externalscaler import IsActiveResponse, method_path
from scalers.external.channels import channel_to
from scalers.external.config import ExternalConfig
from scalers.external.source import (
    Declared,
    ExternalSource,
    ObjectRef,
    Told,
    as_metric_error,
    decoded,
)

UNKNOWN: Final = Declared("external", 1000)
"""Stands for the server's metrics until they are known."""

RECONNECT_SECONDS: Final = 2.0
RECONNECT_MAX: Final = 60.0


class ExternalScaler:
    """One trigger; see :class:`autoscaler.sdk.LearningScaler`."""

    config_type: ClassVar[type[TriggerConfig]] = ExternalConfig
    tier: ClassVar[str] = "gold"
    description: ClassVar[str] = "Metrics of an external scaler over gRPC"
    asks_by_name: ClassVar[bool] = True

    def __init__(self, config: ExternalConfig, context: TriggerContext) -> None:
        self._endpoint = config.endpoint()
        self._ref = ObjectRef(context.namespace, context.name, config.forwarded)
        self._prefix = f"s{context.trigger_index}-"
        self._target_type = TargetType(context.metric_type or TargetType.AVERAGE_VALUE)
        self._declared: tuple[Declared, ...] = (UNKNOWN,)
        self._learned: tuple[Declared, ...] = (UNKNOWN,)

    @classmethod
    def create(cls, config: ExternalConfig, context: TriggerContext) -> Self:
        """Build the scaler of one trigger."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the metrics the server has declared."""
        return tuple(
            MetricSpec(
                name=self._prefix + one.name,
                target_type=self._target_type,
                target_milli=one.target_milli,
            )
            for one in self._declared
        )

    def has_learned(self) -> bool:
        """Whether the server now declares other metrics."""
        return self._learned != self._declared

    def take_over(self) -> None:
        """Declare what the server does from now on."""
        self._declared = self._learned

    def source_key(self) -> Hashable:
        """Return the server, and as whom it is called."""
        return self._endpoint

    def open_source(self, context: SourceContext) -> ExternalSource:
        """Build the connection, shared by all triggers of the server."""
        return ExternalSource(self._endpoint, context.http.timeout_seconds)

    def query(self, metric_name: str) -> Hashable:
        """Return whom to ask about; one answer has all metrics."""
        del metric_name
        return self._ref

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Return a metric's values and the server's own verdict on activity."""
        if not isinstance(answer, Told):
            raise MetricMalformed(f"external scaler {self._endpoint.address}: no answer of its")
        if answer.specs != self._declared:
            self._learned = answer.specs
            names = ", ".join(one.name for one in answer.specs)
            raise MetricMalformed(
                f"external scaler {self._endpoint.address} declares {names:.200}; taken over"
            )
        found = answer.values[metric_name.removeprefix(self._prefix)]
        if isinstance(found, MetricError):
            raise found
        return self._reading(metric_name, found, answer.active, at)

    def _reading(
        self, metric_name: str, values: Sequence[float], active: bool, at: float
    ) -> Reading:
        """Return the values as the HPA adds them up: each in thousandths, none below zero."""
        return Reading(
            metric=metric_name,
            sampled_at=at,
            value=sum(values),
            values_milli=tuple(max(0, int(value * 1000)) for value in values),
            active=active,
        )


class ExternalPushScaler(ExternalScaler):
    """The same, and the server also says by itself when there is work."""

    description: ClassVar[str] = "Metrics of an external scaler over gRPC, woken by its streams"

    def __init__(self, config: ExternalConfig, context: TriggerContext) -> None:
        super().__init__(config, context)
        self._has_spec_stream = True
        self._rng = Random()  # noqa: S311 -- jitter

    async def activity(self, context: SourceContext) -> AsyncIterator[bool]:
        """Yield what the server says on ``StreamIsActive``, and True for new specs.

        Ends with the activity stream. That of specs is opened again by itself, unless the server
        has none.

        Raises:
            MetricError: The activity stream failed.
        """
        del context
        async with channel_to(self._endpoint) as channel:
            streams = [self._verdicts(channel)]
            if self._has_spec_stream:
                streams.append(self._changes(channel))
            waiting = {asyncio.ensure_future(anext(one, None)): one for one in streams}
            try:
                while True:
                    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        stream = waiting.pop(task)
                        found = task.result()
                        if found is not None:
                            waiting[asyncio.ensure_future(anext(stream, None))] = stream
                            yield found
                        elif stream is streams[0]:
                            return
            finally:
                for task in waiting:
                    task.cancel()
                if waiting:
                    await asyncio.wait(waiting)
                for one in streams:
                    await one.aclose()

    async def _verdicts(self, channel: grpc.aio.Channel) -> AsyncGenerator[bool, None]:
        """Yield what the server says; raises MetricError."""
        where = f"external scaler {self._endpoint.address}: StreamIsActive:"
        try:
            async for answer in self._stream(channel, "StreamIsActive"):
                yield bool(decoded(answer, IsActiveResponse, where).result)
        except grpc.aio.AioRpcError as error:
            raise as_metric_error(error, where, self._ref) from error

    async def _changes(self, channel: grpc.aio.Channel) -> AsyncGenerator[bool, None]:
        """Yield True whenever the server declares its metrics, for as long as it may do so."""
        backoff = Backoff(self._rng, base_seconds=RECONNECT_SECONDS, cap_seconds=RECONNECT_MAX)
        while True:
            try:
                async for _ in self._stream(channel, "StreamMetricSpec"):
                    backoff.reset()
                    yield True
                backoff.reset()
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    self._has_spec_stream = False
                    return
            await asyncio.sleep(backoff.next_delay(asyncio.get_running_loop().time()))

    def _stream(self, channel: grpc.aio.Channel, method: str) -> AsyncIterator[bytes]:
        opened: Any = channel.unary_stream(method_path(method))
        return aiter(opened(self._ref.message().SerializeToString()))
