"""The versioned store's bounds: history, compaction, watchers."""

from __future__ import annotations

import pytest

from autoscaler.demo.store import Compacted, Store


def config(name: str, **data: str) -> dict[str, object]:
    """Return an object as the store takes it."""
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


def test_versions_are_one_counter_over_all_buckets() -> None:
    """Every write anywhere gets the next version."""
    store = Store(first_version=10)
    assert store.put("a", config("x")).version == 11
    assert store.put("b", config("x")).version == 12
    assert store.delete("a", "default", "x").version == 13


def test_past_is_readable_until_compacted() -> None:
    """The state at a version is rebuilt from the history, including what was deleted since."""
    store = Store()
    store.put("a", config("x", k="1"))
    then = store.version
    store.put("a", config("x", k="2"))
    store.put("a", config("y"))
    store.delete("a", "default", "x")
    shown = {item.value["metadata"]["name"]: item.value for item in store.items_at("a", then)}
    assert list(shown) == ["x"]
    assert shown["x"]["data"] == {"k": "1"}
    store.compact()
    with pytest.raises(Compacted, match="too old resource version"):
        store.items_at("a", then)


def test_history_is_bounded() -> None:
    """Only the last changes are kept; asking for older ones says so."""
    store = Store(history_limit=3)
    first = store.put("a", config("x")).version
    for index in range(5):
        store.put("a", config("x", k=str(index)))
    with pytest.raises(Compacted):
        store.watch("a", since=first)
    watcher = store.watch("a", since=store.version - 3)
    seen = [watcher.take() for _ in range(4)]
    assert [change.version for change in seen if change] == [
        store.version - 2,
        store.version - 1,
        store.version,
    ]


def test_bucket_has_no_history_before_it_was_opened() -> None:
    """A resource registered later cannot be watched from before."""
    store = Store()
    store.put("a", config("x"))
    early = store.version
    store.put("a", config("x", k="1"))
    store.open_bucket("late")
    with pytest.raises(Compacted):
        store.require_version("late", early)
    store.require_version("a", early)


async def test_slow_watcher_is_closed_and_others_go_on() -> None:
    """A full queue ends that watch only."""
    store = Store()
    slow, quick = store.watch("a", limit=2), store.watch("a", limit=10)
    for index in range(4):
        store.put("a", config("x", k=str(index)))
    assert slow.is_closed
    assert await slow.next() is None
    assert not quick.is_closed
    assert (await quick.next()) is not None


def test_listener_hears_every_change() -> None:
    """In-process readers get what watchers get."""
    store = Store()
    heard: list[tuple[str, bool, bool]] = []
    store.listen(lambda one: heard.append((one.key[1], one.before is None, one.after is None)))
    store.put("a", config("x"))
    store.put("a", config("x", k="1"))
    store.delete("a", "default", "x")
    assert heard == [("x", True, False), ("x", False, False), ("x", False, True)]
