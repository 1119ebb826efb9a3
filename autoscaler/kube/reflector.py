"""Keeps a store equal to the API server: a paged list, then a watch, for ever.

What goes wrong with watches in practice decides the shape: a version too old (410, as status or as
event) means listing again; a server that asks for patience (429) gets it; a connection that breaks,
stalls or talks nonsense is opened again from the last good version; one that keeps closing without
a word is not trusted, and the next round lists. Every repetition is delayed with jitter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final, Generic, TypeVar

import msgspec
import structlog

from autoscaler.errors import Gone, KubeError, TooManyRequests, Unreachable, shorten
from autoscaler.kube.answers import SERVER_ERROR, error_in_watch
from autoscaler.kube.codec import (
    HasMetadata,
    ObjectList,
    WatchEvent,
    decode_bookmark,
    decode_list,
    decode_name,
    decode_watch_event,
)
from autoscaler.kube.resources import Resource
from autoscaler.kube.store import Store, object_key
from autoscaler.kube.transport import KubeClient
from autoscaler.runtime.backoff import Backoff

T = TypeVar("T", bound=HasMetadata)

PAGE_ITEMS: Final = 500
PAGES_MAX: Final = 10_000
FRUITLESS_WATCHES_MAX: Final = 3
"""Some servers close a watch that is too old without saying so; listing again is the cure."""
SHORT_WATCH_SECONDS: Final = 1.0
"""A server that closes sooner is not asked again at once, whatever it sent."""
RETRY_AFTER_SECONDS_MAX: Final = 60.0
ABSENT_SECONDS_MAX: Final = 2.0
"""A server that does not answer at all is tried this often at least: nobody is spared by waiting
longer, and what is known grows older."""
TROUBLED_SECONDS_MAX: Final = 5.0
"""One in trouble (5xx) is not left alone much longer, nor one that asks for patience (429) than it
says itself."""
OBJECT_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError)

_log = structlog.get_logger(__name__)


class ReflectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times of one reflector, seconds.

    Attributes:
        watch_seconds: The server is asked to end a watch after a random time between these, so that
            not all watches are opened anew at once.
        silence_margin_seconds: A watch that has not ended that long after its time is dead.
        silence_seconds: Once the server has sent a bookmark (API servers do each minute), silence
            of this length means the watch is dead.
        list_timeout_seconds: For one page.
    """

    watch_seconds: tuple[float, float] = (300.0, 600.0)
    silence_margin_seconds: float = 15.0
    silence_seconds: float = 150.0
    list_timeout_seconds: float = 60.0


class ReflectorStats(msgspec.Struct):
    """What a reflector went through, for metrics and ``/readyz``.

    Attributes:
        failing: Why the store is not kept current right now, empty while it is.
        failing_since: Since when, ``loop.time()``; None while it is.
    """

    lists: int = 0
    watches: int = 0
    events: int = 0
    errors: int = 0
    refused_objects: int = 0
    last_error: str = ""
    failing: str = ""
    failing_since: float | None = None
    last_failure: KubeError | None = None


