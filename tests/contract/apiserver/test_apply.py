"""Server-side apply: ownership, conflicts, force."""

from __future__ import annotations

from typing import Any

from tests.contract.apiserver.server import GROUP, ApiServerUnderTest, config_map, pump

PUMPS = f"{GROUP}/v1"


def config(name: str, **data: str) -> dict[str, Any]:
    """Return an apply configuration of a ConfigMap."""
    return config_map(name, data)


def pump_status(*conditions: tuple[str, str]) -> dict[str, Any]:
    """Return an apply configuration of a Pump's conditions."""
    listed = [{"type": kind, "status": status} for kind, status in conditions]
    body = pump("p")
    del body["spec"]
    return {**body, "status": {"conditions": listed}}


async def test_apply_creates(api: ApiServerUnderTest) -> None:
    """Applying a missing object creates it and records the manager."""
    answer = await api.apply(api.path("configmaps/a"), config("a", k="1"), "one")
    assert answer.code == 201
    entry = answer.body["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("one", "Apply")


async def test_apply_needs_a_field_manager(api: ApiServerUnderTest) -> None:
    """Without a manager the request is Invalid."""
    path, body = api.path("configmaps/a"), config("a")
    answer = await api.patch(path, body, "application/apply-patch+yaml")
    assert answer.code == 422


async def test_apply_again_changes_and_removes_own_fields(api: ApiServerUnderTest) -> None:
    """What the manager no longer mentions is removed."""
    path = api.path("configmaps/a")
    await api.apply(path, config("a", keep="1", drop="1"), "one")
    answer = await api.apply(path, config("a", keep="2"), "one")
    assert answer.code == 200
    assert answer.body["data"] == {"keep": "2"}


async def test_foreign_fields_survive(api: ApiServerUnderTest) -> None:
    """Two managers with different fields do not disturb each other."""
    path = api.path("configmaps/a")
    await api.apply(path, config("a", one="1"), "one")
    answer = await api.apply(path, config("a", two="2"), "two")
    assert answer.body["data"] == {"one": "1", "two": "2"}


async def test_foreign_field_with_another_value_is_a_conflict(api: ApiServerUnderTest) -> None:
    """Changing what another manager applied is 409 and names that manager and the field."""
    path = api.path("configmaps/a")
    await api.apply(path, config("a", k="1"), "one")
    answer = await api.apply(path, config("a", k="2"), "two")
    assert answer.code == 409
    assert answer.body["reason"] == "Conflict"
    cause = answer.body["details"]["causes"][0]
    assert cause["reason"] == "FieldManagerConflict"
    assert cause["field"] == ".data.k"
    assert '"one"' in cause["message"]
    assert (await api.get(path)).body["data"] == {"k": "1"}


async def test_same_value_is_shared(api: ApiServerUnderTest) -> None:
    """Applying another manager's value is agreement; the field stays until both let go."""
    path = api.path("configmaps/a")
    await api.apply(path, config("a", k="1"), "one")
    assert (await api.apply(path, config("a", k="1"), "two")).code == 200
    answer = await api.apply(path, config("a"), "one")
    assert answer.body["data"] == {"k": "1"}
    answer = await api.apply(path, config("a"), "two")
    assert not answer.body.get("data")


async def test_force_takes_over(api: ApiServerUnderTest) -> None:
    """With force the value changes hands."""
    path = api.path("configmaps/a")
    await api.apply(path, config("a", k="1"), "one")
    answer = await api.apply(path, config("a", k="2"), "two", force="true")
    assert answer.code == 200
    assert answer.body["data"] == {"k": "2"}
    again = await api.apply(path, config("a", k="1"), "one")
    assert again.code == 409


async def test_update_takes_a_field_from_its_applier(api: ApiServerUnderTest) -> None:
    """A plain patch wins silently, and the applier then meets a conflict."""
    path = api.path("configmaps/a")
    await api.apply(path, config("a", k="1"), "one")
    await api.patch(path, {"data": {"k": "2"}}, fieldManager="hand")
    answer = await api.apply(path, config("a", k="1"), "one")
    assert answer.code == 409
    assert '"hand"' in answer.body["details"]["causes"][0]["message"]


async def test_apply_without_change_keeps_the_version(api: ApiServerUnderTest) -> None:
    """Applying the same again is no write."""
    path = api.path("configmaps/a")
    first = await api.apply(path, config("a", k="1"), "one")
    again = await api.apply(path, config("a", k="1"), "one")
    versions = {one.body["metadata"]["resourceVersion"] for one in (first, again)}
    assert len(versions) == 1


async def test_stale_version_in_the_configuration_is_a_conflict(api: ApiServerUnderTest) -> None:
    """A version in an apply configuration is a precondition."""
    path = api.path("configmaps/a")
    first = await api.apply(path, config("a", k="1"), "one")
    await api.apply(path, config("a", k="2"), "one")
    body = config("a", k="3")
    body["metadata"]["resourceVersion"] = first.body["metadata"]["resourceVersion"]
    assert (await api.apply(path, body, "one")).code == 409


async def test_managed_fields_may_not_be_sent(api: ApiServerUnderTest) -> None:
    """A configuration with managedFields is refused."""
    first = await api.apply(api.path("configmaps/a"), config("a", k="1"), "one")
    answer = await api.apply(api.path("configmaps/a"), first.body, "one")
    assert answer.code == 400


async def test_status_apply_merges_conditions_by_type(pumps: ApiServerUnderTest) -> None:
    """Two managers keep their own conditions in the status of a custom resource."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p", speed=1))
    path = pumps.path("pumps/p/status", PUMPS)
    first = await pumps.apply(path, pump_status(("Ready", "True"), ("Active", "False")), "one")
    assert first.code == 200, first.body
    await pumps.apply(path, pump_status(("Paused", "False")), "two")
    answer = await pumps.apply(path, pump_status(("Ready", "False")), "one")
    found = {one["type"]: one["status"] for one in answer.body["status"]["conditions"]}
    assert found == {"Ready": "False", "Paused": "False"}
    assert answer.body["spec"] == {"speed": 1}
    assert answer.body["metadata"]["generation"] == 1


async def test_status_apply_conflicts_on_a_foreign_condition(pumps: ApiServerUnderTest) -> None:
    """Another manager's condition cannot be changed without force."""
    await pumps.created(pumps.path("pumps", PUMPS), pump("p"))
    path = pumps.path("pumps/p/status", PUMPS)
    await pumps.apply(path, pump_status(("Ready", "True")), "one")
    assert (await pumps.apply(path, pump_status(("Ready", "False")), "two")).code == 409
    forced = await pumps.apply(path, pump_status(("Ready", "False")), "two", force="true")
    assert forced.body["status"]["conditions"] == [{"type": "Ready", "status": "False"}]


async def test_status_of_a_missing_object_is_not_created(pumps: ApiServerUnderTest) -> None:
    """Applying /status of nothing is 404."""
    path = pumps.path("pumps/p/status", PUMPS)
    assert (await pumps.apply(path, pump_status(("Ready", "True")), "one")).code == 404


async def test_apply_takes_yaml(api: ApiServerUnderTest) -> None:
    """The configuration may be YAML."""
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: '1'}\n"
    answer = await api.request(
        "PATCH",
        api.path("configmaps/a"),
        data=text,
        content_type="application/apply-patch+yaml",
        fieldManager="one",
    )
    assert answer.code == 201
    assert answer.body["data"] == {"k": "1"}


async def test_configuration_has_to_say_what_it_is(api: ApiServerUnderTest) -> None:
    """Without kind and apiVersion it is 400, on a path that names the kind too."""
    body = {"metadata": {"name": "a"}, "data": {"k": "1"}}
    assert (await api.apply(api.path("configmaps/a"), body, "one")).code == 400


async def test_configuration_of_a_deleted_object_creates_nothing(api: ApiServerUnderTest) -> None:
    """With a uid and no such object it is a conflict."""
    body = config("a", k="1")
    body["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    assert (await api.apply(api.path("configmaps/a"), body, "one")).code == 409
    assert (await api.get(api.path("configmaps/a"))).code == 404
