"""LIST: selectors, pages, versions."""

from __future__ import annotations

import pytest

from tests.contract.apiserver.server import (
    GROUP,
    ApiServerUnderTest,
    config_map,
    pump,
)


def names(body: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    """Return the names in a list, without the cluster's own objects."""
    found = [item["metadata"]["name"] for item in body["items"]]
    return [name for name in found if not name.startswith("kube-root-ca")]


async def make(api: ApiServerUnderTest, **labels_of: dict[str, str]) -> None:
    """Create one ConfigMap per keyword, with its labels."""
    for name, labels in labels_of.items():
        await api.created(api.path("configmaps"), config_map(name, labels=labels))


async def test_list_has_kind_version_and_items_in_name_order(api: ApiServerUnderTest) -> None:
    """Items come sorted by name, under a list version."""
    await make(api, c={}, a={}, b={})
    answer = await api.get(api.path("configmaps"))
    assert answer.code == 200
    assert answer.body["kind"] == "ConfigMapList"
    assert answer.body["apiVersion"] == "v1"
    assert answer.body["metadata"]["resourceVersion"].isdigit()
    assert names(answer.body) == ["a", "b", "c"]


async def test_items_of_built_in_kinds_carry_no_kind(api: ApiServerUnderTest) -> None:
    """Only the list says what its items are."""
    await make(api, a={})
    item = (await api.get(api.path("configmaps"))).body["items"][0]
    assert "kind" not in item
    assert "apiVersion" not in item


async def test_items_of_custom_resources_carry_their_kind(pumps: ApiServerUnderTest) -> None:
    """Custom resources repeat kind and version."""
    await pumps.created(pumps.path("pumps", f"{GROUP}/v1"), pump("p"))
    answer = await pumps.get(pumps.path("pumps", f"{GROUP}/v1"))
    assert answer.body["kind"] == "PumpList"
    assert answer.body["items"][0]["kind"] == "Pump"
    assert answer.body["items"][0]["apiVersion"] == f"{GROUP}/v1"


async def test_list_over_all_namespaces(api: ApiServerUnderTest) -> None:
    """The path without a namespace lists them all."""
    await make(api, a={"test": api.namespace})
    answer = await api.get("/api/v1/configmaps", labelSelector=f"test={api.namespace}")
    assert names(answer.body) == ["a"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=web", ["a", "b"]),
        ("app==web", ["a", "b"]),
        ("app!=web", ["c", "d"]),
        ("app=web,tier=front", ["a"]),
        ("app in (web,db)", ["a", "b", "c"]),
        ("app notin (web)", ["c", "d"]),
        ("tier", ["a"]),
        ("!app", ["d"]),
        ("app in (web, db),tier!=front", ["b", "c"]),
    ],
)
async def test_label_selectors(api: ApiServerUnderTest, selector: str, expected: list[str]) -> None:
    """Equality, sets and existence select as documented; absent labels are unequal."""
    await make(api, a={"app": "web", "tier": "front"}, b={"app": "web"}, c={"app": "db"}, d={})
    answer = await api.get(api.path("configmaps"), labelSelector=selector)
    assert names(answer.body) == expected


async def test_unreadable_label_selector_is_400(api: ApiServerUnderTest) -> None:
    """A broken selector is BadRequest."""
    answer = await api.get(api.path("configmaps"), labelSelector="app in web")
    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"


async def test_field_selector_by_name(api: ApiServerUnderTest) -> None:
    """Every resource can be selected by name."""
    await make(api, a={}, b={})
    answer = await api.get(api.path("configmaps"), fieldSelector="metadata.name=b")
    assert names(answer.body) == ["b"]
    answer = await api.get(api.path("configmaps"), fieldSelector="metadata.name!=b")
    assert names(answer.body) == ["a"]


