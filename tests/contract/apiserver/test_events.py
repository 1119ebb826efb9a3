"""Events, in both of their APIs."""

from __future__ import annotations

from typing import Any

from tests.contract.apiserver.server import ApiServerUnderTest

NEW = "events.k8s.io/v1"


def core_event(namespace: str, name: str) -> dict[str, Any]:
    """Return an Event of the core group."""
    return {
        "metadata": {"name": name},
        "involvedObject": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": namespace,
            "name": "web",
        },
        "reason": "Scaled",
        "message": "to 3",
        "type": "Normal",
        "count": 1,
        "source": {"component": "contract"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:05Z",
    }


def new_event(namespace: str, name: str) -> dict[str, Any]:
    """Return an Event of ``events.k8s.io``."""
    return {
        "apiVersion": NEW,
        "kind": "Event",
        "metadata": {"name": name},
        "regarding": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "namespace": namespace,
            "name": "web",
        },
        "reason": "Scaled",
        "note": "to 3",
        "type": "Normal",
        "action": "Scale",
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "reportingController": "example.test/contract",
        "reportingInstance": "contract-0",
    }


async def test_core_event_is_seen_in_the_new_api(api: ApiServerUnderTest) -> None:
    """An event written to the core API is the same event in the other, under other names."""
    await api.created(api.path("events"), core_event(api.namespace, "e"))
    answer = await api.get(api.path("events/e", NEW))
    assert answer.code == 200
    assert answer.body["apiVersion"] == NEW
    assert answer.body["note"] == "to 3"
    assert answer.body["regarding"]["name"] == "web"
    assert answer.body["deprecatedCount"] == 1


async def test_new_event_is_seen_in_the_core_api(api: ApiServerUnderTest) -> None:
    """And the other way round."""
    await api.created(api.path("events", NEW), new_event(api.namespace, "e"))
    answer = await api.get(api.path("events/e"))
    assert answer.code == 200
    assert answer.body["apiVersion"] == "v1"
    assert answer.body["message"] == "to 3"
    assert answer.body["involvedObject"]["name"] == "web"
    assert answer.body["reportingComponent"] == "example.test/contract"


async def test_series_is_patched_in(api: ApiServerUnderTest) -> None:
    """A repeated event gets a series by merge patch in its own form."""
    await api.created(api.path("events", NEW), new_event(api.namespace, "e"))
    series = {"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000000Z"}
    answer = await api.patch(api.path("events/e", NEW), {"series": series})
    assert answer.code == 200
    assert answer.body["series"]["count"] == 2
    assert answer.body["note"] == "to 3"


async def test_events_are_selected_by_their_object(api: ApiServerUnderTest) -> None:
    """Field selectors find the events of one object."""
    await api.created(api.path("events"), core_event(api.namespace, "e"))
    other = core_event(api.namespace, "f")
    other["involvedObject"]["name"] = "worker"
    await api.created(api.path("events"), other)
    selector = "involvedObject.name=worker,involvedObject.kind=Deployment"
    answer = await api.get(api.path("events"), fieldSelector=selector)
    assert [one["metadata"]["name"] for one in answer.body["items"]] == ["f"]


async def test_events_of_the_new_api_are_selected_in_its_words(api: ApiServerUnderTest) -> None:
    """There the object is what the event regards, and the core API's words are unknown."""
    await api.created(api.path("events", NEW), new_event(api.namespace, "e"))
    path = api.path("events", NEW)
    selector = "regarding.name=web,reportingController=example.test/contract"
    answer = await api.get(path, fieldSelector=selector)
    assert [one["metadata"]["name"] for one in answer.body["items"]] == ["e"]
    assert (await api.get(path, fieldSelector="involvedObject.name=web")).code == 400


async def test_core_events_are_selected_by_their_source(api: ApiServerUnderTest) -> None:
    """The source is the component that reported."""
    await api.created(api.path("events"), core_event(api.namespace, "e"))
    for component, expected in (("contract", ["e"]), ("other", [])):
        answer = await api.get(api.path("events"), fieldSelector=f"source={component}")
        assert [one["metadata"]["name"] for one in answer.body["items"]] == expected


async def test_event_lives_beside_its_object(api: ApiServerUnderTest) -> None:
    """An event in another namespace than its object is refused."""
    body = core_event("default", "e")
    answer = await api.post(api.path("events"), body)
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "involvedObject.namespace"


async def test_lease_times_keep_their_microseconds(api: ApiServerUnderTest) -> None:
    """A Lease written by update keeps what its holder wrote."""
    path = api.path("leases", "coordination.k8s.io/v1")
    spec = {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "renewTime": "2026-01-02T03:04:05.678901Z",
    }
    made = await api.created(path, {"metadata": {"name": "l"}, "spec": spec})
    assert made["spec"] == spec
    made["spec"]["holderIdentity"] = "two"
    first = await api.put(f"{path}/l", made)
    assert first.code == 200
    made["spec"]["holderIdentity"] = "three"
    assert (await api.put(f"{path}/l", made)).code == 409
