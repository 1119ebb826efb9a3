"""The scale subresource of built-in workloads and of custom resources."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.apiserver.server import (
    APPLY,
    GROUP,
    JSON_PATCH,
    ApiServerUnderTest,
    deployment,
    pump,
)

APPS = "apps/v1"
PUMPS = f"{GROUP}/v1"


async def test_scale_of_a_deployment(api: ApiServerUnderTest) -> None:
    """GET gives an autoscaling/v1 Scale with the object's version and its pods' selector."""
    made = await api.created(api.path("deployments", APPS), deployment("web", 3))
    answer = await api.get(api.path("deployments/web/scale", APPS))
    assert answer.code == 200
    assert answer.body["kind"] == "Scale"
    assert answer.body["apiVersion"] == "autoscaling/v1"
    metadata = answer.body["metadata"]
    assert metadata["name"] == "web"
    assert metadata["namespace"] == api.namespace
    assert metadata["uid"] == made["metadata"]["uid"]
    assert metadata["resourceVersion"].isdigit()
    assert answer.body["spec"] == {"replicas": 3}
    assert answer.body["status"]["selector"] == "app=web"
    assert "replicas" in answer.body["status"]


async def test_scale_at_zero_leaves_the_count_out(api: ApiServerUnderTest) -> None:
    """A count of zero is omitted, so that readers have to take absence as zero."""
    await api.created(api.path("deployments", APPS), deployment("web", 0))
    answer = await api.get(api.path("deployments/web/scale", APPS))
    assert answer.body["spec"].get("replicas", 0) == 0


@pytest.mark.parametrize("kind", ["replicasets", "statefulsets"])
async def test_other_workloads_scale_too(api: ApiServerUnderTest, kind: str) -> None:
    """ReplicaSets and StatefulSets have the same subresource."""
    body = deployment("web", 1)
    body["kind"] = {"replicasets": "ReplicaSet", "statefulsets": "StatefulSet"}[kind]
    if kind == "statefulsets":
        body["spec"]["serviceName"] = "web"
    await api.created(api.path(kind, APPS), body)
    answer = await api.patch(api.path(f"{kind}/web/scale", APPS), {"spec": {"replicas": 4}})
    assert answer.code == 200
    assert answer.body["spec"]["replicas"] == 4


async def test_patch_scales_the_object(api: ApiServerUnderTest) -> None:
    """The object's replicas and generation follow, and the answer is a Scale."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    answer = await api.patch(
        api.path("deployments/web/scale", APPS), {"spec": {"replicas": 5}}, fieldManager="me"
    )
    assert answer.code == 200
    assert answer.body["kind"] == "Scale"
    assert answer.body["spec"]["replicas"] == 5
    now = (await api.get(api.path("deployments/web", APPS))).body
    assert now["spec"]["replicas"] == 5
    assert now["metadata"]["generation"] >= 2
    entry = next(one for one in now["metadata"]["managedFields"] if one["manager"] == "me")
    assert entry["subresource"] == "scale"
    assert entry["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


async def test_patch_to_zero(api: ApiServerUnderTest) -> None:
    """Zero is a count like any other."""
    await api.created(api.path("deployments", APPS), deployment("web", 2))
    await api.patch(api.path("deployments/web/scale", APPS), {"spec": {"replicas": 0}})
    assert (await api.get(api.path("deployments/web", APPS))).body["spec"]["replicas"] == 0


async def test_patch_guarded_by_the_version_read(api: ApiServerUnderTest) -> None:
    """With the version read the patch applies once, then is a conflict."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    path = api.path("deployments/web/scale", APPS)
    read = (await api.get(path)).body
    version = {"resourceVersion": read["metadata"]["resourceVersion"]}
    first = await api.patch(path, {"metadata": version, "spec": {"replicas": 2}})
    assert first.code == 200
    second = await api.patch(path, {"metadata": version, "spec": {"replicas": 3}})
    assert second.code == 409
    assert second.body["reason"] == "Conflict"
    assert (await api.get(path)).body["spec"]["replicas"] == 2


async def test_version_of_the_answer_guards_the_next_patch(api: ApiServerUnderTest) -> None:
    """The Scale answered by a write carries the new version."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    path = api.path("deployments/web/scale", APPS)
    first = (await api.patch(path, {"spec": {"replicas": 2}})).body
    shown = (await api.get(api.path("deployments/web", APPS))).body
    assert int(first["metadata"]["resourceVersion"]) <= int(shown["metadata"]["resourceVersion"])


async def test_put_scales_and_checks_the_version(api: ApiServerUnderTest) -> None:
    """PUT of a Scale works, and a stale one is a conflict."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    path = api.path("deployments/web/scale", APPS)
    read = (await api.get(path)).body
    read["spec"]["replicas"] = 6
    written = await api.put(path, read)
    assert written.code == 200
    assert written.body["spec"]["replicas"] == 6
    read["spec"]["replicas"] = 7
    assert (await api.put(path, read)).code == 409


async def test_json_patch_scales(api: ApiServerUnderTest) -> None:
    """JSON patch works on the Scale as well."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
    answer = await api.patch(api.path("deployments/web/scale", APPS), operations, JSON_PATCH)
    assert answer.code == 200
    assert answer.body["spec"]["replicas"] == 3


async def test_negative_count_is_422(api: ApiServerUnderTest) -> None:
    """Replicas below zero are Invalid."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    answer = await api.patch(api.path("deployments/web/scale", APPS), {"spec": {"replicas": -1}})
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "spec.replicas"


async def test_scale_of_a_missing_object_is_404(api: ApiServerUnderTest) -> None:
    """Both reading and writing say NotFound."""
    path = api.path("deployments/none/scale", APPS)
    for answer in (await api.get(path), await api.patch(path, {"spec": {"replicas": 1}})):
        assert answer.code == 404
        assert answer.body["reason"] == "NotFound"


async def test_target_without_scale_is_404_without_a_name(api: ApiServerUnderTest) -> None:
    """A Job has no scale subresource, which is not the same as a missing Job."""
    answer = await api.get(api.path("jobs/j/scale", "batch/v1"))
    assert answer.code == 404
    assert answer.body["details"] == {}
    assert answer.body["message"] == "the server could not find the requested resource"


async def test_dry_run_scales_nothing(api: ApiServerUnderTest) -> None:
    """dryRun=All shows the result only."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    path = api.path("deployments/web/scale", APPS)
    answer = await api.patch(path, {"spec": {"replicas": 8}}, dryRun="All")
    assert answer.body["spec"]["replicas"] == 8
    assert (await api.get(path)).body["spec"]["replicas"] == 1


async def test_scale_of_a_custom_resource(pumps: ApiServerUnderTest) -> None:
    """Paths come from the definition: spec and status replicas, and the selector as text."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p", replicas=2))
    await pumps.patch(
        pumps.path("pumps/p/status", PUMPS),
        {"status": {"replicas": 1, "selector": "app=pump"}},
    )
    path = pumps.path("pumps/p/scale", PUMPS)
    read = (await pumps.get(path)).body
    assert read["kind"] == "Scale"
    assert read["apiVersion"] == "autoscaling/v1"
    assert read["spec"] == {"replicas": 2}
    assert read["status"] == {"replicas": 1, "selector": "app=pump"}
    version = {"resourceVersion": read["metadata"]["resourceVersion"]}
    written = await pumps.patch(path, {"metadata": version, "spec": {"replicas": 4}})
    assert written.code == 200
    again = await pumps.patch(path, {"metadata": version, "spec": {"replicas": 5}})
    assert again.code == 409
    shown = (await pumps.get(pumps.path("pumps/p", PUMPS))).body
    assert shown["spec"]["replicas"] == 4
    assert shown["metadata"]["generation"] == 2


async def test_custom_resource_without_replicas_cannot_be_read(pumps: ApiServerUnderTest) -> None:
    """A missing spec.replicas is a 500 that names the path."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p", speed=1))
    answer = await pumps.get(pumps.path("pumps/p/scale", PUMPS))
    assert answer.code == 500
    assert ".spec.replicas" in answer.body["message"]