async def test_field_selector_of_pods(api: ApiServerUnderTest) -> None:
    """Pods can be selected by node and phase."""
    containers = [{"name": "main", "image": "example.test/app:1"}]
    spec = {"containers": containers, "schedulerName": "nobody"}
    for name, node in (("here", "n1"), ("there", "n2"), ("nowhere", "")):
        placed = {**spec, "nodeName": node} if node else spec
        await api.created(api.path("pods"), {"metadata": {"name": name}, "spec": placed})
    answer = await api.get(api.path("pods"), fieldSelector="spec.nodeName=n1")
    assert names(answer.body) == ["here"]
    answer = await api.get(api.path("pods"), fieldSelector="spec.nodeName!=,status.phase=Pending")
    assert names(answer.body) == ["here", "there"]


@pytest.mark.parametrize(
    ("resource", "group_version", "message"),
    [
        ("configmaps", "v1", '"data.k" is not a known field selector: only "metadata.name"'),
        ("deployments", "apps/v1", '"data.k" is not a known field selector'),
        ("pods", "v1", "field label not supported: data.k"),
        ("jobs", "batch/v1", 'field label "data.k" not supported for Job'),
        ("events", "events.k8s.io/v1", "field label not supported: data.k"),
    ],
)
async def test_unsupported_field_is_400(
    api: ApiServerUnderTest, resource: str, group_version: str, message: str
) -> None:
    """Other fields cannot be selected by; how that is said depends on the kind."""
    answer = await api.get(api.path(resource, group_version), fieldSelector="data.k=v")
    assert answer.code == 400
    assert answer.body["reason"] == "BadRequest"
    assert message in answer.body["message"]


async def test_unsupported_field_of_a_custom_resource_is_400(pumps: ApiServerUnderTest) -> None:
    """Custom resources are selected by name and namespace."""
    answer = await pumps.get(pumps.path("pumps", f"{GROUP}/v1"), fieldSelector="spec.speed=1")
    assert answer.code == 400
    assert "field label not supported: spec.speed" in answer.body["message"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("spec.schedulerName=default-scheduler", ["p"]),
        ("spec.schedulerName!=default-scheduler", []),
        ("spec.serviceAccountName=default", ["p"]),
        ("spec.restartPolicy=Always", ["p"]),
        ("spec.hostNetwork=false", ["p"]),
        ("status.podIP=", ["p"]),
        ("status.nominatedNodeName=", ["p"]),
    ],
)
async def test_defaults_of_pods_are_selected_by(
    api: ApiServerUnderTest, selector: str, expected: list[str]
) -> None:
    """What a pod does not say is selected as what it then is."""
    spec = {"containers": [{"name": "main", "image": "example.test/app:1"}]}
    await api.created(api.path("pods"), {"metadata": {"name": "p"}, "spec": spec})
    answer = await api.get(api.path("pods"), fieldSelector=selector)
    assert names(answer.body) == expected


async def test_nodes_are_selected_by_whether_they_take_pods(api: ApiServerUnderTest) -> None:
    """A node that says nothing is schedulable."""
    name = f"node-{api.namespace}"
    await api.created("/api/v1/nodes", {"metadata": {"name": name}})
    try:
        open_, closed = [
            await api.get("/api/v1/nodes", fieldSelector=f"metadata.name={name},{one}")
            for one in ("spec.unschedulable=false", "spec.unschedulable=true")
        ]
    finally:
        await api.delete(f"/api/v1/nodes/{name}")
    assert names(open_.body) == [name]
    assert names(closed.body) == []


async def test_cluster_scoped_nodes_have_no_namespace_to_select_by(
    api: ApiServerUnderTest,
) -> None:
    """Asking nodes for a namespace is 400."""
    answer = await api.get("/api/v1/nodes", fieldSelector="metadata.namespace=default")
    assert answer.code == 400


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"resourceVersionMatch": "Exact"}, "resourceVersionMatch"),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, "resourceVersionMatch"),
        ({"resourceVersionMatch": "Nearly", "resourceVersion": "1"}, "resourceVersionMatch"),
        ({"sendInitialEvents": "true"}, "sendInitialEvents"),
    ],
    ids=["match without version", "exact zero", "unknown match", "streamed without a watch"],
)
async def test_contradictory_version_parameters_are_422(
    api: ApiServerUnderTest, query: dict[str, str], field: str
) -> None:
    """Parameters that make no sense together name the one at fault."""
    answer = await api.get(api.path("configmaps"), **query)
    assert answer.code == 422
    assert answer.body["details"]["kind"] == "ListOptions"
    assert answer.body["details"]["causes"][0]["field"] == field


