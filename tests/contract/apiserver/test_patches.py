"""PATCH in its three plain forms."""

from __future__ import annotations

from tests.contract.apiserver.server import (
    GROUP,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    ApiServerUnderTest,
    config_map,
    deployment,
    pump,
)

DEPLOYMENTS = "apps/v1"


async def test_merge_patch_sets_and_removes(api: ApiServerUnderTest) -> None:
    """Values are set, nulls remove, the rest stays."""
    await api.created(api.path("configmaps"), config_map("a", {"keep": "1", "drop": "2"}))
    answer = await api.patch(api.path("configmaps/a"), {"data": {"drop": None, "new": "3"}})
    assert answer.code == 200
    assert answer.body["data"] == {"keep": "1", "new": "3"}


async def test_merge_patch_with_a_stale_version_is_a_conflict(api: ApiServerUnderTest) -> None:
    """A version in the patch is a precondition."""
    made = await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    await api.patch(api.path("configmaps/a"), {"data": {"k": "2"}})
    version = made["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"k": "3"}}
    answer = await api.patch(api.path("configmaps/a"), patch)
    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"


async def test_merge_patch_without_a_version_always_applies(api: ApiServerUnderTest) -> None:
    """Without a version the patch meets whatever is there."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    await api.patch(api.path("configmaps/a"), {"data": {"k": "2"}})
    assert (await api.patch(api.path("configmaps/a"), {"data": {"k": "3"}})).code == 200


async def test_patch_without_effect_keeps_the_version(api: ApiServerUnderTest) -> None:
    """Patching in what is there already is no write."""
    made = await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    answer = await api.patch(api.path("configmaps/a"), {"data": {"k": "1"}})
    assert answer.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_patching_a_missing_object_is_404(api: ApiServerUnderTest) -> None:
    """A merge patch creates nothing."""
    assert (await api.patch(api.path("configmaps/none"), {"data": {}})).code == 404


async def test_json_patch_operations(api: ApiServerUnderTest) -> None:
    """Add, replace, remove, move and test do what RFC 6902 says."""
    await api.created(api.path("configmaps"), config_map("a", {"a": "1", "b": "2", "c": "3"}))
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "10"},
        {"op": "remove", "path": "/data/b"},
        {"op": "move", "from": "/data/c", "path": "/data/d"},
        {"op": "add", "path": "/metadata/annotations", "value": {"example.test/x": "1"}},
    ]
    answer = await api.patch(api.path("configmaps/a"), operations, JSON_PATCH)
    assert answer.code == 200
    assert answer.body["data"] == {"a": "10", "d": "3"}
    escaped = [{"op": "remove", "path": "/metadata/annotations/example.test~1x"}]
    answer = await api.patch(api.path("configmaps/a"), escaped, JSON_PATCH)
    assert answer.code == 200
    assert not answer.body["metadata"].get("annotations")


async def test_json_patch_failing_its_test_is_422(api: ApiServerUnderTest) -> None:
    """A failed test operation changes nothing."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    operations = [
        {"op": "replace", "path": "/data/k", "value": "2"},
        {"op": "test", "path": "/data/k", "value": "1"},
    ]
    answer = await api.patch(api.path("configmaps/a"), operations, JSON_PATCH)
    assert answer.code == 422
    assert (await api.get(api.path("configmaps/a"))).body["data"] == {"k": "1"}


