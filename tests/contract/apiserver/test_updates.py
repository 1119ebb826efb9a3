"""Replacing objects: versions, generations, and the two halves spec and status."""

from __future__ import annotations

from tests.contract.apiserver.server import (
    GROUP,
    ApiServerUnderTest,
    config_map,
    deployment,
    pump,
)

DEPLOYMENTS = "apps/v1"
PUMPS = f"{GROUP}/v1"


async def test_replacement_moves_the_version(api: ApiServerUnderTest) -> None:
    """PUT stores the new content under a later version."""
    made = await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    made["data"] = {"k": "2"}
    answer = await api.put(api.path("configmaps/a"), made)
    assert answer.code == 200
    assert answer.body["data"] == {"k": "2"}
    before, after = made["metadata"], answer.body["metadata"]
    assert int(after["resourceVersion"]) > int(before["resourceVersion"])
    assert after["uid"] == before["uid"]
    assert after["creationTimestamp"] == before["creationTimestamp"]


async def test_stale_version_is_a_conflict(api: ApiServerUnderTest) -> None:
    """Replacing what somebody else changed since is 409 and changes nothing."""
    made = await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    await api.put(api.path("configmaps/a"), {**made, "data": {"k": "2"}})
    answer = await api.put(api.path("configmaps/a"), {**made, "data": {"k": "3"}})
    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}
    assert (await api.get(api.path("configmaps/a"))).body["data"] == {"k": "2"}


async def test_config_map_may_be_replaced_unconditionally(api: ApiServerUnderTest) -> None:
    """PUT without a version overwrites kinds that allow it."""
    await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.put(api.path("configmaps/a"), config_map("a", {"k": "2"}))
    assert answer.code == 200