async def test_json_patch_scales_up_from_zero(api: ApiServerUnderTest) -> None:
    """Replacing the count works although a count of zero is left out."""
    await api.created(api.path("deployments", APPS), deployment("web", 0))
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
    answer = await api.patch(api.path("deployments/web/scale", APPS), operations, JSON_PATCH)
    assert answer.code == 200
    assert answer.body["spec"]["replicas"] == 3


async def test_count_as_text_is_422(api: ApiServerUnderTest) -> None:
    """A number in quotes is no number."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    path = api.path("deployments/web/scale", APPS)
    answer = await api.patch(path, {"spec": {"replicas": "3"}})
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "patch"


async def test_patch_without_a_count_scales_to_zero(api: ApiServerUnderTest) -> None:
    """Removing the count is asking for none."""
    await api.created(api.path("deployments", APPS), deployment("web", 2))
    answer = await api.patch(api.path("deployments/web/scale", APPS), {"spec": None})
    assert answer.code == 200
    assert (await api.get(api.path("deployments/web", APPS))).body["spec"]["replicas"] == 0


async def test_put_of_another_object_is_400(api: ApiServerUnderTest) -> None:
    """The body of a PUT is a Scale that names its object."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    path = api.path("deployments/web/scale", APPS)
    unnamed = {"spec": {"replicas": 2}}
    other = {"metadata": {"name": "other"}, "spec": {"replicas": 2}}
    for body in (unnamed, other, {**deployment("web", 2)}):
        assert (await api.put(path, body)).code == 400


