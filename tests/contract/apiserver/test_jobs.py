"""Jobs: what the server adds, what it keeps, and what a deletion takes along."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.apiserver.server import MERGE, STRATEGIC, ApiServerUnderTest

BATCH = "batch/v1"
PREFIX = "batch.kubernetes.io/"
POLLS = 200
POLL_SECONDS = 0.05


def job(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Job."""
    template = {
        "metadata": {"labels": {"app": "batch"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "example.test/batch:1"}],
        },
    }
    body = {"apiVersion": BATCH, "kind": "Job", "metadata": {"name": name}}
    return {**body, "spec": {"template": template, **spec}}


def pod_of(owner: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a pod that a Job owns."""
    reference = {
        "apiVersion": BATCH,
        "kind": "Job",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    spec = {"containers": [{"name": "main", "image": "example.test/batch:1"}]}
    return {"metadata": {"name": name, "ownerReferences": [reference]}, "spec": spec}


async def test_server_makes_selector_and_labels(api: ApiServerUnderTest) -> None:
    """Pods of a Job are found by its uid and name, in an old and a new spelling."""
    made = await api.created(api.path("jobs", BATCH), job("j"))
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {f"{PREFIX}controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"] == {
        "app": "batch",
        f"{PREFIX}controller-uid": uid,
        f"{PREFIX}job-name": "j",
        "controller-uid": uid,
        "job-name": "j",
    }


async def test_defaults(api: ApiServerUnderTest) -> None:
    """One pod, once, with up to six retries, not suspended."""
    spec = (await api.created(api.path("jobs", BATCH), job("j")))["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["suspend"]) == ("NonIndexed", False)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"completions": 3}, "spec.completions"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "spec.selector"),
    ],
    ids=["completions", "selector"],
)
async def test_fields_that_never_change(
    api: ApiServerUnderTest, change: dict[str, Any], field: str
) -> None:
    """A Job keeps how often it succeeds, and whose pods are its own."""
    await api.created(api.path("jobs", BATCH), job("j"))
    answer = await api.patch(api.path("jobs/j", BATCH), {"spec": change}, MERGE)
    assert answer.code == 422
    fields = [cause["field"] for cause in answer.body["details"]["causes"]]
    assert field in fields


async def test_template_never_changes(api: ApiServerUnderTest) -> None:
    """A changed image is a new Job."""
    await api.created(api.path("jobs", BATCH), job("j"))
    containers = [{"name": "main", "image": "example.test/batch:2"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    answer = await api.patch(api.path("jobs/j", BATCH), patch, STRATEGIC)
    assert answer.code == 422
    assert answer.body["details"]["causes"][0]["field"] == "spec.template"


async def test_parallelism_and_suspension_may_change(api: ApiServerUnderTest) -> None:
    """A running Job can be held and widened."""
    await api.created(api.path("jobs", BATCH), job("j"))
    patch = {"spec": {"parallelism": 3, "suspend": True}}
    answer = await api.patch(api.path("jobs/j", BATCH), patch)
    assert answer.code == 200
    assert answer.body["spec"]["parallelism"] == 3


async def test_pods_of_a_job_do_not_restart_for_ever(api: ApiServerUnderTest) -> None:
    """Always, which is also the default, is no restart policy for a Job."""
    body = job("j")
    del body["spec"]["template"]["spec"]["restartPolicy"]
    answer = await api.post(api.path("jobs", BATCH), body)
    assert answer.code == 422
    fields = [cause["field"] for cause in answer.body["details"]["causes"]]
    assert "spec.template.spec.restartPolicy" in fields


async def test_name_has_to_fit_a_label(api: ApiServerUnderTest) -> None:
    """Pods carry the name of their Job as a label of at most 63 characters."""
    assert (await api.post(api.path("jobs", BATCH), job("j" * 64))).code == 422
    assert (await api.post(api.path("jobs", BATCH), job("j" * 63))).code == 201


async def test_plain_deletion_leaves_the_pods(api: ApiServerUnderTest) -> None:
    """Without a policy the pods of a Job are orphaned, so the Job is answered, marked."""
    owner = await api.created(api.path("jobs", BATCH), job("j", suspend=True))
    await api.created(api.path("pods"), pod_of(owner, "p"))
    answer = await api.delete(api.path("jobs/j", BATCH))
    assert answer.code == 200
    assert answer.body["kind"] == "Job"
    assert answer.body["metadata"]["finalizers"] == ["orphan"]
    await until(api, api.path("jobs/j", BATCH), 404)
    left = await api.get(api.path("pods/p"))
    assert left.code == 200
    assert not left.body["metadata"].get("ownerReferences")


async def test_background_deletion_takes_the_pods_along(api: ApiServerUnderTest) -> None:
    """Asked for, the Job goes at once and its pods after it."""
    owner = await api.created(api.path("jobs", BATCH), job("j", suspend=True))
    await api.created(api.path("pods"), pod_of(owner, "p"))
    answer = await api.delete(api.path("jobs/j", BATCH), propagationPolicy="Background")
    assert answer.body["kind"] == "Status"
    assert (await api.get(api.path("jobs/j", BATCH))).code == 404
    await until(api, api.path("pods/p"), 404)


async def until(api: ApiServerUnderTest, path: str, code: int) -> None:
    """Wait until GET is answered with a status code."""
    for _ in range(POLLS):
        if (await api.get(path)).code == code:
            return
        await asyncio.sleep(POLL_SECONDS)
    pytest.fail(f"GET {path} never answered {code}")
