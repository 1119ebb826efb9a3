"""What the server says it serves."""

from __future__ import annotations

from tests.contract.apiserver.server import GROUP, ApiServerUnderTest


async def test_core_version(api: ApiServerUnderTest) -> None:
    """/api names v1."""
    answer = await api.get("/api")
    assert answer.body["kind"] == "APIVersions"
    assert answer.body["versions"] == ["v1"]


async def test_groups_have_a_preferred_version(api: ApiServerUnderTest) -> None:
    """/apis lists every group."""
    answer = await api.get("/apis")
    assert answer.body["kind"] == "APIGroupList"
    found = {group["name"]: group["preferredVersion"] for group in answer.body["groups"]}
    assert found["apps"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert {"batch", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io"} <= set(found)


async def test_one_group(api: ApiServerUnderTest) -> None:
    """/apis/<group> describes it alone."""
    answer = await api.get("/apis/apps")
    assert answer.body["kind"] == "APIGroup"
    assert answer.body["name"] == "apps"


async def test_resources_list_their_subresources(api: ApiServerUnderTest) -> None:
    """Deployments have status and scale, and scale says which kind it is."""
    answer = await api.get("/apis/apps/v1")
    assert answer.body["kind"] == "APIResourceList"
    assert answer.body["groupVersion"] == "apps/v1"
    found = {one["name"]: one for one in answer.body["resources"]}
    assert found["deployments"]["kind"] == "Deployment"
    assert found["deployments"]["namespaced"] is True
    assert "deploy" in found["deployments"]["shortNames"]
    assert {"get", "list", "watch", "patch"} <= set(found["deployments"]["verbs"])
    assert found["deployments/scale"]["kind"] == "Scale"
    assert found["deployments/scale"]["group"] == "autoscaling"
    assert found["deployments/scale"]["version"] == "v1"
    assert "deployments/status" in found


async def test_cluster_scoped_resources_say_so(api: ApiServerUnderTest) -> None:
    """Nodes belong to no namespace."""
    answer = await api.get("/api/v1")
    found = {one["name"]: one for one in answer.body["resources"]}
    assert found["nodes"]["namespaced"] is False
    assert found["pods"]["namespaced"] is True


async def test_jobs_have_no_scale(api: ApiServerUnderTest) -> None:
    """What cannot be scaled has no such subresource."""
    answer = await api.get("/apis/batch/v1")
    names = {one["name"] for one in answer.body["resources"]}
    assert "jobs" in names
    assert "jobs/scale" not in names


async def test_unknown_group_is_404(api: ApiServerUnderTest) -> None:
    """A group nobody serves is not found."""
    assert (await api.get("/apis/nothing.example")).code == 404
    assert (await api.get("/apis/nothing.example/v1")).code == 404


async def test_custom_resources_are_discovered(pumps: ApiServerUnderTest) -> None:
    """A definition appears with its names and subresources."""
    answer = await pumps.get(f"/apis/{GROUP}/v1")
    assert answer.code == 200
    found = {one["name"]: one for one in answer.body["resources"]}
    assert found["pumps"]["kind"] == "Pump"
    assert found["pumps"]["singularName"] == "pump"
    assert found["pumps"]["shortNames"] == ["pu"]
    assert found["pumps/scale"]["kind"] == "Scale"
    assert "pumps/status" in found


async def test_definition_is_established(pumps: ApiServerUnderTest) -> None:
    """The definition itself says that it is served."""
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pumps.{GROUP}"
    answer = await pumps.get(path)
    conditions = {one["type"]: one["status"] for one in answer.body["status"]["conditions"]}
    assert conditions["Established"] == "True"


async def test_health_and_version(api: ApiServerUnderTest) -> None:
    """Probes say ok and the version has a major and a minor."""
    for path in ("/livez", "/readyz", "/healthz"):
        answer = await api.get(path)
        assert (answer.code, answer.body) == (200, "ok")
    version = (await api.get("/version")).body
    assert version["major"] == "1"
    assert version["minor"].isdigit()
