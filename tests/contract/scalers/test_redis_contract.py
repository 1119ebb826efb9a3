"""The redis trigger types pass the scaler contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from autoscaler.errors import MetricError, MetricMalformed, MetricRejected, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import DEFAULT_TIMEOUT_SECONDS, HttpClient
from autoscaler.sdk.scaler import SourceContext
from autoscaler.sdk.testing import IMPATIENT_SECONDS, ScalerContract, Trouble, World
from scalers.redis_lists import RedisListScaler
from scalers.redis_streams import RedisStreamsScaler
from tests.doubles.redis import ScriptedRedis

REPLIES: Mapping[Trouble | None, str] = {
    Trouble.EMPTY: "$-1\r\n",
    Trouble.GARBAGE: "\x00\xff<<< no answer to any question >>>\xfe\r\n",
    Trouble.TOO_LARGE: ":9223372036854775807\r\n",
    Trouble.FORBIDDEN: "-NOPERM this user has no permissions\r\n",
    Trouble.UNAVAILABLE: "-LOADING Redis is loading the dataset in memory\r\n",
    Trouble.TOO_MANY_REQUESTS: "-ERR max number of clients reached\r\n",
}


class RedisContract(ScalerContract):
    values: ClassVar[Sequence[str]] = ("0", "7")
    auth: ClassVar[Mapping[str, str]] = {"password": "first-password-of-the-contract"}
    other_auth: ClassVar[Mapping[str, str]] = {"password": "second-password-of-the-contract"}
    troubles: ClassVar[Mapping[Trouble, type[MetricError]]] = {
        Trouble.REFUSED: MetricUnavailable,
        Trouble.SILENT: MetricUnavailable,
        Trouble.BROKEN_OFF: MetricUnavailable,
        Trouble.EMPTY: MetricMalformed,
        Trouble.GARBAGE: MetricMalformed,
        Trouble.TOO_LARGE: MetricMalformed,
        Trouble.UNAUTHORIZED: MetricRejected,
        Trouble.FORBIDDEN: MetricRejected,
        Trouble.TOO_MANY_REQUESTS: MetricUnavailable,
        Trouble.UNAVAILABLE: MetricUnavailable,
    }
    counting: ClassVar[str]
    """First word of the command whose reply is the value."""

    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        replies = {self.counting: REPLIES.get(trouble, f":{value}\r\n")}
        if trouble is Trouble.UNAUTHORIZED:
            replies["AUTH"] = "-WRONGPASS invalid username-password pair\r\n"
        # Only where nothing comes is it worth being impatient; a busy machine may take its time.
        patience = IMPATIENT_SECONDS if trouble is Trouble.SILENT else DEFAULT_TIMEOUT_SECONDS
        scripted = ScriptedRedis(
            replies,
            silent=trouble is Trouble.SILENT,
            breaks_off=trouble is Trouble.BROKEN_OFF,
        )
        async with scripted as server, HttpClient(timeout_seconds=patience) as http:
            if trouble is Trouble.REFUSED:
                await server.stop()
            yield World(
                {"address": server.address}, SourceContext(http=http, clock=ManualClock(self.at))
            )


class TestRedisListScaler(RedisContract):
    scaler_type = RedisListScaler
    metadata: ClassVar[Mapping[str, str]] = {"listName": "jobs", "address": "127.0.0.1:9"}
    counting = "EVAL"


class TestRedisStreamLength(RedisContract):
    scaler_type = RedisStreamsScaler
    metadata: ClassVar[Mapping[str, str]] = {"stream": "orders", "address": "127.0.0.1:9"}
    counting = "XLEN"


class TestRedisStreamLag(RedisContract):
    scaler_type = RedisStreamsScaler
    metadata: ClassVar[Mapping[str, str]] = {
        "stream": "orders",
        "address": "127.0.0.1:9",
        "consumerGroup": "workers",
        "lagCount": "5",
    }
    counting = "EVAL"
