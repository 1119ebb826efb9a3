"""Jobs as seen, created and deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoscaler.core.jobs import JobPod
from autoscaler.errors import Conflict, KubeError, Unreachable
from autoscaler.kube.jobs import (
    NAMES_PER_REQUEST,
    JobView,
    create_job,
    decode_job,
    delete_job,
    pods_of_jobs,
    read_job,
)
from tests.doubles.scripted_api import refusal, reply
from tests.unit.kube.conftest import Connected

pytestmark = pytest.mark.looptime

PATH = "/apis/batch/v1/namespaces/shop/jobs"


def job(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a job as the API has it."""
    meta = {"name": "mail-1", "namespace": "shop", "uid": "u1", "resourceVersion": "7", **metadata}
    return {"metadata": meta, "status": status or {}}


def view(status: dict[str, Any] | None = None, **metadata: Any) -> JobView:
    """Return the view of such a job."""
    return decode_job(json.dumps(job(status, **metadata)).encode())


def test_the_outcome_is_a_condition_that_is_true() -> None:
    """Complete ends at its completion time, Failed when the condition turned True."""
    since = "2026-01-01T00:00:10Z"
    failed = {"type": "Failed", "status": "True", "lastTransitionTime": since}
    assert view({"conditions": [failed]}).outcome == "Failed"
    assert view({"conditions": [failed]}).finished_at == 1767225610.0
    complete = {"type": "Complete", "status": "True", "lastTransitionTime": since}
    done = view({"conditions": [complete], "completionTime": "2026-01-01T00:00:05Z"})
    assert (done.outcome, done.finished_at) == ("Complete", 1767225605.0)
    suspended = {"type": "Suspended", "status": "True"}
    not_yet = {"type": "Complete", "status": "False"}
    assert view({"conditions": [suspended, not_yet]}).outcome == ""


@pytest.mark.parametrize(
    ("status", "has_begun"),
    [
        ({}, False),
        ({"active": 1, "ready": 0}, False),
        ({"failed": 3, "active": 1}, False),
        ({"active": 1, "ready": 1}, True),
        ({"succeeded": 1}, True),
        ({"uncountedTerminatedPods": {"succeeded": ["u"]}}, True),
        ({"uncountedTerminatedPods": {"failed": ["u"]}}, False),
    ],
)
def test_a_job_has_begun_with_a_ready_or_succeeded_pod(
    status: dict[str, Any], *, has_begun: bool
) -> None:
    """Pods that wait or have failed do no work."""
    assert view(status).has_begun is has_begun


def test_a_job_made_by_something_else_does_not_belong_to_a_scaled_job() -> None:
    """Orphans count, as their name label says; jobs of another controller do not."""
    owner = {"kind": "ScaledJob", "name": "mail", "uid": "x", "controller": True}
    assert view().belongs_to("mail")
    assert view(ownerReferences=[owner]).belongs_to("mail")
    assert not view(ownerReferences=[{**owner, "name": "other"}]).belongs_to("mail")
    assert not view(ownerReferences=[{**owner, "kind": "CronJob"}]).belongs_to("mail")
    assert view(ownerReferences=[{**owner, "kind": "CronJob", "controller": False}]).belongs_to(
        "mail"
    )


def test_jobs_of_a_namesake_are_not_deletable() -> None:
    """Only a ScaledJob's own jobs, and nobody's, are its to delete."""
    owner = {"kind": "ScaledJob", "name": "mail", "uid": "x", "controller": True}
    assert view().is_deletable_by("x")
    assert view(ownerReferences=[owner]).is_deletable_by("x")
    assert not view(ownerReferences=[owner]).is_deletable_by("y")


async def test_creating_and_reading_a_job(connected: Connected) -> None:
    """What was created is returned as stored; a job that is not there is None, not an error."""
    async with connected(
        reply(job(), 201),
        refusal(409, "AlreadyExists"),
        reply(job()),
        refusal(404, "NotFound"),
        reply([]),
    ) as (api, client):
        created = await create_job(client, "shop", {"metadata": {"name": "mail-1"}})
        with pytest.raises(Conflict):
            await create_job(client, "shop", {"metadata": {"name": "mail-1"}})
        assert await read_job(client, "shop", "mail-1") is not None
        assert await read_job(client, "shop", "mail-1") is None
        with pytest.raises(KubeError, match="not a job"):
            await read_job(client, "shop", "mail-1")
    assert created.metadata.uid == "u1"
    assert api.asked[0] == f"POST {PATH}"
    assert api.requests[0].json == {"metadata": {"name": "mail-1"}}


async def test_only_the_job_meant_is_deleted(connected: Connected) -> None:
    """The UID guards a namesake; a job that is gone already is fine, other errors are told."""
    async with connected(
        reply({"kind": "Status"}),
        refusal(404, "NotFound"),
        refusal(409, "Conflict"),
        refusal(503, "ServiceUnavailable"),
    ) as (api, client):
        await delete_job(client, view(), propagation_policy="Foreground")
        await delete_job(client, view())
        await delete_job(client, view())
        with pytest.raises(Unreachable):
            await delete_job(client, view())
    assert api.asked[0] == f"DELETE {PATH}/mail-1"
    assert api.requests[0].json["preconditions"] == {"uid": "u1"}
    policies = [asked.json["propagationPolicy"] for asked in api.requests]
    assert policies == ["Foreground", "Background", "Background", "Background"]


async def test_pods_are_listed_for_a_bounded_number_of_jobs_at_a_time(
    connected: Connected,
) -> None:
    """Names travel in the address, so many of them take several requests."""
    pod = {
        "metadata": {"name": "p", "namespace": "shop", "labels": {"job-name": "mail-1"}},
        "status": {
            "phase": "Running",
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "lastTransitionTime": "2026-01-01T00:00:10Z",
                },
                {"type": "Initialized", "status": "False"},
            ],
        },
    }
    names = [f"mail-{number}" for number in range(NAMES_PER_REQUEST + 1)]
    async with connected(reply({"items": [pod]}), reply({"items": []})) as (api, client):
        (found,) = await pods_of_jobs(client, "shop", names)
    assert found.job == "mail-1"
    assert found.pod == JobPod(phase="Running", conditions=frozenset({"Ready"}))
    assert found.changed_at == 1767225610.0
    assert len(api.requests) == 2
    assert api.requests[1].query["labelSelector"].count("mail-") == 1


async def test_a_list_of_something_else_is_an_error(connected: Connected) -> None:
    """What is not a list of pods is never taken for no pods."""
    async with connected(reply({"items": [{"status": {}}]})) as (_, client):
        with pytest.raises(KubeError, match="not a list of pods"):
            await pods_of_jobs(client, "shop", ["mail-1"])
