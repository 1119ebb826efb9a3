"""WATCH: what is sent, from where, and how it ends."""

from __future__ import annotations

import pytest

from tests.contract.apiserver.server import GROUP, ApiServerUnderTest, config_map, pump

PUMPS = f"{GROUP}/v1"


async def version_now(api: ApiServerUnderTest, path: str) -> str:
    """Return the version of a list, to watch from."""
    return (await api.get(path)).body["metadata"]["resourceVersion"]


async def test_changes_arrive_in_order(api: ApiServerUnderTest) -> None:
    """Creation, change and deletion are ADDED, MODIFIED and DELETED."""
    path = api.path("configmaps")
    async with api.watch(path, resourceVersion=await version_now(api, path)) as watch:
        await api.created(path, config_map("a", {"k": "1"}))
        await api.patch(f"{path}/a", {"data": {"k": "2"}})
        await api.delete(f"{path}/a")
        events = [await watch.next() for _ in range(3)]
    assert [event and event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events if event]
    assert versions == sorted(set(versions))
    assert events[0] is not None
    assert events[0]["object"]["kind"] == "ConfigMap"


async def test_watch_resumes_after_a_version(api: ApiServerUnderTest) -> None:
    """Events after the version are replayed, those up to it are not."""
    path = api.path("configmaps")
    first = await api.created(path, config_map("a"))
    await api.created(path, config_map("b"))
    await api.created(path, config_map("c"))
    since = first["metadata"]["resourceVersion"]
    async with api.watch(path, resourceVersion=since) as watch:
        assert await watch.take(2) == [("ADDED", "b"), ("ADDED", "c")]


async def test_watch_without_version_begins_with_what_exists(pumps: ApiServerUnderTest) -> None:
    """No version means: first all objects, then changes."""
    path = pumps.path("pumps", PUMPS)
    await pumps.created(path, pump("a"))
    await pumps.created(path, pump("b"))
    async with pumps.watch(path) as watch:
        assert await watch.take(2) == [("ADDED", "a"), ("ADDED", "b")]
        await pumps.created(path, pump("c"))
        assert await watch.take(1) == [("ADDED", "c")]


async def test_watch_from_version_zero_begins_with_what_exists(pumps: ApiServerUnderTest) -> None:
    """Version 0 is any state, shown as ADDED."""
    path = pumps.path("pumps", PUMPS)
    await pumps.created(path, pump("a"))
    async with pumps.watch(path, resourceVersion="0") as watch:
        assert await watch.take(1) == [("ADDED", "a")]


async def test_compacted_version_is_gone(pumps: ApiServerUnderTest) -> None:
    """A version from before the resource's history is answered 410 Expired, here or as event."""
    answer_path = pumps.path("pumps", PUMPS)
    await pumps.created(answer_path, pump("a"))
    async with pumps.watch(answer_path, resourceVersion="1") as watch:
        event = await watch.next()
        assert event is not None
        assert event["type"] == "ERROR"
        assert event["object"]["kind"] == "Status"
        assert event["object"]["code"] == 410
        assert event["object"]["reason"] in {"Expired", "Gone"}
        assert await watch.next() is None


async def test_label_selector_turns_changes_into_additions(api: ApiServerUnderTest) -> None:
    """Beginning to match is ADDED, ceasing to match is DELETED, the rest is not sent."""
    path = api.path("configmaps")
    since = await version_now(api, path)
    async with api.watch(path, resourceVersion=since, labelSelector="on=yes") as watch:
        await api.created(path, config_map("other"))
        await api.created(path, config_map("a"))
        await api.patch(f"{path}/a", {"metadata": {"labels": {"on": "yes"}}})
        await api.patch(f"{path}/a", {"data": {"k": "1"}})
        await api.patch(f"{path}/a", {"metadata": {"labels": {"on": "no"}}})
        assert await watch.take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_field_selector_watches_one_object(api: ApiServerUnderTest) -> None:
    """A watch may be for one name."""
    path = api.path("configmaps")
    since = await version_now(api, path)
    query = {"resourceVersion": since, "fieldSelector": "metadata.name=b"}
    async with api.watch(path, **query) as watch:
        await api.created(path, config_map("a"))
        await api.created(path, config_map("b"))
        assert await watch.take(1) == [("ADDED", "b")]


