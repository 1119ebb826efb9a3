"""How many calls may be under way, of each kind, and how many that have not said what they want.

The transport hands a call over with its request, and only limits all calls together: whoever opens
calls and sends nothing, or watches the health a thousand times, would take the room of everybody.
So every call is taken as a stream of requests here, and its request is waited for in a bounded
room of its own. On the wire there is no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from typing_extensions import override

REQUEST_SECONDS: Final = 5.0
"""How long a call may be open before its request is there; honest ones send it at once."""

ARRIVALS: Final = 256
"""Calls whose request is waited for, at most."""

OTHER_STREAMS: Final = 64
"""Watches of the health, and reflection, at most; KEDA opens none."""
OTHER_CALLS: Final = 64
"""Other calls to services that are not ours, such as checks of the health."""

Context = grpc.aio.ServicerContext[Any, Any]


class Refused(Exception):
    """A call that ends with a status."""

    def __init__(self, code: grpc.StatusCode, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Room:
    """Room for calls of one kind.

    Args:
        most: How many may be under way.
        kind: What they are called, in the plural.
    """

    def __init__(self, most: int, kind: str) -> None:
        self._most = most
        self._kind = kind
        self.taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place while the context is open.

        Raises:
            Refused: All are taken.
        """
        if self.taken >= self._most:
            what = f"{self._most} {self._kind} already"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, what)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Arrivals:
    """Calls whose request is not there yet; with too many of them the oldest gives way.

    A request usually comes with its call, so an honest call is never the oldest.
    """

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Timeout, None] = {}

    async def request_of(self, context: Context) -> Any:
        """Return a call's request.

        Raises:
            Refused: None came in time, or none at all.
        """
        if len(self._waiting) >= ARRIVALS:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        limit = asyncio.timeout(REQUEST_SECONDS)
        try:
            async with limit:
                self._waiting[limit] = None
                request = await context.read()
        except TimeoutError:
            what = "the call's request did not come in time"
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, what) from None
        finally:
            self._waiting.pop(limit, None)
        if request is grpc.aio.EOF:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the call has no request")
        return request


class OtherServices(grpc.GenericRpcHandler):
    """Bounds the calls to services that are not ours; stands for the server when they are added.

    Args:
        arrivals: Where requests are waited for.
    """

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._streams = Room(OTHER_STREAMS, "streams of health and reflection are open")
        self._calls = Room(OTHER_CALLS, "calls to health and reflection are under way")
        self._handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Take the methods of a service."""
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Do nothing: the same methods once more, for servers that need no lookup."""

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call; None if nobody serves it."""
        for handler in self._handlers:
            # The stubs do not know of methods that nobody serves.
            if (found := handler.service(handler_call_details)) is not None:
                return self._bounded(found)
        return None

    def _bounded(self, found: Any) -> grpc.RpcMethodHandler[Any, Any]:
        behavior = (
            found.unary_unary or found.unary_stream or found.stream_unary or found.stream_stream
        )
        room = self._streams if found.response_streaming else self._calls

        async def call(requests: AsyncIterator[Any], context: Context) -> Any:
            try:
                given = requests
                if not found.request_streaming:
                    given = await self._arrivals.request_of(context)
                with room.place():
                    answer = behavior(given, context)
                    if not hasattr(answer, "__aiter__"):
                        return await answer
                    async for response in answer:
                        await context.write(response)
            except Refused as error:
                await context.abort(error.code, error.why)

        make = (
            grpc.stream_stream_rpc_method_handler
            if found.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        return make(call, found.request_deserializer, found.response_serializer)