async def test_json_patch_of_a_missing_path_is_422(api: ApiServerUnderTest) -> None:
    """Replacing what is not there fails."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    operations = [{"op": "replace", "path": "/data/none/below", "value": "2"}]
    assert (await api.patch(api.path("configmaps/a"), operations, JSON_PATCH)).code == 422


async def test_strategic_patch_merges_containers_by_name(api: ApiServerUnderTest) -> None:
    """One container is changed, the other is left alone."""
    body = deployment("web")
    containers = body["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "example.test/side:1"})
    await api.created(api.path("deployments", DEPLOYMENTS), body)
    change = [{"name": "side", "image": "example.test/side:2"}]
    patch = {"spec": {"template": {"spec": {"containers": change}}}}
    answer = await api.patch(api.path("deployments/web", DEPLOYMENTS), patch, STRATEGIC)
    assert answer.code == 200
    images = {
        one["name"]: one["image"] for one in answer.body["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"main": "example.test/app:1", "side": "example.test/side:2"}


async def test_merge_patch_replaces_lists_whole(api: ApiServerUnderTest) -> None:
    """A plain merge patch knows no list keys."""
    body = deployment("web")
    containers = body["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "example.test/side:1"})
    await api.created(api.path("deployments", DEPLOYMENTS), body)
    change = [{"name": "side", "image": "example.test/side:2"}]
    patch = {"spec": {"template": {"spec": {"containers": change}}}}
    answer = await api.patch(api.path("deployments/web", DEPLOYMENTS), patch, MERGE)
    names = [one["name"] for one in answer.body["spec"]["template"]["spec"]["containers"]]
    assert names == ["side"]


async def test_strategic_patch_merges_conditions_by_type(api: ApiServerUnderTest) -> None:
    """A status patch adds one condition and updates another."""
    await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    path = api.path("deployments/web/status", DEPLOYMENTS)
    first = {"type": "Available", "status": "False", "reason": "A", "message": "m"}
    second = {"type": "Progressing", "status": "True", "reason": "B", "message": "m"}
    await api.patch(path, {"status": {"conditions": [first]}}, STRATEGIC)
    changed = {"type": "Available", "status": "True"}
    answer = await api.patch(path, {"status": {"conditions": [changed, second]}}, STRATEGIC)
    assert answer.code == 200
    found = {one["type"]: one["status"] for one in answer.body["status"]["conditions"]}
    assert found == {"Available": "True", "Progressing": "True"}
    kept = next(one for one in answer.body["status"]["conditions"] if one["type"] == "Available")
    assert kept["reason"] == "A"


async def test_strategic_patch_deletes_by_directive(api: ApiServerUnderTest) -> None:
    """``$patch: delete`` removes one element of a keyed list."""
    body = deployment("web")
    containers = body["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "side", "image": "example.test/side:1"})
    await api.created(api.path("deployments", DEPLOYMENTS), body)
    change = [{"name": "side", "$patch": "delete"}]
    patch = {"spec": {"template": {"spec": {"containers": change}}}}
    answer = await api.patch(api.path("deployments/web", DEPLOYMENTS), patch, STRATEGIC)
    names = [one["name"] for one in answer.body["spec"]["template"]["spec"]["containers"]]
    assert names == ["main"]


async def test_custom_resources_take_no_strategic_patch(pumps: ApiServerUnderTest) -> None:
    """Strategic merge needs a built-in type: 415."""
    await pumps.created(pumps.path("pumps", f"{GROUP}/v1"), pump("p"))
    path = pumps.path("pumps/p", f"{GROUP}/v1")
    answer = await pumps.patch(path, {"spec": {"speed": 1}}, STRATEGIC)
    assert answer.code == 415
    assert answer.body["reason"] == "UnsupportedMediaType"
    assert (await pumps.patch(path, {"spec": {"speed": 1}})).code == 200


async def test_unknown_patch_type_is_415(api: ApiServerUnderTest) -> None:
    """application/json is no patch type."""
    await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.patch(api.path("configmaps/a"), {"data": {}}, "application/json")
    assert answer.code == 415


async def test_status_patch_leaves_the_spec(api: ApiServerUnderTest) -> None:
    """A merge patch at /status cannot change replicas."""
    await api.created(api.path("deployments", DEPLOYMENTS), deployment("web", 2))
    patch = {"spec": {"replicas": 9}, "status": {"replicas": 2}}
    answer = await api.patch(api.path("deployments/web/status", DEPLOYMENTS), patch)
    assert answer.body["spec"]["replicas"] == 2
    assert answer.body["status"]["replicas"] == 2


async def test_spec_patch_leaves_the_status(pumps: ApiServerUnderTest) -> None:
    """A merge patch at the main resource cannot change the status of a custom resource."""
    await pumps.created(pumps.path("pumps", f"{GROUP}/v1"), pump("p"))
    patch = {"spec": {"speed": 1}, "status": {"replicas": 3}}
    answer = await pumps.patch(pumps.path("pumps/p", f"{GROUP}/v1"), patch)
    assert "status" not in answer.body


async def test_field_manager_of_an_update_is_recorded(api: ApiServerUnderTest) -> None:
    """ManagedFields say who changed what."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    answer = await api.patch(api.path("configmaps/a"), {"data": {"k": "2"}}, fieldManager="me")
    entries = {one["manager"]: one for one in answer.body["metadata"]["managedFields"]}
    assert entries["me"]["operation"] == "Update"
    assert entries["me"]["fieldsType"] == "FieldsV1"
    assert "f:k" in entries["me"]["fieldsV1"]["f:data"]


async def test_patch_to_a_wrong_type_is_422(api: ApiServerUnderTest) -> None:
    """The patch, not the request, is at fault when its result does not decode."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    answer = await api.patch(api.path("configmaps/a"), {"data": {"k": 2}})
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "patch"
    await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    path = api.path("deployments/web", DEPLOYMENTS)
    assert (await api.patch(path, {"spec": {"replicas": "2"}})).code == 422


async def test_json_patch_replaces_what_is_missing(api: ApiServerUnderTest) -> None:
    """Unlike in RFC 6902 a missing member of a present object is added."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    operations = [{"op": "replace", "path": "/data/new", "value": "2"}]
    answer = await api.patch(api.path("configmaps/a"), operations, JSON_PATCH)
    assert answer.code == 200
    assert answer.body["data"] == {"k": "1", "new": "2"}


async def test_json_patch_removes_only_what_is_there(api: ApiServerUnderTest) -> None:
    """Removing a missing member fails."""
    await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    operations = [{"op": "remove", "path": "/data/none"}]
    answer = await api.patch(api.path("configmaps/a"), operations, JSON_PATCH)
    assert answer.code == 422
    assert answer.body["reason"] == "Invalid"


async def test_merge_patch_that_is_no_object_is_400(api: ApiServerUnderTest) -> None:
    """A list is no merge patch."""
    await api.created(api.path("configmaps"), config_map("a"))
    assert (await api.patch(api.path("configmaps/a"), [])).code == 400


async def test_patch_cannot_rename(api: ApiServerUnderTest) -> None:
    """Another name than the path's is 400."""
    await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.patch(api.path("configmaps/a"), {"metadata": {"name": "b"}})
    assert answer.code == 400