async def test_apply_scales_a_deployment(api: ApiServerUnderTest) -> None:
    """Server-side apply works on the Scale of a built-in workload."""
    await api.created(api.path("deployments", APPS), deployment("web", 1))
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}}
    answer = await api.patch(
        api.path("deployments/web/scale", APPS),
        {**body, "spec": {"replicas": 4}},
        APPLY,
        fieldManager="me",
        force="true",
    )
    assert answer.code == 200
    assert answer.body["spec"]["replicas"] == 4


async def test_scaling_takes_the_replicas_from_their_owner(api: ApiServerUnderTest) -> None:
    """Whoever patches the Scale owns the replicas from then on, instead of who applied them."""
    path = api.path("deployments/web", APPS)
    await api.apply(path, deployment("web", 1), "gitops")
    await api.patch(f"{path}/scale", {"spec": {"replicas": 4}}, fieldManager="me")
    assert owners_of_replicas((await api.get(path)).body) == [("me", "scale")]
    assert (await api.apply(path, deployment("web", 9), "gitops")).code == 409
    assert (await api.apply(path, deployment("web", None), "gitops")).code == 200
    assert (await api.get(path)).body["spec"]["replicas"] == 4


async def test_scaling_replicas_nobody_owned_notes_no_owner(api: ApiServerUnderTest) -> None:
    """A manifest that never named a count is applied again without changing what was scaled."""
    path = api.path("deployments/web", APPS)
    await api.apply(path, deployment("web", None), "gitops")
    await api.patch(f"{path}/scale", {"spec": {"replicas": 4}}, fieldManager="me")
    assert owners_of_replicas((await api.get(path)).body) == []
    assert (await api.apply(path, deployment("web", None), "gitops")).code == 200
    assert (await api.get(path)).body["spec"]["replicas"] == 4


def owners_of_replicas(value: dict[str, Any]) -> list[tuple[str, str]]:
    """Return manager and subresource of everybody who owns ``spec.replicas`` by writing them.

    Controllers own the replicas of the status; the real ones are not looked at.
    """
    return [
        (entry["manager"], entry.get("subresource", ""))
        for entry in value["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    ]


async def test_apply_cannot_scale_a_custom_resource(pumps: ApiServerUnderTest) -> None:
    """Server-side apply on the Scale of a custom resource is a server error."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p", replicas=2))
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "p"}}
    answer = await pumps.patch(
        pumps.path("pumps/p/scale", PUMPS),
        {**body, "spec": {"replicas": 4}},
        APPLY,
        fieldManager="me",
        force="true",
    )
    assert answer.code == 500


async def test_negative_count_of_a_custom_resource_names_its_field(
    pumps: ApiServerUnderTest,
) -> None:
    """The path of the definition is at fault, on the custom resource itself."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p", replicas=2))
    answer = await pumps.patch(pumps.path("pumps/p/scale", PUMPS), {"spec": {"replicas": -1}})
    assert answer.code == 422
    assert answer.body["details"]["kind"] == "Pump"
    assert answer.body["details"]["causes"][0]["field"] == ".spec.replicas"
