"""The reflector against everything a watch can do wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from autoscaler.errors import Forbidden
from autoscaler.kube.codec import CustomObject, decode_custom
from autoscaler.kube.reflector import Reflector, ReflectorSettings
from autoscaler.kube.resources import CONFIG_MAPS
from autoscaler.kube.store import Store
from autoscaler.kube.transport import KubeClient, TransportLimits
from tests.doubles.scripted_api import (
    Answer,
    Cut,
    Hang,
    ScriptedApi,
    event,
    refusal,
    reply,
    status_object,
    watch,
)

pytestmark = pytest.mark.looptime

PATH = "/api/v1/namespaces/shop/configmaps"
QUIET = watch(Hang())


def item(name: str, version: int, **data: str) -> dict[str, Any]:
    """Return a ConfigMap."""
    meta = {"name": name, "namespace": "shop", "resourceVersion": str(version)}
    return {"metadata": meta, "data": data}


def listed(version: int, *items: Any, token: str = "") -> Answer:
    """Return the answer to a list."""
    metadata = {"resourceVersion": str(version), "continue": token}
    return reply({"kind": "ConfigMapList", "metadata": metadata, "items": list(items)})


def bookmark(version: int) -> bytes:
    """Return a bookmark event."""
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def contents(store: Store[CustomObject]) -> dict[str, str]:
    """Return key and version of everything in the store."""
    return {key: stored.metadata.resource_version for key, stored in _items(store)}


def _items(store: Store[CustomObject]) -> list[tuple[str, CustomObject]]:
    return [(key, stored) for key in store.keys() if (stored := store.get(key)) is not None]  # noqa: SIM118


@asynccontextmanager
async def reflecting(
    *answers: Answer, line_bytes: int = 1_000_000, **options: Any
) -> AsyncIterator[tuple[ScriptedApi, Reflector[CustomObject]]]:
    """Run a reflector against a script."""
    api = ScriptedApi(*answers)
    store: Store[CustomObject] = Store()
    async with api.serve():
        client = KubeClient.for_url(api.url, limits=TransportLimits(line_bytes=line_bytes))
        reflector = Reflector(
            client,
            CONFIG_MAPS,
            store,
            decode=decode_custom,
            namespace="shop",
            rng=Random(1),
            **options,
        )
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(reflector.run())
                try:
                    yield api, reflector
                finally:
                    task.cancel()
        finally:
            await client.close()


def kinds(api: ScriptedApi) -> list[str]:
    """Return ``list`` or ``watch@version`` for each request."""
    return [
        f"watch@{asked.query['resourceVersion']}" if "watch" in asked.query else "list"
        for asked in api.requests
    ]


async def test_a_list_then_a_watch_from_its_version() -> None:
    """The store holds the list, then follows additions, changes and deletions."""
    async with reflecting(
        listed(10, item("a", 5), item("b", 6)),
        watch(
            event("ADDED", item("c", 11)),
            event("MODIFIED", item("a", 12, x="1")),
            event("DELETED", item("b", 13)),
            Hang(),
        ),
    ) as (api, reflector):
        await asyncio.sleep(1)
        assert contents(reflector.store) == {"shop/a": "12", "shop/c": "11"}
        assert kinds(api) == ["list", "watch@10"]
    first, second = (asked.query for asked in api.requests)
    assert first == {"limit": "500", "resourceVersion": "0"}
    assert second["allowWatchBookmarks"] == "true"
    assert 300 <= int(second["timeoutSeconds"]) <= 600
    assert api.asked == [f"GET {PATH}", f"GET {PATH}"]


async def test_selectors_go_with_every_request() -> None:
    """List and watch are narrowed by label and field."""
    async with reflecting(
        listed(10), QUIET, label_selector="app=web", field_selector="metadata.name=x"
    ) as (api, _):
        await asyncio.sleep(1)
    for asked in api.requests:
        assert asked.query["labelSelector"] == "app=web"
        assert asked.query["fieldSelector"] == "metadata.name=x"


async def test_a_fatal_error_ends_it() -> None:
    """What repeating cannot help is raised at once instead of being repeated for ever."""
    api = ScriptedApi(refusal(403, "Forbidden", "no"))
    async with api.serve():
        client = KubeClient.for_url(api.url)
        store: Store[CustomObject] = Store()
        reflector = Reflector(client, CONFIG_MAPS, store, decode=decode_custom, fatal=(Forbidden,))
        with pytest.raises(Forbidden):
            await reflector.run()
        await client.close()
    assert len(api.requests) == 1


async def test_pages_are_put_together_before_the_store_is_synced() -> None:
    """A list in pages is taken over as a whole; half a list is never shown."""
    async with reflecting(
        listed(10, item("a", 5), token="more"),
        Answer(
            [
                2.0,
                json.dumps(
                    {"metadata": {"resourceVersion": "10"}, "items": [item("b", 6)]}
                ).encode(),
            ]
        ),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(1)
        assert not reflector.store.has_synced
        assert len(reflector.store) == 0
        await asyncio.sleep(2)
        assert reflector.store.has_synced
        assert contents(reflector.store) == {"shop/a": "5", "shop/b": "6"}
    assert api.requests[1].query == {"limit": "500", "continue": "more"}


async def test_a_normal_close_continues_from_the_last_version() -> None:
    """When the server ends a watch after its time, the next one starts where it stopped."""
    async with reflecting(
        listed(10),
        watch(event("ADDED", item("a", 11)), 300.0, bookmark(20)),
        QUIET,
    ) as (api, _):
        await asyncio.sleep(310)
    assert kinds(api) == ["list", "watch@10", "watch@20"]
    assert api.requests[2].at == pytest.approx(300.0, abs=0.1)


async def test_410_on_opening_lists_again() -> None:
    """A version the server no longer has leads to a list of the most recent state."""
    async with reflecting(
        listed(10, item("a", 5), item("gone", 6)),
        refusal(410, "Expired", "too old resource version"),
        listed(30, item("a", 25)),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/a": "25"}
    assert kinds(api) == ["list", "watch@10", "list", "watch@30"]
    assert "resourceVersion" not in api.requests[2].query


async def test_410_as_an_event_lists_again() -> None:
    """The same answer given inside the stream has the same effect."""
    async with reflecting(
        listed(10),
        watch(event("ADDED", item("a", 11)), event("ERROR", status_object(410, "Expired"))),
        listed(30, item("b", 25)),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/b": "25"}
    assert kinds(api) == ["list", "watch@10", "list", "watch@30"]


async def test_410_in_the_middle_of_paging_takes_the_list_in_one_piece() -> None:
    """A list that changes faster than it can be paged through is asked for whole."""
    async with reflecting(
        listed(10, item("a", 5), token="more"),
        refusal(410, "Expired", "the provided continue parameter is too old"),
        listed(12, item("a", 5), item("b", 6)),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/a": "5", "shop/b": "6"}
    assert "limit" not in api.requests[2].query


async def test_429_waits_as_long_as_asked() -> None:
    """``Retry-After`` is honoured, and the watch continues from where it was."""
    async with reflecting(
        listed(10),
        refusal(429, "TooManyRequests", "storage is (re)initializing", Retry_After="9"),
        QUIET,
    ) as (api, _):
        await asyncio.sleep(20)
    assert kinds(api) == ["list", "watch@10", "watch@10"]
    assert api.requests[2].at >= 9.0


async def test_an_absurd_retry_after_is_bounded() -> None:
    """A proxy that says "tomorrow" does not silence a watch for a day."""
    async with reflecting(
        listed(10), refusal(429, "TooManyRequests", Retry_After="86400"), QUIET
    ) as (api, _):
        await asyncio.sleep(61)
    assert len(api.requests) == 3


async def test_truncated_json_reconnects_from_the_last_good_event() -> None:
    """An event cut short is not applied; the watch continues before it."""
    async with reflecting(
        listed(10),
        watch(event("ADDED", item("a", 11)), b'{"type":"ADDED","object":{"met'),
        watch(event("ADDED", item("b", 12)), Hang()),
    ) as (api, reflector):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/a": "11", "shop/b": "12"}
    assert kinds(api) == ["list", "watch@10", "watch@11"]


async def test_a_broken_connection_reconnects_from_the_last_good_event() -> None:
    """A cut connection costs nothing but the reconnect."""
    async with reflecting(
        listed(10),
        watch(event("ADDED", item("a", 11)), 0.1, Cut()),
        watch(event("ADDED", item("b", 12)), Hang()),
    ) as (api, reflector):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/a": "11", "shop/b": "12"}
    assert kinds(api) == ["list", "watch@10", "watch@11"]


async def test_closes_without_a_word_are_delayed_and_then_distrusted() -> None:
    """Three empty closes in a row lead to a list, and never to a storm of requests."""
    empty = watch()
    async with reflecting(listed(10), empty, empty, empty, listed(40, item("a", 35)), QUIET) as (
        api,
        reflector,
    ):
        await asyncio.sleep(30)
        assert contents(reflector.store) == {"shop/a": "35"}
    assert kinds(api) == ["list", "watch@10", "watch@10", "watch@10", "list", "watch@40"]
    gaps = [b.at - a.at for a, b in zip(api.requests[1:-2], api.requests[2:-1], strict=True)]
    assert min(gaps) > 0.05


async def test_a_server_that_closes_empty_for_ever_is_asked_rarely() -> None:
    """An hour of empty closes costs a few hundred requests, not millions."""
    async with reflecting(listed(10)) as (api, _):
        await asyncio.sleep(3600)
    assert 100 < len(api.requests) < 1000


async def test_events_followed_by_an_immediate_close_are_no_storm_either() -> None:
    """A server that sends one bookmark and closes, over and over, is delayed too."""
    lively = watch(bookmark(11))
    async with reflecting(listed(10), lively) as (api, _):
        await asyncio.sleep(600)
    assert len(api.requests) < 200


@pytest.mark.parametrize(
    "garbage",
    [b"<html>502</html>\n", b"null\n", b'{"kind":"Status"}\n', b"\xff\xfe\n", b"[]\n"],
    ids=["html", "null", "no-event", "no-text", "list"],
)
async def test_nonsense_is_an_error_and_three_times_a_reason_to_list(garbage: bytes) -> None:
    """Text that is no event never reaches the store; after three tries the state is listed."""
    nonsense = watch(garbage)
    async with reflecting(
        listed(10, item("a", 5)), nonsense, nonsense, nonsense, listed(20, item("a", 5)), QUIET
    ) as (api, reflector):
        await asyncio.sleep(30)
        assert contents(reflector.store) == {"shop/a": "5"}
        assert reflector.stats.errors == 3
        assert "not an event" in reflector.stats.last_error
    assert kinds(api)[-2:] == ["list", "watch@20"]


async def test_a_stall_is_noticed_soon_once_the_server_sends_bookmarks() -> None:
    """A server that used to send bookmarks and falls silent is left after the shorter time."""
    async with reflecting(
        listed(10), watch(bookmark(11), Hang()), QUIET,
        settings=ReflectorSettings(silence_seconds=150.0),
    ) as (api, reflector):  # fmt: skip
        await asyncio.sleep(149)
        assert len(api.requests) == 2
        await asyncio.sleep(5)
        assert "silent for 150 s" in reflector.stats.last_error
    assert kinds(api) == ["list", "watch@10", "watch@11"]


async def test_a_stall_without_bookmarks_is_noticed_after_the_watch_should_have_ended() -> None:
    """A server that never sends bookmarks gets the time it was given plus a margin."""
    settings = ReflectorSettings(watch_seconds=(300.0, 300.0), silence_margin_seconds=15.0)
    async with reflecting(listed(10), QUIET, settings=settings) as (api, _):
        await asyncio.sleep(314)
        assert len(api.requests) == 2
        await asyncio.sleep(3)
        assert kinds(api) == ["list", "watch@10", "watch@10"]


async def test_a_huge_line_costs_one_event_and_a_list() -> None:
    """An object too large for the bound does not block the others for ever."""
    huge = event("ADDED", item("huge", 11, x="x" * 50_000))
    async with reflecting(
        listed(10), watch(huge), watch(huge), watch(huge), listed(20, item("a", 15)), QUIET,
        line_bytes=10_000,
    ) as (api, reflector):  # fmt: skip
        await asyncio.sleep(30)
        assert contents(reflector.store) == {"shop/a": "15"}
    assert kinds(api)[-1] == "watch@20"


async def test_one_unreadable_object_does_not_cost_the_others() -> None:
    """An object the decoder refuses is logged and left as it was; the rest goes on."""
    bad = {"metadata": {"name": "a", "namespace": "shop", "generation": "not a number"}}
    with capture_logs() as logs:
        async with reflecting(
            listed(10, item("a", 5), item("b", 6)),
            watch(
                event("MODIFIED", bad),
                event("ADDED", item("c", 12)),
                event("ERROR", status_object(410, "Expired")),
            ),
            listed(20, bad, item("c", 12)),
            QUIET,
        ) as (_, reflector):
            await asyncio.sleep(5)
            assert contents(reflector.store) == {"shop/a": "5", "shop/c": "12"}
            assert reflector.stats.refused_objects == 2
    assert any(line["event"] == "object_refused" for line in logs)


async def test_an_unknown_event_type_is_ignored() -> None:
    """A type of a later API version does no harm."""
    async with reflecting(
        listed(10), watch(event("SPARKLE", {}), event("ADDED", item("a", 11)), Hang())
    ) as (_, reflector):
        await asyncio.sleep(1)
        assert contents(reflector.store) == {"shop/a": "11"}


async def test_deletions_missed_while_away_are_found_by_the_next_list() -> None:
    """What is not in the new list was deleted, and listeners learn of it."""
    changes: list[tuple[str, bool, bool]] = []
    async with reflecting(
        listed(10, item("a", 5), item("b", 6)),
        watch(event("ERROR", status_object(410, "Expired"))),
        listed(30, item("b", 6), item("c", 20)),
        QUIET,
    ) as (_, reflector):
        reflector.store.on_change(
            lambda key, old, new: changes.append((key, old is not None, new is not None))
        )
        await asyncio.sleep(5)
    assert changes == [
        ("shop/a", False, True),
        ("shop/b", False, True),
        ("shop/a", True, False),
        ("shop/c", False, True),
    ]


async def test_an_api_server_outage_keeps_the_store() -> None:
    """While the server answers 503, what is known stays known; afterwards it is brought current."""
    down = refusal(503, "ServiceUnavailable", "etcd leader changed")
    async with reflecting(
        listed(10, item("a", 5)),
        watch(0.1, Cut()),
        down, down, down, down,
        listed(30, item("b", 25)),
        QUIET,
    ) as (_, reflector):  # fmt: skip
        await asyncio.sleep(1)
        assert contents(reflector.store) == {"shop/a": "5"}
        assert reflector.store.has_synced
        await asyncio.sleep(120)
        assert contents(reflector.store) == {"shop/b": "25"}


async def test_after_a_long_outage_the_store_is_current_within_seconds() -> None:
    """A server that does not answer is tried every few seconds, and its return is noticed.

    What is old by then (410) is listed anew at once: the outage has not made us wait longer.
    """
    absent = Answer([Cut()])
    async with reflecting(
        listed(10, item("a", 5)),
        *[absent] * 80,
        refusal(410, "Expired"),
        listed(30, item("b", 25)),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(300)
        assert contents(reflector.store) == {"shop/b": "25"}
    gaps = [b.at - a.at for a, b in zip(api.requests, api.requests[1:], strict=False)]
    assert max(gaps) <= 2.1
    assert sum(gaps) > 30
    listed_after = gaps[-2]
    assert listed_after <= 0.9


async def test_a_kind_that_is_not_installed_is_asked_for_patiently() -> None:
    """A missing CRD means waiting, not spinning; the store is never taken for synced."""
    async with reflecting(refusal(404, "NotFound", "the server could not find")) as (
        api,
        reflector,
    ):
        await asyncio.sleep(600)
        assert not reflector.store.has_synced
    assert len(api.requests) < 100


async def test_a_list_that_is_no_list_is_an_error() -> None:
    """A proxy's page does not pass for an empty list."""
    async with reflecting(Answer([b"<html>hello</html>"]), listed(10, item("a", 5)), QUIET) as (
        _,
        reflector,
    ):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/a": "5"}
        assert reflector.stats.errors == 1


