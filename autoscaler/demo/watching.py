"""WATCH: the lines of a watch stream, from the first event to the timeout."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import msgspec

from autoscaler.demo.apierrors import ApiError, bad_request, expired
from autoscaler.demo.faults import WatchFault
from autoscaler.demo.listing import forbidden_option, read_version
from autoscaler.demo.objects import JsonObject, encode
from autoscaler.demo.resources import Resource
from autoscaler.demo.selectors import Predicate, everything, parse
from autoscaler.demo.store import Change, Compacted, Item, Store, Watcher

BOOKMARK_SECONDS: Final = 60.0
BOOKMARK_BEFORE_END_SECONDS: Final = 2.0
TIMEOUT_SECONDS: Final = 1_800.0
BATCH_LIMIT: Final = 500
"""Events sent in one write."""

Encoded = Callable[[Item], bytes]
TRUE: Final = frozenset({"1", "true", "True", "t", "T"})


class WatchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A watch as asked for.

    Attributes:
        since: Version to resume after; None or 0 = begin with what exists now.
        streams_list: ``sendInitialEvents``: a marked bookmark ends the initial events.
        bookmark_seconds: Between bookmarks; None = the client wants none.
    """

    resource: Resource
    namespace: str | None
    matches: Predicate
    since: int | None
    streams_list: bool
    timeout_seconds: float
    bookmark_seconds: float | None


def read_request(
    resource: Resource,
    namespace: str | None,
    query: Mapping[str, str],
    bookmark_seconds: float = BOOKMARK_SECONDS,
) -> WatchRequest:
    """Return the watch a request asks for; raises ApiError 400 or 422."""
    streams_list = query.get("sendInitialEvents") in TRUE
    match = query.get("resourceVersionMatch", "")
    if streams_list and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise forbidden_option("resourceVersionMatch", why)
    if match and not query.get("sendInitialEvents"):
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise forbidden_option("resourceVersionMatch", why)
    timeout = query.get("timeoutSeconds", "")
    if timeout and not timeout.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{timeout}": invalid syntax')
    wants_bookmarks = query.get("allowWatchBookmarks") in TRUE
    return WatchRequest(
        resource=resource,
        namespace=namespace,
        matches=parse(query, resource),
        since=read_version(query.get("resourceVersion", "")),
        streams_list=streams_list,
        timeout_seconds=float(timeout) if timeout.isdigit() and int(timeout) else TIMEOUT_SECONDS,
        bookmark_seconds=bookmark_seconds if wants_bookmarks else None,
    )


def line(kind: str, body: bytes) -> bytes:
    """Return one line of the stream."""
    return b'{"type":"' + kind.encode() + b'","object":' + body + b"}\n"


def error_line(error: ApiError) -> bytes:
    """Return the ERROR event that ends a watch."""
    return line("ERROR", encode(error.status()))


def bookmark(resource: Resource, version: int, *, ends_initial: bool = False) -> bytes:
    """Return a BOOKMARK event."""
    metadata: JsonObject = {"resourceVersion": str(version), "creationTimestamp": None}
    if ends_initial:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return line("BOOKMARK", encode(body))


def event_line(change: Change, matches: Predicate, encoded: Encoded) -> bytes | None:
    """Return the event a change is to a watcher with a selector, None when it is none.

    An object that begins to match is ADDED, one that no longer matches is DELETED.
    """
    was = change.before is not None and matches(change.before.value)
    if change.after is None:
        assert change.tombstone is not None
        return line("DELETED", encoded(change.tombstone)) if was else None
    if matches(change.after.value):
        return line("MODIFIED" if was else "ADDED", encoded(change.after))
    return line("DELETED", encoded(change.after)) if was else None


async def stream(
    store: Store, request: WatchRequest, encoded: Encoded, fault: WatchFault | None
) -> AsyncIterator[bytes]:
    """Yield the lines of a watch until its timeout, overflow, fault or the server's end.

    Raises:
        ConnectionResetError: A fault drops the connection.
    """
    begins_with_list = not request.since or request.streams_list
    since = store.version if begins_with_list else request.since
    try:
        watcher = store.watch(request.resource.storage, namespace=request.namespace, since=since)
    except Compacted as exc:
        yield error_line(expired(str(exc)))
        return
    try:
        if begins_with_list:
            initial = [
                line("ADDED", encoded(item))
                for item in store.items(request.resource.storage, request.namespace)
                if request.matches is everything or request.matches(item.value)
            ]
            if request.streams_list:
                initial.append(bookmark(request.resource, store.version, ends_initial=True))
            if initial:
                yield b"".join(initial)
        async for chunk in _live(store, watcher, request, encoded, fault):
            yield chunk
    finally:
        store.unwatch(watcher)


async def _live(
    store: Store,
    watcher: Watcher,
    request: WatchRequest,
    encoded: Encoded,
    fault: WatchFault | None,
) -> AsyncIterator[bytes]:
    time = asyncio.get_running_loop().time
    ends_at = time() + request.timeout_seconds
    fault_at = ends_at + 1 if fault is None else time() + fault.after_seconds
    bookmarks_at = _next_bookmark(request, time(), ends_at)
    while True:
        wakes_at = min(ends_at, fault_at, bookmarks_at)
        try:
            async with asyncio.timeout_at(wakes_at):
                change = await watcher.next()
        except TimeoutError:
            # A timer may fire a clock tick early: what was waited for counts, not the time it is.
            if fault is not None and wakes_at == fault_at:
                yield await _suffer(fault, watcher, ends_at - time())
                return
            if wakes_at == ends_at:
                return
            # An event may have come in while the timeout fired; a bookmark must not overtake it.
            change = watcher.take()
            if change is None:
                yield bookmark(request.resource, store.version)
                bookmarks_at = _next_bookmark(request, max(time(), wakes_at), ends_at)
                continue
        if change is None:
            return
        yield _batch(change, watcher, request.matches, encoded)


def _batch(change: Change | None, watcher: Watcher, matches: Predicate, encoded: Encoded) -> bytes:
    lines: list[bytes] = []
    while change is not None and len(lines) < BATCH_LIMIT:
        event = event_line(change, matches, encoded)
        if event is not None:
            lines.append(event)
        if len(lines) == BATCH_LIMIT:
            break
        change = watcher.take()
    return b"".join(lines)


def _next_bookmark(request: WatchRequest, now: float, ends_at: float) -> float:
    """Return when to send the next bookmark: at intervals, and once shortly before the end."""
    if request.bookmark_seconds is None:
        return ends_at + 1
    last_at = ends_at - BOOKMARK_BEFORE_END_SECONDS
    regular_at = now + request.bookmark_seconds
    return last_at if now < last_at < regular_at else regular_at


async def _suffer(fault: WatchFault, watcher: Watcher, left_seconds: float) -> bytes:
    match fault.kind:
        case "expire":
            return error_line(expired("too old resource version: the history was compacted"))
        case "stall":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left_seconds)):
                    while await watcher.next() is not None:
                        pass
            return b""
        case _:
            raise ConnectionResetError("watch dropped by a fault")
