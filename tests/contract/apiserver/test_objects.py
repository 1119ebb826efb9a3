"""Creating, reading and refusing objects."""

from __future__ import annotations

import re

import pytest

from tests.contract.apiserver.server import MERGE, ApiServerUnderTest, config_map, deployment


async def test_creation_sets_the_system_metadata(api: ApiServerUnderTest) -> None:
    """A created object has a uid, a version, a creation instant and its namespace."""
    answer = await api.post(api.path("configmaps"), config_map("a", {"k": "v"}))
    assert answer.code == 201
    metadata = answer.body["metadata"]
    assert answer.body["kind"] == "ConfigMap"
    assert answer.body["apiVersion"] == "v1"
    assert metadata["namespace"] == api.namespace
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["resourceVersion"].isdigit()
    assert "generation" not in metadata


async def test_read_gives_what_was_created(api: ApiServerUnderTest) -> None:
    """GET returns the object as POST answered it."""
    made = await api.created(api.path("configmaps"), config_map("a", {"k": "v"}))
    answer = await api.get(api.path("configmaps/a"))
    assert (answer.code, answer.body) == (200, made)


async def test_generated_names_extend_the_prefix_and_differ(api: ApiServerUnderTest) -> None:
    """GenerateName gives the prefix plus five letters, anew each time."""
    body = {"metadata": {"generateName": "job-"}, "data": {}}
    names = {(await api.created(api.path("configmaps"), body))["metadata"]["name"] for _ in "abc"}
    assert len(names) == 3
    assert all(re.fullmatch(r"job-[a-z0-9]{5}", name) for name in names)


async def test_missing_object_is_404_with_its_name(api: ApiServerUnderTest) -> None:
    """The Status names resource and object."""
    answer = await api.get(api.path("deployments/none", "apps/v1"))
    assert answer.code == 404
    assert answer.body["kind"] == "Status"
    assert answer.body["status"] == "Failure"
    assert answer.body["reason"] == "NotFound"
    assert answer.body["code"] == 404
    assert answer.body["details"] == {"name": "none", "group": "apps", "kind": "deployments"}
    assert answer.body["message"] == 'deployments.apps "none" not found'


async def test_taken_name_is_409(api: ApiServerUnderTest) -> None:
    """Creating an existing name says AlreadyExists."""
    await api.created(api.path("configmaps"), config_map("a"))
    answer = await api.post(api.path("configmaps"), config_map("a"))
    assert answer.code == 409
    assert answer.body["reason"] == "AlreadyExists"
    assert answer.body["details"] == {"name": "a", "kind": "configmaps"}


@pytest.mark.parametrize("group_version", ["v1", "apps/v1", "apps/v9"])
async def test_unknown_resource_of_a_known_group_is_404_without_a_name(
    api: ApiServerUnderTest, group_version: str
) -> None:
    """Below the server's own groups a Status says that the resource, not an object, is missing."""
    answer = await api.get(api.path("nonsenses", group_version))
    assert answer.code == 404
    assert answer.body["reason"] == "NotFound"
    assert answer.body["details"] == {}
    assert answer.body["message"] == "the server could not find the requested resource"


async def test_unknown_group_is_a_plain_404(api: ApiServerUnderTest) -> None:
    """A group that nobody serves has no Status body."""
    answer = await api.get(api.path("nonsenses", "nothing.example/v1"))
    assert answer.code == 404
    assert "404 page not found" in answer.body


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/a"), ("PUT", ""), ("PATCH", "")],
    ids=["create at a name", "replace a collection", "patch a collection"],
)
async def test_method_that_makes_no_sense_is_405(
    api: ApiServerUnderTest, method: str, path: str
) -> None:
    """Names and collections take different methods."""
    body_type = MERGE if method == "PATCH" else "application/json"
    answer = await api.request(
        method, api.path("configmaps") + path, config_map("a"), content_type=body_type
    )
    assert answer.code == 405
    assert answer.body["reason"] == "MethodNotAllowed"


async def test_namespace_has_to_exist(api: ApiServerUnderTest) -> None:
    """Creating in a missing namespace is 404 and names the namespace."""
    answer = await api.post("/api/v1/namespaces/never-made/configmaps", config_map("a"))
    assert answer.code == 404
    assert answer.body["details"]["name"] == "never-made"
    assert answer.body["details"]["kind"] == "namespaces"


async def test_foreign_namespace_in_the_body_is_400(api: ApiServerUnderTest) -> None:
    """The body may not name another namespace than the URL."""
    answer = await api.post(api.path("configmaps"), config_map("a", namespace="default"))
    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"'], ids=["cut", "list", "text"])
async def test_body_that_is_no_object_is_400(api: ApiServerUnderTest, body: bytes) -> None:
    """Unreadable bodies are BadRequest."""
    answer = await api.request("POST", api.path("configmaps"), data=body)
    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"