async def test_custom_resource_needs_a_version_to_be_replaced(pumps: ApiServerUnderTest) -> None:
    """PUT of a custom resource without a version is 422."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p"))
    answer = await pumps.put(pumps.path("pumps/p", PUMPS), pump("p", speed=2))
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"


async def test_replacing_a_missing_object_is_404(api: ApiServerUnderTest) -> None:
    """PUT does not create a ConfigMap."""
    assert (await api.put(api.path("configmaps/a"), config_map("a"))).code == 404


async def test_lease_is_created_by_replacement(api: ApiServerUnderTest) -> None:
    """PUT creates a Lease, and then needs its version."""
    path = api.path("leases/l", "coordination.k8s.io/v1")
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "one"}}
    assert (await api.put(path, body)).code == 201
    assert (await api.put(path, body)).code == 422


async def test_other_name_than_the_path_is_400(api: ApiServerUnderTest) -> None:
    """The body cannot rename the object."""
    await api.created(api.path("configmaps"), config_map("a"))
    assert (await api.put(api.path("configmaps/a"), config_map("b"))).code == 400


async def test_other_uid_is_a_conflict(api: ApiServerUnderTest) -> None:
    """A body made for a deleted namesake does not overwrite the new object."""
    await api.created(api.path("configmaps"), config_map("a"))
    other = config_map("a", uid="00000000-0000-4000-8000-000000000000")
    assert (await api.put(api.path("configmaps/a"), other)).code == 409


async def test_unchanged_replacement_keeps_the_version(api: ApiServerUnderTest) -> None:
    """Writing the same content is no change, so watchers see nothing."""
    made = await api.created(api.path("configmaps"), config_map("a", {"k": "1"}))
    answer = await api.put(api.path("configmaps/a"), made)
    assert answer.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_generation_counts_spec_changes_only(api: ApiServerUnderTest) -> None:
    """Labels leave the generation alone, replicas raise it."""
    path = api.path("deployments/web", DEPLOYMENTS)
    made = await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    made["metadata"]["labels"] = {"team": "shop"}
    labelled = (await api.put(path, made)).body
    assert labelled["metadata"]["generation"] == 1
    labelled["spec"]["replicas"] = 3
    assert (await api.put(path, labelled)).body["metadata"]["generation"] == 2


async def test_selector_cannot_change(api: ApiServerUnderTest) -> None:
    """A Deployment keeps its selector for life."""
    made = await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    made["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    made["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert (await api.put(api.path("deployments/web", DEPLOYMENTS), made)).code == 422


async def test_replacement_ignores_status(api: ApiServerUnderTest) -> None:
    """The main resource does not write the status."""
    made = await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    made["status"] = {"replicas": 7}
    answer = await api.put(api.path("deployments/web", DEPLOYMENTS), made)
    assert answer.body.get("status", {}).get("replicas", 0) == 0


async def test_status_replacement_ignores_spec(api: ApiServerUnderTest) -> None:
    """/status writes the status alone and leaves the generation."""
    made = await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    made["spec"]["replicas"] = 9
    made["status"] = {"replicas": 2, "observedGeneration": 1}
    answer = await api.put(api.path("deployments/web/status", DEPLOYMENTS), made)
    assert answer.code == 200
    assert answer.body["status"]["replicas"] == 2
    assert answer.body["spec"]["replicas"] == 1
    assert answer.body["metadata"]["generation"] == 1


async def test_custom_status_is_apart_from_spec(pumps: ApiServerUnderTest) -> None:
    """A custom resource drops the status on creation and takes it at /status only."""
    body = {**pump("p", speed=1), "status": {"replicas": 4}}
    made = await pumps.created(pumps.path("pumps", PUMPS), body)
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    made["status"] = {"replicas": 4}
    made["spec"]["speed"] = 5
    written = (await pumps.put(pumps.path("pumps/p/status", PUMPS), made)).body
    assert written["status"] == {"replicas": 4}
    assert written["spec"] == {"speed": 1}
    assert written["metadata"]["generation"] == 1
    written["spec"]["speed"] = 5
    del written["status"]
    replaced = (await pumps.put(pumps.path("pumps/p", PUMPS), written)).body
    assert replaced["status"] == {"replicas": 4}
    assert replaced["metadata"]["generation"] == 2


async def test_status_is_readable_on_its_own(api: ApiServerUnderTest) -> None:
    """GET /status returns the whole object."""
    made = await api.created(api.path("deployments", DEPLOYMENTS), deployment("web"))
    answer = await api.get(api.path("deployments/web/status", DEPLOYMENTS))
    assert answer.code == 200
    assert answer.body["metadata"]["uid"] == made["metadata"]["uid"]


async def test_config_map_has_no_status(api: ApiServerUnderTest) -> None:
    """A subresource that is not served is a plain 404."""
    await api.created(api.path("configmaps"), config_map("a"))
    assert (await api.get(api.path("configmaps/a/status"))).code == 404


async def test_version_zero_is_no_precondition(api: ApiServerUnderTest) -> None:
    """PUT and PATCH under version 0 apply to whatever is there."""
    await api.created(api.path("configmaps"), config_map("a"))
    body = config_map("a", {"k": "1"}, resourceVersion="0")
    assert (await api.put(api.path("configmaps/a"), body)).code == 200
    patch = {"metadata": {"resourceVersion": "0"}, "data": {"k": "2"}}
    assert (await api.patch(api.path("configmaps/a"), patch)).body["data"] == {"k": "2"}


async def test_version_that_is_no_number_is_500(api: ApiServerUnderTest) -> None:
    """Versions are opaque to clients, and the server trips over one it did not make."""
    await api.created(api.path("configmaps"), config_map("a"))
    body = config_map("a", resourceVersion="abc")
    assert (await api.put(api.path("configmaps/a"), body)).code == 500
    assert (await api.patch(api.path("configmaps/a"), body)).code == 500


async def test_replacement_has_to_name_itself(api: ApiServerUnderTest) -> None:
    """The path alone does not say which object a PUT is for."""
    await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.put(api.path("configmaps/a"), {"data": {"k": "1"}})
    assert answer.code == 400
    assert "name must be provided" in answer.body["message"]