async def test_future_version_is_504(api: ApiServerUnderTest) -> None:
    """A version not reached yet is a timeout that says when to come back, in the body alone."""
    answer = await api.get(api.path("configmaps"), resourceVersion="99999999")
    assert answer.code == 504
    assert answer.body["reason"] == "Timeout"
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert answer.body["details"]["retryAfterSeconds"] == 1


@pytest.mark.parametrize(("limit", "code"), [("-1", 200), ("0", 200), ("many", 400)])
async def test_limit_is_a_number(api: ApiServerUnderTest, limit: str, code: int) -> None:
    """Nothing or less means no limit; text is refused."""
    assert (await api.get(api.path("configmaps"), limit=limit)).code == code


async def test_pages_cover_the_list_once(api: ApiServerUnderTest) -> None:
    """Limit and continue walk through all items, and the last page has no token."""
    await make(api, **{f"m{i}": {"page": "y"} for i in range(5)})
    seen: list[str] = []
    token, sizes = "", []
    for _ in range(5):
        answer = await api.get(
            api.path("configmaps"), limit=2, labelSelector="page=y", **{"continue": token}
        )
        assert answer.code == 200
        seen += names(answer.body)
        sizes.append(len(answer.body["items"]))
        token = answer.body["metadata"].get("continue", "")
        if not token:
            break
    assert seen == ["m0", "m1", "m2", "m3", "m4"]
    assert sizes == [2, 2, 1]


async def test_first_page_says_how_many_remain(pumps: ApiServerUnderTest) -> None:
    """Without selectors the number of items left is known."""
    path = pumps.path("pumps", f"{GROUP}/v1")
    for name in "abc":
        await pumps.created(path, pump(name))
    answer = await pumps.get(path, limit=1)
    assert answer.body["metadata"]["remainingItemCount"] == 2


async def test_pages_show_one_instant(pumps: ApiServerUnderTest) -> None:
    """What is created after the first page is not on the later ones."""
    path = pumps.path("pumps", f"{GROUP}/v1")
    for name in ("a", "b", "d"):
        await pumps.created(path, pump(name))
    first = await pumps.get(path, limit=2)
    await pumps.created(path, pump("c"))
    await pumps.delete(f"{path}/d")
    rest = await pumps.get(path, limit=2, **{"continue": first.body["metadata"]["continue"]})
    assert names(rest.body) == ["d"]
    version = first.body["metadata"]["resourceVersion"]
    assert rest.body["metadata"]["resourceVersion"] == version


async def test_broken_continue_token_is_400(api: ApiServerUnderTest) -> None:
    """A token nobody gave out is refused."""
    answer = await api.get(api.path("configmaps"), limit=1, **{"continue": "nonsense"})
    assert answer.code == 400


async def test_version_zero_lists_what_is_there(api: ApiServerUnderTest) -> None:
    """resourceVersion=0 accepts any state and still gives a usable version."""
    await make(api, a={})
    answer = await api.get(api.path("configmaps"), resourceVersion="0")
    assert answer.code == 200
    assert int(answer.body["metadata"]["resourceVersion"]) > 0


async def test_exact_version_shows_the_past(pumps: ApiServerUnderTest) -> None:
    """resourceVersionMatch=Exact reads the list as it was."""
    path = pumps.path("pumps", f"{GROUP}/v1")
    await pumps.created(path, pump("a"))
    then = (await pumps.get(path)).body["metadata"]["resourceVersion"]
    await pumps.created(path, pump("b"))
    answer = await pumps.get(path, resourceVersion=then, resourceVersionMatch="Exact", limit=10)
    assert names(answer.body) == ["a"]


async def test_version_that_is_no_number_is_400(api: ApiServerUnderTest) -> None:
    """Versions in requests are decimal."""
    answer = await api.get(api.path("configmaps"), resourceVersion="abc")
    assert answer.code == 400