async def test_other_kind_than_the_path_is_400(api: ApiServerUnderTest) -> None:
    """A Secret cannot be posted to configmaps."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}
    answer = await api.post(api.path("configmaps"), body)
    assert answer.code == 400


async def test_wrongly_typed_field_is_400(api: ApiServerUnderTest) -> None:
    """A number where a string belongs does not decode."""
    body = {"metadata": {"name": "a"}, "data": {"k": 1}}
    assert (await api.post(api.path("configmaps"), body)).code == 400


async def test_missing_name_is_422(api: ApiServerUnderTest) -> None:
    """Without name and generateName the cause names the field."""
    answer = await api.post(api.path("configmaps"), {"metadata": {}})
    assert answer.code == 422
    assert answer.body["reason"] == "Invalid"
    assert answer.body["details"]["kind"] == "ConfigMap"
    cause = answer.body["details"]["causes"][0]
    assert cause["field"] == "metadata.name"
    assert cause["reason"] == "FieldValueRequired"


async def test_name_with_capitals_is_422(api: ApiServerUnderTest) -> None:
    """Names are lowercase subdomains."""
    answer = await api.post(api.path("configmaps"), config_map("Not-Lower"))
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["reason"] == "FieldValueInvalid"


async def test_deployment_selector_has_to_match_its_template(api: ApiServerUnderTest) -> None:
    """A selector that would not find the Deployment's own pods is refused."""
    body = deployment("web")
    body["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    answer = await api.post(api.path("deployments", "apps/v1"), body)
    assert answer.code == 422
    assert answer.body["details"]["group"] == "apps"
    assert answer.body["details"]["kind"] == "Deployment"


async def test_defaults_are_filled_in(api: ApiServerUnderTest) -> None:
    """A Deployment without replicas has one, and starts with generation 1 and no status."""
    made = await api.created(api.path("deployments", "apps/v1"), deployment("web", None))
    assert made["spec"]["replicas"] == 1
    assert made["metadata"]["generation"] == 1
    assert not made.get("status", {}).get("replicas")


async def test_secret_strings_are_encoded(api: ApiServerUnderTest) -> None:
    """StringData is stored as base64 data and not shown again."""
    body = {"metadata": {"name": "s"}, "stringData": {"password": "opensesame"}}
    made = await api.created(api.path("secrets"), body)
    assert made["type"] == "Opaque"
    assert made["data"] == {"password": "b3BlbnNlc2FtZQ=="}
    assert "stringData" not in made


async def test_dry_run_stores_nothing(api: ApiServerUnderTest) -> None:
    """dryRun=All answers as usual and leaves no object."""
    answer = await api.post(api.path("configmaps"), config_map("a"), dryRun="All")
    assert answer.code == 201
    assert (await api.get(api.path("configmaps/a"))).code == 404


async def test_namespace_carries_its_name_as_label(api: ApiServerUnderTest) -> None:
    """Namespaces can be selected by the well-known label."""
    answer = await api.get(f"/api/v1/namespaces/{api.namespace}")
    assert answer.body["metadata"]["labels"]["kubernetes.io/metadata.name"] == api.namespace
    assert answer.body["status"]["phase"] == "Active"


async def test_node_keeps_the_status_it_registers_with(api: ApiServerUnderTest) -> None:
    """Nodes are the one kind whose status counts on creation."""
    name = f"node-{api.namespace}"
    body = {"metadata": {"name": name}, "status": {"capacity": {"cpu": "4"}}}
    made = await api.created("/api/v1/nodes", body)
    assert made["status"]["capacity"] == {"cpu": "4"}
    assert (await api.delete(f"/api/v1/nodes/{name}")).code == 200


@pytest.mark.parametrize(
    ("field", "pairs"),
    [
        ("labels", {"a b": "c"}),
        ("labels", {"a": "b c"}),
        ("labels", {"a": "x" * 64}),
        ("labels", {"x" * 64: "a"}),
        ("labels", {"Upper.example/a": "b"}),
        ("labels", {"/a": "b"}),
        ("annotations", {"a b": "c"}),
    ],
    ids=["space in key", "space", "64 long", "key 64 long", "capital", "no prefix", "annotation"],
)
async def test_bad_label_or_annotation_is_422(
    api: ApiServerUnderTest, field: str, pairs: dict[str, str]
) -> None:
    """Keys and label values have a form and at most 63 characters."""
    answer = await api.post(api.path("configmaps"), config_map("a", **{field: pairs}))
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == f"metadata.{field}"


async def test_label_values_may_be_empty_and_63_long(api: ApiServerUnderTest) -> None:
    """The limits themselves are fine."""
    labels = {"empty": "", "long": "x" * 63, "example.test/" + "k" * 63: "v"}
    made = await api.created(api.path("configmaps"), config_map("a", labels=labels))
    assert made["metadata"]["labels"] == labels


async def test_key_of_a_config_map_has_a_form(api: ApiServerUnderTest) -> None:
    """A key is a file name at best."""
    answer = await api.post(api.path("configmaps"), config_map("a", {"a b": "c"}))
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "data[a b]"


async def test_pod_template_needs_containers_with_images(api: ApiServerUnderTest) -> None:
    """Both a template without containers and a container without an image are refused."""
    body = deployment("web")
    spec = body["spec"]["template"]["spec"]
    del spec["containers"][0]["image"]
    answer = await api.post(api.path("deployments", "apps/v1"), body)
    assert answer.code == 422
    field = "spec.template.spec.containers[0].image"
    assert answer.body["details"]["causes"][0]["field"] == field
    spec["containers"] = []
    answer = await api.post(api.path("deployments", "apps/v1"), body)
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "spec.template.spec.containers"


async def test_lease_lasts_longer_than_nothing(api: ApiServerUnderTest) -> None:
    """A duration of zero is refused."""
    path = api.path("leases", "coordination.k8s.io/v1")
    body = {"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0}}
    assert (await api.post(path, body)).code == 422