async def test_other_namespaces_are_not_seen(api: ApiServerUnderTest) -> None:
    """A namespaced watch stays in its namespace."""
    path = api.path("configmaps")
    elsewhere = f"elsewhere-{api.namespace}"
    async with api.watch(path, resourceVersion=await version_now(api, path)) as watch:
        outside = "/api/v1/namespaces/default/configmaps"
        await api.created(outside, config_map(elsewhere))
        await api.created(path, config_map("inside"))
        assert await watch.take(1) == [("ADDED", "inside")]
    await api.delete(f"{outside}/{elsewhere}")


async def test_timeout_ends_the_stream(api: ApiServerUnderTest) -> None:
    """After timeoutSeconds the server closes without an error."""
    path = api.path("configmaps")
    since = await version_now(api, path)
    async with api.watch(path, resourceVersion=since, timeoutSeconds=1) as watch:
        assert await watch.next() is None


async def test_bookmarks_carry_a_version_to_resume_from(pumps: ApiServerUnderTest) -> None:
    """Asked for, a bookmark comes before the timeout; it is an object with a version only."""
    path = pumps.path("pumps", PUMPS)
    since = await version_now(pumps, path)
    query = {"resourceVersion": since, "allowWatchBookmarks": "true", "timeoutSeconds": "4"}
    await pumps.created(path, pump("a"))
    async with pumps.watch(path, **query) as watch:
        assert await watch.take(1) == [("ADDED", "a")]
        # A server that has seen no change since it began to serve the resource sends none.
        await pumps.created(path, pump("b"))
        assert await watch.take(1) == [("ADDED", "b")]
        event = await watch.next()
    assert event is not None
    assert event["type"] == "BOOKMARK"
    assert event["object"]["kind"] == "Pump"
    assert event["object"]["apiVersion"] == PUMPS
    version = event["object"]["metadata"]["resourceVersion"]
    assert int(version) > int(since)
    async with pumps.watch(path, resourceVersion=version) as watch:
        await pumps.created(path, pump("c"))
        assert await watch.take(1) == [("ADDED", "c")]


async def test_streamed_list_ends_with_a_marked_bookmark(pumps: ApiServerUnderTest) -> None:
    """SendInitialEvents gives the objects and then says that these were all."""
    path = pumps.path("pumps", PUMPS)
    await pumps.created(path, pump("a"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    async with pumps.watch(path, **query) as watch:
        assert await watch.take(1) == [("ADDED", "a")]
        event = await watch.next()
        assert event is not None
        assert event["type"] == "BOOKMARK"
        annotations = event["object"]["metadata"]["annotations"]
        assert annotations == {"k8s.io/initial-events-end": "true"}
        await pumps.created(path, pump("b"))
        assert await watch.take(1) == [("ADDED", "b")]


async def test_deleted_event_shows_the_last_state(api: ApiServerUnderTest) -> None:
    """The object of a DELETED event is complete, under the deletion's own version."""
    path = api.path("configmaps")
    made = await api.created(path, config_map("a", {"k": "1"}))
    since = made["metadata"]["resourceVersion"]
    async with api.watch(path, resourceVersion=since) as watch:
        await api.delete(f"{path}/a")
        event = await watch.next()
    assert event is not None
    assert event["object"]["data"] == {"k": "1"}
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(since)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"timeoutSeconds": "soon"}, 400),
        ({"labelSelector": "a in b"}, 400),
        ({"resourceVersionMatch": "NotOlderThan"}, 422),
        ({"sendInitialEvents": "true"}, 422),
    ],
    ids=["timeout", "selector", "match alone", "streamed list without match"],
)
async def test_unreadable_watch_is_refused_at_once(
    api: ApiServerUnderTest, query: dict[str, str], code: int
) -> None:
    """A watch that cannot be is a plain error answer, no stream."""
    answer = await api.get(api.path("configmaps"), watch="true", **query)
    assert answer.code == code
    assert answer.body["kind"] == "Status"
