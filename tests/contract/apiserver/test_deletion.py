"""DELETE: answers, finalizers, owners, collections."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.apiserver.server import GROUP, ApiServerUnderTest, config_map, pump

POLLS = 200
POLL_SECONDS = 0.05


async def wait_until_gone(api: ApiServerUnderTest, path: str) -> None:
    """Wait until GET says 404."""
    for _ in range(POLLS):
        if (await api.get(path)).code == 404:
            return
        await asyncio.sleep(POLL_SECONDS)
    pytest.fail(f"{path} is still there")


async def test_deletion_answers_a_success_status(api: ApiServerUnderTest) -> None:
    """DELETE of a ConfigMap says what was removed."""
    made = await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.delete(api.path("configmaps/a"))
    assert answer.code == 200
    assert answer.body["kind"] == "Status"
    assert answer.body["status"] == "Success"
    details = {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert answer.body["details"] == details
    assert (await api.get(api.path("configmaps/a"))).code == 404


async def test_deleting_a_missing_object_is_404(api: ApiServerUnderTest) -> None:
    """There is nothing to delete twice."""
    assert (await api.delete(api.path("configmaps/none"))).code == 404


async def test_unscheduled_pod_goes_at_once(api: ApiServerUnderTest) -> None:
    """A pod on no node has no grace period, and DELETE answers the pod."""
    spec = {"containers": [{"name": "main", "image": "example.test/app:1"}]}
    body = {"metadata": {"name": "p"}, "spec": {**spec, "schedulerName": "nobody"}}
    await api.created(api.path("pods"), body)
    answer = await api.delete(api.path("pods/p"))
    assert answer.code == 200
    assert answer.body["kind"] == "Pod"
    assert (await api.get(api.path("pods/p"))).code == 404


async def test_uid_precondition(api: ApiServerUnderTest) -> None:
    """A wrong uid is a conflict, the right one deletes."""
    made = await api.created(api.path("configmaps"), config_map("a"))
    other = {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}
    assert (await api.delete(api.path("configmaps/a"), other)).code == 409
    own = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert (await api.delete(api.path("configmaps/a"), own)).code == 200


async def test_finalizer_holds_the_object(api: ApiServerUnderTest) -> None:
    """The object stays, marked, until its last finalizer is removed."""
    path = api.path("configmaps/a")
    body = config_map("a", finalizers=["example.test/hold"])
    await api.created(api.path("configmaps"), body)
    answer = await api.delete(path)
    assert answer.code == 200
    assert answer.body["kind"] == "ConfigMap"
    assert answer.body["metadata"]["deletionTimestamp"]
    marked = (await api.get(path)).body["metadata"]
    assert marked["deletionTimestamp"]
    assert (await api.delete(path)).code == 200
    released = await api.patch(path, {"metadata": {"finalizers": None}})
    assert released.code == 200
    assert (await api.get(path)).code == 404


async def test_finalizer_cannot_be_added_to_a_deleted_object(pumps: ApiServerUnderTest) -> None:
    """Once marked, an object takes no further finalizers."""
    path = pumps.path("pumps/p", f"{GROUP}/v1")
    body = pump("p")
    body["metadata"]["finalizers"] = ["example.test/hold"]
    await pumps.created(pumps.path("pumps", f"{GROUP}/v1"), body)
    await pumps.delete(path)
    more = {"metadata": {"finalizers": ["example.test/hold", "example.test/more"]}}
    assert (await pumps.patch(path, more)).code == 422
    await pumps.patch(path, {"metadata": {"finalizers": None}})


async def test_collection_deletes_what_is_selected(api: ApiServerUnderTest) -> None:
    """DELETE on the collection removes matching objects and answers their list."""
    for name, on in (("a", "yes"), ("b", "no"), ("c", "yes")):
        await api.created(api.path("configmaps"), config_map(name, labels={"on": on}))
    answer = await api.delete(api.path("configmaps"), labelSelector="on=yes")
    assert answer.code == 200
    assert answer.body["kind"] == "ConfigMapList"
    assert [one["metadata"]["name"] for one in answer.body["items"]] == ["a", "c"]
    left = (await api.get(api.path("configmaps"), labelSelector="on")).body["items"]
    assert [one["metadata"]["name"] for one in left] == ["b"]


async def test_dry_run_deletes_nothing(api: ApiServerUnderTest) -> None:
    """dryRun=All leaves the object."""
    await api.created(api.path("configmaps"), config_map("a"))
    assert (await api.delete(api.path("configmaps/a"), dryRun="All")).code == 200
    assert (await api.get(api.path("configmaps/a"))).code == 200


async def test_namesake_created_again_is_another_object(api: ApiServerUnderTest) -> None:
    """After deletion the name is free and the uid new."""
    first = await api.created(api.path("configmaps"), config_map("a"))
    await api.delete(api.path("configmaps/a"))
    second = await api.created(api.path("configmaps"), config_map("a"))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


def owned(name: str, owner: dict[str, dict[str, str]], **extra: bool) -> dict[str, object]:
    """Return a ConfigMap with an owner."""
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        **extra,
    }
    return config_map(name, ownerReferences=[reference])


async def test_dependents_follow_their_owner(api: ApiServerUnderTest) -> None:
    """Background deletion removes the owner at once and the dependents after."""
    path = api.path("configmaps")
    owner = await api.created(path, config_map("owner"))
    child = await api.created(path, owned("child", owner))
    await api.created(path, owned("grandchild", child))
    await api.delete(f"{path}/owner")
    assert (await api.get(f"{path}/owner")).code == 404
    await wait_until_gone(api, f"{path}/child")
    await wait_until_gone(api, f"{path}/grandchild")


async def test_orphans_stay_without_their_owner(api: ApiServerUnderTest) -> None:
    """Orphan deletion keeps the dependents and drops their reference."""
    path = api.path("configmaps")
    owner = await api.created(path, config_map("owner"))
    await api.created(path, owned("child", owner))
    await api.delete(f"{path}/owner", {"propagationPolicy": "Orphan"})
    await wait_until_gone(api, f"{path}/owner")
    child = await api.get(f"{path}/child")
    assert child.code == 200
    assert not child.body["metadata"].get("ownerReferences")


async def test_foreground_deletion_waits_for_blocking_dependents(api: ApiServerUnderTest) -> None:
    """The owner stays, marked, until the dependents that block it are gone."""
    path = api.path("configmaps")
    owner = await api.created(path, config_map("owner"))
    child = owned("child", owner, blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.test/hold"]  # type: ignore[index]
    await api.created(path, child)
    answer = await api.delete(f"{path}/owner", {"propagationPolicy": "Foreground"})
    assert "foregroundDeletion" in answer.body["metadata"]["finalizers"]
    for _ in range(POLLS):
        marked = (await api.get(f"{path}/child")).body["metadata"]
        if "deletionTimestamp" in marked:
            break
        await asyncio.sleep(POLL_SECONDS)
    assert "deletionTimestamp" in marked
    assert (await api.get(f"{path}/owner")).code == 200
    await api.patch(f"{path}/child", {"metadata": {"finalizers": None}})
    await wait_until_gone(api, f"{path}/owner")


async def test_namespace_takes_its_content_along(api: ApiServerUnderTest) -> None:
    """A deleted namespace is Terminating until its content is gone, then gone itself."""
    name = f"{api.namespace}-x"
    await api.created("/api/v1/namespaces", {"metadata": {"name": name}})
    await api.created(f"/api/v1/namespaces/{name}/configmaps", config_map("a"))
    answer = await api.delete(f"/api/v1/namespaces/{name}")
    assert answer.code == 200
    assert answer.body["status"]["phase"] == "Terminating"
    await wait_until_gone(api, f"/api/v1/namespaces/{name}")
    assert (await api.get(f"/api/v1/namespaces/{name}/configmaps/a")).code == 404


async def test_unknown_propagation_policy_is_422(api: ApiServerUnderTest) -> None:
    """There are three policies, and a misspelt one deletes nothing."""
    await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.delete(api.path("configmaps/a"), {"propagationPolicy": "background"})
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "propagationPolicy"
    assert (await api.get(api.path("configmaps/a"))).code == 200


async def test_version_precondition(api: ApiServerUnderTest) -> None:
    """An object changed since it was seen is not deleted."""
    made = await api.created(api.path("configmaps"), config_map("a"))
    await api.patch(api.path("configmaps/a"), {"data": {"k": "1"}})
    seen = {"preconditions": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    answer = await api.delete(api.path("configmaps/a"), seen)
    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"
    assert answer.body["details"] == {"name": "a", "kind": "ConfigMap"}
