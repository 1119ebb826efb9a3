"""The suite every scaler passes, ready to be subclassed by scalers of any origin.

::

    class TestQueueScaler(HttpScalerContract):
        scaler_type = QueueScaler
        metadata = {"url": "{{SERVER}}/stats", "length": "5"}
        auth = {"token": "s3cret-token"}
        other_auth = {"token": "another-token"}

        def answer(self, value: str) -> bytes:
            return f'{{"length": {value}}}'.encode()

It proves that metrics keep their names, that a parameter nobody described does not exist, that a
source in any kind of trouble gives a :class:`MetricError` and never a number, that secrets stay out
of every text, and that nothing is left running or blocks the loop. Needs pytest and, for the last
point, blockbuster.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import msgspec
import pytest
from typing_extensions import override

from autoscaler.core.model import Reading
from autoscaler.errors import (
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    TriggerConfigError,
)
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import (
    NO_SOURCE,
    Answer,
    LearningScaler,
    Scaler,
    SourceContext,
    TriggerContext,
)

T = TypeVar("T")

CANCEL_SECONDS: Final = 1.0
IMPATIENT_SECONDS: Final = 0.3
"""Timeout of requests in the suite, so that a silent source does not cost three seconds."""
BODY_LIMIT: Final = 64 * 1024
TEST_SECONDS: Final = 20.0
_PLACEHOLDER: Final = "{{SERVER}}"


class Trouble(StrEnum):
    """What can be wrong with a source."""

    REFUSED = "nobody listens"
    SILENT = "no answer"
    BROKEN_OFF = "the answer breaks off"
    EMPTY = "an empty answer"
    GARBAGE = "garbage"
    HUGE = "more than the body limit"
    NOT_A_NUMBER = "NaN"
    INFINITE = "infinity"
    TOO_LARGE = "a number beyond a quantity"
    UNAUTHORIZED = "status 401"
    FORBIDDEN = "status 403"
    NOT_FOUND = "status 404"
    TOO_MANY_REQUESTS = "status 429"
    SERVER_ERROR = "status 500"
    UNAVAILABLE = "status 503"


EXPECTED: Final[Mapping[Trouble, type[MetricError]]] = {
    Trouble.REFUSED: MetricUnavailable,
    Trouble.SILENT: MetricUnavailable,
    Trouble.BROKEN_OFF: MetricUnavailable,
    Trouble.EMPTY: MetricMalformed,
    Trouble.GARBAGE: MetricMalformed,
    Trouble.HUGE: MetricMalformed,
    Trouble.NOT_A_NUMBER: MetricMalformed,
    Trouble.INFINITE: MetricMalformed,
    Trouble.TOO_LARGE: MetricMalformed,
    Trouble.UNAUTHORIZED: MetricRejected,
    Trouble.FORBIDDEN: MetricRejected,
    Trouble.NOT_FOUND: MetricRejected,
    Trouble.TOO_MANY_REQUESTS: MetricUnavailable,
    Trouble.SERVER_ERROR: MetricUnavailable,
    Trouble.UNAVAILABLE: MetricUnavailable,
}
_STATUSES: Final[Mapping[Trouble, int]] = {
    Trouble.UNAUTHORIZED: 401,
    Trouble.FORBIDDEN: 403,
    Trouble.NOT_FOUND: 404,
    Trouble.TOO_MANY_REQUESTS: 429,
    Trouble.SERVER_ERROR: 500,
    Trouble.UNAVAILABLE: 503,
}
_NUMBERS: Final[Mapping[Trouble, str]] = {
    Trouble.NOT_A_NUMBER: "NaN",
    Trouble.INFINITE: "+Inf",
    Trouble.TOO_LARGE: "1e300",
}


class World(msgspec.Struct, frozen=True):
    """A source in some state: parameters that lead to it, and what a source object needs."""

    metadata: Mapping[str, str]
    context: SourceContext


class ScalerContract:
    """What every scaler promises; subclass it as ``Test…`` and say how its source is played."""

    scaler_type: ClassVar[type[Scaler]]
    metadata: ClassVar[Mapping[str, str]] = {}
    """Parameters of a working trigger."""
    auth: ClassVar[Mapping[str, str]] = {}
    """Authentication parameters of a working trigger."""
    other_auth: ClassVar[Mapping[str, str]] = {}
    """Somebody else's authentication parameters, empty when the scaler has none."""
    env: ClassVar[Mapping[str, str]] = {}
    metric_type: ClassVar[str | None] = None
    troubles: ClassVar[Mapping[Trouble, type[MetricError]]] = EXPECTED
    """The troubles the source can have, with the error each must become."""
    can_be_negative: ClassVar[bool] = True
    """Whether the source can say a number below zero."""
    values: ClassVar[Sequence[str]] = ("0", "7", "2.5")
    """Numbers the source can be made to say."""
    at: ClassVar[float] = 1_700_000_000.0

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run the tests of values and troubles for those the source can have."""
        for name, choices in (("value", self.values), ("trouble", tuple(self.troubles))):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, choices or (None,))

    def playing(self, trouble: Trouble | None, value: str) -> AbstractAsyncContextManager[World]:
        """Provide the source in a state.

        Args:
            trouble: What is wrong; None = it answers ``value``.
            value: A decimal number the trigger must read.
        """
        raise NotImplementedError

    def test_metric_names_are_stable_and_begin_with_the_trigger_index(self) -> None:
        """The same trigger always names its metrics alike; only the index changes the prefix."""
        names = [spec.name for spec in self._build(trigger_index=3).metric_specs()]
        assert names
        assert len(set(names)) == len(names)
        assert all(name.startswith("s3-") for name in names)
        assert not any(set(name) & set("/.:%()") for name in names)
        assert names == [spec.name for spec in self._build(trigger_index=3).metric_specs()]
        moved = [spec.name for spec in self._build(trigger_index=12).metric_specs()]
        assert moved == [name.replace("s3-", "s12-", 1) for name in names]

    def test_targets_are_positive(self) -> None:
        """Every metric of a trigger that stands alone has a target to divide by."""
        assert all(spec.target_milli > 0 for spec in self._build().metric_specs())

    def test_tier_and_description_are_given(self) -> None:
        """The class says how well it is tested and what it measures."""
        assert self.scaler_type.tier in ("bronze", "silver", "gold")
        assert self.scaler_type.description

    def test_every_parameter_is_described(self) -> None:
        """What the trigger uses is described, with a sentence for everything still accepted."""
        described = self.scaler_type.config_type.describe()
        names = {name for p in described for name in (p.name, *p.aliases)}
        assert names >= {key.removesuffix("FromEnv") for key in self.metadata} | set(self.auth)
        assert all(p.doc or p.removed or p.deprecated for p in described)
        assert not self.scaler_type.config_type.unexpected_parameters(self.metadata)

    def test_described_defaults_are_the_defaults(self) -> None:
        """Writing every described default out changes nothing."""
        described = self.scaler_type.config_type.describe()
        given = {
            p.name: p.default for p in described if p.default and "metadata" in p.sources
        } | dict(self.metadata)
        assert self._parse(given) == self._parse(self.metadata)

    def test_all_missing_parameters_are_named_at_once(self) -> None:
        """An empty trigger's error names each required parameter."""
        required = {p.name for p in self.scaler_type.config_type.describe() if p.required}
        if not required:
            return
        with pytest.raises(TriggerConfigError) as caught:
            self.scaler_type.config_type.parse({}, {}, {}, self._context())
        assert required <= {name for name, _ in caught.value.problems}

    def test_equal_triggers_share_source_and_query(self) -> None:
        """Two triggers that say the same ask the same of the same source."""
        one, two = self._build(trigger_index=0), self._build(trigger_index=1)
        assert one.source_key() == two.source_key()
        assert hash(one.source_key()) == hash(two.source_key())
        if one.source_key() == NO_SOURCE:
            return
        queries = [s.query(s.metric_specs()[0].name) for s in (one, two)]
        assert queries[0] == queries[1]
        assert hash(queries[0]) == hash(queries[1])

    def test_other_credentials_mean_another_source(self) -> None:
        """Nobody reads with somebody else's credentials."""
        if not self.other_auth:
            return
        other = self._build(auth={**self.auth, **self.other_auth})
        assert other.source_key() != self._build().source_key()

    def test_secrets_are_in_no_text(self) -> None:
        """Neither configuration nor source key nor query show a secret when printed."""
        scaler = self._build()
        config = self._parse(self.metadata)
        shown = f"{config!r} {config} {scaler!r} {scaler.source_key()!r}"
        if scaler.source_key() != NO_SOURCE:
            shown += repr(scaler.query(scaler.metric_specs()[0].name))
        self._assert_no_secret(shown)

    def test_a_good_answer_is_a_reading(self, value: str | None) -> None:
        """The number the source says is the reading's value, taken when it was asked."""
        if value is None or not self._has_source():
            return
        reading = self._read(None, value)
        assert isinstance(reading, Reading), reading
        assert reading.value == float(value)
        assert reading.values_milli == (int(float(value) * 1000),)
        assert reading.sampled_at == self.at

    def test_a_negative_number_never_counts_below_zero(self) -> None:
        """What the replica arithmetic sums is never negative."""
        if not self._has_source() or not self.can_be_negative:
            return
        reading = self._read(None, "-5")
        assert isinstance(reading, Reading), reading
        assert reading.values_milli == (0,)

    def test_trouble_is_an_error_and_never_a_number(self, trouble: Trouble | None) -> None:
        """Each kind of trouble becomes the error it should, and the error shows no secret."""
        if trouble is None:
            return
        outcome = self._read(trouble, "7")
        assert isinstance(outcome, self.troubles[trouble]), repr(outcome)
        self._assert_no_secret(str(outcome))

    def test_a_fetch_can_be_cancelled(self) -> None:
        """Cancelling a fetch that waits for a silent source takes less than a second."""
        if Trouble.SILENT not in self.troubles:
            return
        assert _run(self._seconds_to_cancel()) < CANCEL_SECONDS

    def test_nothing_is_left_behind(self) -> None:
        """After closing, no task and no socket is left, whatever the source did."""
        for trouble in (None, *self.troubles) if self._has_source() else ():
            tasks, sockets = _run(self._left_behind(trouble))
            assert tasks == 0, f"{trouble}: {tasks} tasks left"
            assert sockets == 0, f"{trouble}: {sockets} sockets left"

    def test_the_loop_is_never_blocked(self) -> None:
        """Fetching makes no blocking call on the loop."""
        if not self._has_source():
            return
        blockbuster = pytest.importorskip("blockbuster")
        self._read(None, "1")  # modules that are imported on first use
        with blockbuster.blockbuster_ctx():
            outcome = self._read(None, "7")
        assert isinstance(outcome, Reading), outcome

    def _context(self, trigger_index: int = 0) -> TriggerContext:
        return TriggerContext(
            name="contract", trigger_index=trigger_index, metric_type=self.metric_type
        )

    def _has_source(self) -> bool:
        return self._build().source_key() != NO_SOURCE

    def _parse(self, metadata: Mapping[str, str], auth: Mapping[str, str] | None = None) -> Any:
        config_type = self.scaler_type.config_type
        metadata = _filled(metadata, "http://127.0.0.1:9")
        auth = self.auth if auth is None else auth
        return config_type.parse(metadata, auth, self.env, self._context())

    def _build(
        self,
        trigger_index: int = 0,
        metadata: Mapping[str, str] | None = None,
        auth: Mapping[str, str] | None = None,
    ) -> Scaler:
        config = self._parse(self.metadata if metadata is None else metadata, auth)
        return self.scaler_type.create(config, self._context(trigger_index))

    def _assert_no_secret(self, text: str) -> None:
        described = self.scaler_type.config_type.describe()
        secret = {name for p in described if p.secret for name in (p.name, *p.aliases)}
        shown = [name for name, value in self.auth.items() if name in secret and value in text]
        assert not shown, f"{shown} can be read in: {text}"

    def _read(self, trouble: Trouble | None, value: str) -> Reading | MetricError:
        return _run(self._fetch(trouble, value))

    async def _fetch(self, trouble: Trouble | None, value: str) -> Reading | MetricError:
        async with self.playing(trouble, value) as world:
            scaler = self._build(metadata={**self.metadata, **world.metadata})
            name = scaler.metric_specs()[0].name
            query = scaler.query(name)
            source = scaler.open_source(world.context)
            try:
                async with asyncio.timeout(TEST_SECONDS):
                    answer = (await source.fetch([query], self.at))[query]
                if isinstance(answer, MetricError):
                    return answer
                return self._reading(scaler, name, answer)
            except MetricError as error:
                return error
            finally:
                await source.close()

    def _reading(self, scaler: Scaler, name: str, answer: Answer) -> Reading:
        """Return what the service makes of an answer: what it teaches is taken over first."""
        if isinstance(scaler, LearningScaler):
            with contextlib.suppress(MetricError):
                scaler.reading(name, answer, self.at)
            if scaler.has_learned():
                scaler.take_over()
                name = scaler.metric_specs()[0].name
        return scaler.reading(name, answer, self.at)

    async def _seconds_to_cancel(self) -> float:
        loop = asyncio.get_running_loop()
        async with self.playing(Trouble.SILENT, "7") as world:
            scaler = self._build(metadata={**self.metadata, **world.metadata})
            query = scaler.query(scaler.metric_specs()[0].name)
            source = scaler.open_source(world.context)
            started = loop.time()
            with contextlib.suppress(TimeoutError, MetricError):
                # Half the request's own patience: the cancellation comes from outside.
                async with asyncio.timeout(IMPATIENT_SECONDS / 2):
                    await source.fetch([query], self.at)
            seconds = loop.time() - started
            await source.close()
            return seconds

    async def _left_behind(self, trouble: Trouble | None) -> tuple[int, int]:
        tasks, sockets = len(asyncio.all_tasks()), _open_sockets()
        await self._fetch(trouble, "7")
        await asyncio.sleep(0)
        # What only the traceback of a caught error still holds is not left behind.
        gc.collect()
        return len(asyncio.all_tasks()) - tasks, max(0, _open_sockets() - sockets)


