"""Status and conditions."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.core.model import Condition
from autoscaler.errors import KubeError
from autoscaler.kube.codec import CustomObject, ObjectMeta
from autoscaler.kube.resources import SCALED_OBJECTS
from autoscaler.kube.status import merge_conditions, status_patch, timestamp, write_status
from tests.doubles.scripted_api import Answer, reply
from tests.unit.kube.conftest import Connected

AT = 1_793_527_200.0
EARLIER = "2026-11-01T08:00:00Z"


def scaled_object(**status: Any) -> CustomObject:
    """Return a ScaledObject with a status."""
    return CustomObject(
        metadata=ObjectMeta(name="web", namespace="shop"), raw={"status": status} if status else {}
    )


def stored(type_: str, status: str, reason: str = "R", message: str = "m") -> dict[str, Any]:
    """Return a condition as stored two hours ago."""
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": EARLIER,
    }


def test_a_condition_that_keeps_its_status_keeps_its_time() -> None:
    """A new message is no transition."""
    merged = merge_conditions(
        [stored("Ready", "True")], [Condition("Ready", "True", "R2", "m2")], AT
    )
    assert merged == [stored("Ready", "True", "R2", "m2")]


def test_a_condition_that_turns_gets_the_time_of_now() -> None:
    """The transition time is the moment of the change, in UTC seconds."""
    merged = merge_conditions(
        [stored("Ready", "True")], [Condition("Ready", "False", "R", "m")], AT
    )
    assert merged[0]["lastTransitionTime"] == "2026-11-01T10:00:00Z"


def test_a_condition_whose_time_the_server_drops_is_not_written_again() -> None:
    """KEDA's definitions know no transition time; an equal condition stays as it is stored."""
    kept = {"type": "Ready", "status": "True", "reason": "R", "message": "m"}
    assert merge_conditions([kept], [Condition("Ready", "True", "R", "m")], AT) == [kept]


def test_conditions_of_others_and_their_order_stay() -> None:
    """Conditions are merged by type; new ones come last, foreign fields survive."""
    foreign = stored("Paused", "False") | {"observedGeneration": 4}
    merged = merge_conditions(
        [stored("Ready", "True"), foreign],
        [Condition("Active", "True"), Condition("Ready", "True", "R", "m")],
        AT,
    )
    assert [c["type"] for c in merged] == ["Ready", "Paused", "Active"]
    assert merged[1] == foreign


def test_instants_are_written_in_whole_utc_seconds() -> None:
    """The form is the one of the API."""
    assert timestamp(AT + 0.9) == "2026-11-01T10:00:00Z"


@pytest.mark.parametrize(
    ("current", "wanted", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 3}}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"a": [2, 1]}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({}, {"a": None}, {}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_the_patch_holds_only_what_changes(
    current: dict[str, Any], wanted: dict[str, Any], patch: dict[str, Any]
) -> None:
    """Equal fields are left out, named ones set, None removes, lists go whole."""
    assert status_patch(current, wanted) == patch


@pytest.mark.looptime
async def test_a_status_that_is_already_there_costs_no_request(connected: Connected) -> None:
    """The steady state writes nothing."""
    item = scaled_object(lastActiveTime=EARLIER, conditions=[stored("Ready", "True")])
    async with connected(reply({}, 500)) as (api, client):
        written = await write_status(
            client,
            SCALED_OBJECTS,
            item,
            {"lastActiveTime": EARLIER},
            conditions=[Condition("Ready", "True", "R", "m")],
            at=AT,
        )
    assert written is None
    assert api.requests == []


@pytest.mark.looptime
async def test_a_change_is_one_patch_of_the_subresource(connected: Connected) -> None:
    """Only the difference is sent, to /status, and the new object is returned."""
    after = {
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "9"},
        "status": {"lastActiveTime": "x"},
    }
    item = scaled_object(lastActiveTime=EARLIER, other=1)
    async with connected(reply(after)) as (api, client):
        written = await write_status(
            client, SCALED_OBJECTS, item, {"lastActiveTime": "x", "other": 1}, at=AT
        )
    assert api.asked == [
        "PATCH /apis/flyball.dev/v1alpha1/namespaces/shop/scaledobjects/web/status"
    ]
    assert api.requests[0].json == {"status": {"lastActiveTime": "x"}}
    assert written is not None
    assert written.metadata.resource_version == "9"


@pytest.mark.looptime
async def test_an_answer_that_is_no_object_is_an_error(connected: Connected) -> None:
    """Nonsense never reaches the store."""
    async with connected(Answer([b"ok"])) as (_, client):
        with pytest.raises(KubeError, match="not an object"):
            await write_status(client, SCALED_OBJECTS, scaled_object(), {"a": 1}, at=AT)