class Reflector(Generic[T]):
    """Lists and watches one resource into a store.

    Args:
        client: Connection.
        resource: What to watch.
        store: What to keep current.
        decode: From JSON to the object; an object it refuses is logged and left as it was.
        namespace: None = all namespaces.
        label_selector: Only objects matching it, textual form.
        field_selector: Likewise by field.
        rng: For jitter.
        settings: Times.
        fatal: Errors that end it, because repeating does not help.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        store: Store[T],
        *,
        decode: Callable[[bytes | msgspec.Raw], T],
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        rng: Random | None = None,
        settings: ReflectorSettings | None = None,
        fatal: tuple[type[KubeError], ...] = (),
    ) -> None:
        self.resource = resource
        self.store = store
        self.stats = ReflectorStats()
        self._client = client
        self._decode = decode
        self._path = resource.path(namespace)
        self._selectors = {
            name: text
            for name, text in (("labelSelector", label_selector), ("fieldSelector", field_selector))
            if text
        }
        self._rng = rng or Random()  # noqa: S311 -- jitter
        self._settings = settings or ReflectorSettings()
        self._fatal = fatal
        self._backoff = Backoff(self._rng)
        # Apart, so that the first answer after a long outage meets no long delay.
        self._absence = Backoff(self._rng, cap_seconds=ABSENT_SECONDS_MAX)
        self._trouble = Backoff(self._rng, cap_seconds=TROUBLED_SECONDS_MAX)
        self._version: str | None = None
        self._must_list = True
        self._is_paged = True
        self._fruitless = 0
        self._was_answered = False

    async def run(self) -> None:
        """List and watch until cancelled; never returns, and raises only what is fatal."""
        while True:
            self._was_answered = False
            try:
                if self._must_list:
                    await self._list()
                await self._watch()
            except KubeError as exc:
                if isinstance(exc, self._fatal):
                    raise
                if isinstance(exc, Gone):
                    self._must_list = True
                elif not _is_transient(exc):
                    self._fruitless += 1
                await self._pause(exc)
            if self._fruitless >= FRUITLESS_WATCHES_MAX:
                self._must_list = True

    async def _list(self) -> None:
        """Take over the whole collection."""
        items: dict[str, T] = {}
        token: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._page(token)
            for raw in page.items:
                item = self._decoded(raw) or self._known(raw)
                if item is not None:
                    items[object_key(item)] = item
            token = page.metadata.continue_
            if not token:
                break
            # A long list must not keep the loop from everything else.
            await asyncio.sleep(0)
        else:
            raise KubeError(f"GET {self._path}: the list goes on after {PAGES_MAX} pages")
        version = page.metadata.resource_version
        went_back = _is_older(version, self._version)
        if went_back:
            _log.warning("history_was_reset", path=self._path, version=version, was=self._version)
        self.store.replace(items, version, went_back=went_back)
        self._version = version
        self._must_list = False
        self._is_paged = True
        self._fruitless = 0
        self._note_current()
        self.stats.lists += 1

    async def _page(self, token: str | None) -> ObjectList:
        params = dict(self._selectors)
        if self._is_paged:
            params["limit"] = str(PAGE_ITEMS)
        if token:
            params["continue"] = token
        elif self._version is None:
            # Any version will do for a start and spares the server; afterwards going back in time
            # is not acceptable, so the most recent one is asked for by naming none.
            params["resourceVersion"] = "0"
        try:
            body = await self._client.request(
                "GET",
                self._path,
                params=params,
                timeout_seconds=self._settings.list_timeout_seconds,
            )
            return decode_list(body)
        except Gone:
            # The list changes faster than it can be paged through: take it in one piece.
            self._is_paged = False
            raise
        except OBJECT_ERRORS as exc:
            raise KubeError(f"GET {self._path}: not a list: {shorten(str(exc))}") from exc

    async def _watch(self) -> None:
        """Follow changes until the server closes the watch."""
        assert self._version is not None
        watch_seconds = self._rng.uniform(*self._settings.watch_seconds)
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(round(watch_seconds)),
            **self._selectors,
        }
        self.stats.watches += 1
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        async with self._client.stream(
            self._path,
            params=params,
            inactivity_seconds=watch_seconds + self._settings.silence_margin_seconds,
        ) as lines:
            self._note_current()
            self._was_answered = True
            received = False
            async for line in lines:
                event = self._parsed(line)
                if event.type == "BOOKMARK":
                    lines.inactivity_seconds = self._settings.silence_seconds
                self._take(event)
                received = True
                self._fruitless = 0
        if not received:
            self._fruitless += 1
        if not received or loop.time() - started_at < SHORT_WATCH_SECONDS:
            await self._pause(None)

    def _parsed(self, line: bytes) -> WatchEvent:
        try:
            return decode_watch_event(line)
        except OBJECT_ERRORS as exc:
            raise KubeError(f"GET {self._path} (watch): not an event: {shorten(str(exc))}") from exc

    def _take(self, event: WatchEvent) -> None:
        """Apply one event to the store."""
        self.stats.events += 1
        match event.type:
            case "ADDED" | "MODIFIED":
                item = self._decoded(event.object)
                if item is not None:
                    self.store.put(item)
            case "DELETED":
                item = self._decoded(event.object)
                if item is not None:
                    self.store.remove(item)
            case "BOOKMARK":
                pass
            case "ERROR":
                raise error_in_watch(f"GET {self._path} (watch)", event.object)
            case _:
                _log.warning("unknown_watch_event", path=self._path, type=shorten(event.type, 40))
                return
        self._advance(event.object)

    def _advance(self, raw: msgspec.Raw) -> None:
        try:
            version = decode_bookmark(raw).metadata.resource_version
        except OBJECT_ERRORS:
            return
        if version:
            self._version = version

    def _decoded(self, raw: msgspec.Raw) -> T | None:
        """Decode an object; one that cannot be read must not cost us all others."""
        try:
            return self._decode(raw)
        except OBJECT_ERRORS as exc:
            self.stats.refused_objects += 1
            _log.warning(
                "object_refused",
                path=self._path,
                error=shorten(str(exc)),
                object=shorten(bytes(raw)[:512].decode("utf-8", "replace"), 120),
            )
            return None

    def _known(self, raw: msgspec.Raw) -> T | None:
        """Return what the store has for an object that cannot be read as it is now."""
        try:
            meta = decode_name(raw).metadata
        except OBJECT_ERRORS:
            return None
        return self.store.get(f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name)

    async def _pause(self, error: KubeError | None) -> None:
        """Wait before the next round; after an error also say so."""
        wish = (error.retry_after_seconds or 0.0) if error is not None else 0.0
        now = asyncio.get_running_loop().time()
        delay = self._backoff_after(error).next_delay(
            at=now, at_least=min(wish, RETRY_AFTER_SECONDS_MAX)
        )
        if error is not None:
            self.stats.errors += 1
            self.stats.failing = str(error)
            if self.stats.failing_since is None:
                self.stats.failing_since = now
            self.stats.last_error, self.stats.last_failure = str(error), error
            # A version that became too old is the normal end of a quiet watch.
            log = _log.info if isinstance(error, Gone) else _log.warning
            log("watch_interrupted", path=self._path, error=str(error), delay_seconds=delay)
        await asyncio.sleep(delay)

    def _note_current(self) -> None:
        self.stats.failing = ""
        self.stats.failing_since = None

    def _backoff_after(self, error: KubeError | None) -> Backoff:
        if _is_unanswered(error) and not self._was_answered:
            return self._absence
        return self._trouble if _is_passing(error) else self._backoff


def _is_transient(error: KubeError) -> bool:
    """Tell whether a watch may simply be opened again: no answer at all, or "not now"."""
    return isinstance(error, TooManyRequests) or _is_unanswered(error)


def _is_unanswered(error: KubeError | None) -> bool:
    return isinstance(error, Unreachable) and error.status == 0


def _is_passing(error: KubeError | None) -> bool:
    """Tell whether the server is in trouble of its own, or asks for patience."""
    return isinstance(error, TooManyRequests) or (
        isinstance(error, Unreachable) and error.status >= SERVER_ERROR
    )


def _is_older(version: str, than: str | None) -> bool:
    if than is None or not (version.isdigit() and than.isdigit()):
        return False
    return int(version) < int(than)