class HttpScalerContract(ScalerContract):
    """A scaler whose source speaks HTTP; ``{{SERVER}}`` in the metadata is the server's address."""

    def answer(self, value: str) -> bytes:
        """Return the body in which the trigger finds ``value``, a number in decimal text."""
        raise NotImplementedError

    @override
    @asynccontextmanager
    async def playing(self, trouble: Trouble | None, value: str) -> AsyncIterator[World]:
        """Serve the answer, or the trouble, on a free loopback port."""
        body = self.answer(_NUMBERS.get(trouble, value) if trouble else value)
        async with (
            ScriptedHttpServer(trouble, body) as address,
            HttpClient(timeout_seconds=IMPATIENT_SECONDS, body_limit=BODY_LIMIT) as http,
        ):
            context = SourceContext(http=http, clock=ManualClock(self.at))
            yield World(_filled(self.metadata, address), context)


class ScriptedHttpServer:
    """The smallest HTTP server that can misbehave.

    Args:
        trouble: How; None = 200 with the body.
        body: What it answers; error statuses repeat the request's headers, to show whether
            a client blanks secrets its source echoes.
    """

    def __init__(self, trouble: Trouble | None, body: bytes) -> None:
        self._trouble = trouble
        self._body = body
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        if self._trouble is Trouble.REFUSED:
            await self._stop()
        return f"http://127.0.0.1:{port}"

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for client in self._clients:
            client.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            # Connection handlers end once they notice that their client is gone.
            for _ in range(5):
                await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                if self._trouble is Trouble.SILENT:
                    await reader.read()
                    break
                writer.write(self._response(request))
                await writer.drain()
                if self._trouble is Trouble.BROKEN_OFF:
                    break
        writer.close()

    def _response(self, request: bytes) -> bytes:
        status = _STATUSES.get(self._trouble, 200) if self._trouble else 200
        match self._trouble:
            case Trouble.EMPTY:
                body = b""
            case Trouble.GARBAGE:
                body = b"\x00\xff<<< no answer to any question >>>\xfe"
            case Trouble.HUGE:
                body = b" " * (2 * BODY_LIMIT) + self._body
            case _:
                body = self._body if status == 200 else b"refused: " + request  # noqa: PLR2004
        announced = len(body) + (100 if self._trouble is Trouble.BROKEN_OFF else 0)
        head = f"HTTP/1.1 {status} Scripted\r\nContent-Length: {announced}\r\n\r\n"
        return head.encode() + body


def _filled(metadata: Mapping[str, str], address: str) -> dict[str, str]:
    return {key: value.replace(_PLACEHOLDER, address) for key, value in metadata.items()}


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run on a loop of its own, so that the suite works with any asyncio plugin, or none."""
    return asyncio.run(coroutine)


def _open_sockets() -> int:
    """Return the number of open sockets of this process; 0 where that cannot be seen."""
    count = 0
    with contextlib.suppress(OSError):
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                count += str(entry.readlink()).startswith("socket:")
    return count