async def test_a_restored_backup_replaces_newer_versions() -> None:
    """When the server's history went back, the list wins over everything known."""
    async with reflecting(
        listed(1000, item("a", 900), item("b", 950)),
        watch(event("ERROR", status_object(410, "Expired"))),
        listed(50, item("a", 40)),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(5)
        assert contents(reflector.store) == {"shop/a": "40"}
    assert kinds(api)[-1] == "watch@50"


async def test_errors_while_healthy_start_with_short_delays() -> None:
    """After two good minutes a break is answered at once, not with the longest delay."""
    cut = watch(200.0, bookmark(11), Cut())
    async with reflecting(listed(10), cut, cut, cut, cut, QUIET) as (api, _):
        await asyncio.sleep(820)
    gaps = [b.at - a.at for a, b in zip(api.requests[1:], api.requests[2:], strict=False)]
    assert all(200.0 <= gap <= 201.0 for gap in gaps)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_after_half_a_minute_of_server_errors_the_store_is_current_within_seconds(
    status: int,
) -> None:
    """A server, or a balancer before it, that answers 5xx is tried again every few seconds."""
    down = refusal(status, "ServiceUnavailable", "no healthy upstream")
    async with reflecting(
        listed(10, item("a", 5)),
        watch(0.1, Cut()),
        *[down] * 60,
        listed(30, item("b", 25)),
        QUIET,
    ) as (api, reflector):
        await asyncio.sleep(300)
        assert contents(reflector.store) == {"shop/b": "25"}
    refused = [b.at - a.at for a, b in zip(api.requests[2:], api.requests[3:], strict=False)][:60]
    assert sum(refused) > 30
    assert max(refused) <= 5.1


async def test_a_storm_of_429_delays_no_longer_than_it_says() -> None:
    """The patience asked for is enough: repeating it makes none of our own grow."""
    storm = refusal(429, "TooManyRequests", Retry_After="2")
    async with reflecting(listed(10, item("a", 5)), watch(0.1, Cut()), *[storm] * 30, QUIET) as (
        api,
        _,
    ):
        await asyncio.sleep(300)
    waits = [b.at - a.at for a, b in zip(api.requests[2:], api.requests[3:], strict=False)][:30]
    assert len(waits) == 30
    assert min(waits) >= 2.0
    assert max(waits) <= 5.1


async def test_a_storm_of_429_without_a_wish_is_over_within_seconds() -> None:
    """Where no patience is asked for in seconds, ours stays short, too."""
    storm = refusal(429, "TooManyRequests")
    async with reflecting(
        listed(10, item("a", 5)), watch(0.1, Cut()), *[storm] * 60, QUIET
    ) as (api, _):  # fmt: skip
        await asyncio.sleep(300)
    waits = [b.at - a.at for a, b in zip(api.requests[2:], api.requests[3:], strict=False)][:60]
    assert len(waits) == 60
    assert sum(waits) > 30
    assert max(waits) <= 5.1
