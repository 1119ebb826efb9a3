"""The store: reading, indices, listeners and writes of our own."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from autoscaler.kube.codec import ObjectMeta
from autoscaler.kube.selector import parse_selector
from autoscaler.kube.store import Store


class Thing(msgspec.Struct, frozen=True):
    metadata: ObjectMeta


def thing(name: str, version: int | str = 1, namespace: str = "shop", **labels: str) -> Thing:
    """Return an object."""
    return Thing(
        ObjectMeta(
            name=name, namespace=namespace, resource_version=str(version), labels=dict(labels)
        )
    )


def filled(*things: Thing) -> Store[Thing]:
    """Return a store with these objects."""
    store: Store[Thing] = Store()
    for one in things:
        store.put(one)
    return store


def names(things: list[Thing]) -> list[str]:
    """Return the names."""
    return [one.metadata.name for one in things]


def test_objects_are_found_by_namespace_and_name() -> None:
    """Cluster-scoped objects go by their name alone."""
    store = filled(thing("web"), thing("node-1", namespace=""))
    assert store.get("shop/web") == thing("web")
    assert store.get("node-1") is not None
    assert store.get("other/web") is None
    assert set(store.keys()) == {"shop/web", "node-1"}
    assert len(store) == 2
    assert len(list(store)) == 2


def test_select_finds_by_namespace_and_labels() -> None:
    """Selection is exact for every operator and sorted by name."""
    store = filled(
        thing("c", app="web", tier="front"),
        thing("a", app="web"),
        thing("b", app="api"),
        thing("d", namespace="other", app="web"),
    )
    assert names(store.select("shop", parse_selector("app=web"))) == ["a", "c"]
    assert names(store.select("shop", parse_selector("app=web,tier=front"))) == ["c"]
    assert names(store.select("shop", parse_selector("app in (web,api)"))) == ["a", "b", "c"]
    assert names(store.select("shop", parse_selector("!tier"))) == ["a", "b"]
    assert names(store.select(None, parse_selector("app=web"))) == ["d", "a", "c"]
    assert names(store.select("shop")) == ["a", "b", "c"]
    assert store.select("nowhere", parse_selector("app=web")) == []


def test_select_follows_changed_labels_and_deletions() -> None:
    """The index forgets old labels and deleted objects."""
    store = filled(thing("a", 1, app="web"), thing("b", 1, app="web"))
    store.put(thing("a", 2, app="api"))
    store.remove(thing("b", 3, app="web"))
    assert store.select("shop", parse_selector("app=web")) == []
    assert names(store.select("shop", parse_selector("app=api"))) == ["a"]
    store.remove(thing("a", 4))
    assert not store._by_label
    assert not store._by_namespace


def test_listeners_learn_of_every_change_once() -> None:
    """Addition, change and deletion are told with before and after; a repetition is not."""
    seen: list[tuple[str, str, str]] = []

    def version(one: Thing | None) -> str:
        return one.metadata.resource_version if one else "-"

    store: Store[Thing] = Store()
    unsubscribe = store.on_change(
        lambda key, old, new: seen.append((key, version(old), version(new)))
    )
    store.put(thing("a", 1))
    store.put(thing("a", 1))
    store.put(thing("a", 2))
    store.remove(thing("a", 3))
    store.remove(thing("a", 3))
    unsubscribe()
    store.put(thing("b", 4))
    assert seen == [("shop/a", "-", "1"), ("shop/a", "1", "2"), ("shop/a", "2", "-")]


@pytest.mark.looptime
async def test_synced_only_after_a_whole_list() -> None:
    """Single events do not make a store complete; a list does, even an empty one."""
    store = filled(thing("a"))
    assert not store.has_synced
    asyncio.get_running_loop().call_later(3.0, store.replace, {}, "5")
    await store.wait_synced()
    assert store.has_synced
    assert asyncio.get_running_loop().time() == 3.0


def test_a_list_deletes_what_it_does_not_contain() -> None:
    """After a list the store equals it."""
    store = filled(thing("a", 1), thing("b", 2))
    store.replace({"shop/b": thing("b", 3), "shop/c": thing("c", 4)}, "10")
    assert set(store.keys()) == {"shop/b", "shop/c"}
    assert store.get("shop/b") == thing("b", 3)


def test_events_older_than_our_write_are_ignored() -> None:
    """After a write, the past still on its way does not overwrite what we know."""
    store = filled(thing("a", 10))
    store.wrote("shop/a", "15")
    assert store.is_behind("shop/a")
    store.put(thing("a", 12))
    assert store.get("shop/a") == thing("a", 10)
    assert store.is_behind("shop/a")
    store.put(thing("a", 15))
    assert store.get("shop/a") == thing("a", 15)
    assert not store.is_behind("shop/a")


def test_a_written_object_is_seen_at_once() -> None:
    """With the whole answer at hand, readers need not wait for the watch."""
    store = filled(thing("a", 10))
    store.wrote("shop/a", "15", thing("a", 15, app="new"))
    assert store.get("shop/a") == thing("a", 15, app="new")
    assert not store.is_behind("shop/a")
    store.put(thing("a", 12))
    assert store.get("shop/a") == thing("a", 15, app="new")


def test_an_event_that_overtook_the_answer_counts() -> None:
    """A write whose event arrived before its answer leaves nothing to wait for."""
    store = filled(thing("a", 20))
    store.wrote("shop/a", "15")
    assert not store.is_behind("shop/a")


def test_an_old_deletion_does_not_remove_a_newer_object() -> None:
    """A late deletion event of a former object with the same name is ignored."""
    store = filled(thing("a", 20))
    store.remove(thing("a", 15))
    assert store.get("shop/a") is not None


def test_a_list_older_than_our_write_does_not_undo_it() -> None:
    """A stale list neither deletes nor turns back what we know to be newer."""
    store = filled(thing("a", 20), thing("b", 21))
    store.replace({"shop/a": thing("a", 5)}, "18")
    assert store.get("shop/a") == thing("a", 20)
    assert store.get("shop/b") == thing("b", 21)


def test_a_reset_history_overrides_everything() -> None:
    """After a restored backup even lower versions are the truth."""
    store = filled(thing("a", 900), thing("b", 950))
    store.wrote("shop/a", "1000")
    store.replace({"shop/a": thing("a", 40)}, "50", went_back=True)
    assert store.get("shop/a") == thing("a", 40)
    assert store.get("shop/b") is None
    assert not store.is_behind("shop/a")


def test_versions_that_are_no_numbers_are_never_outdated() -> None:
    """Where versions cannot be compared, the last event counts."""
    store = filled(thing("a", "x"))
    store.wrote("shop/a", "y")
    assert not store.is_behind("shop/a")
    store.put(thing("a", "b"))
    assert store.get("shop/a") == thing("a", "b")
