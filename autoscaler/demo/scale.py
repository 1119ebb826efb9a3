"""The ``autoscaling/v1`` Scale of an object, and back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from autoscaler.demo.admission import is_int, negative_replicas
from autoscaler.demo.apierrors import ApiError, FieldProblem, bad_request, invalid
from autoscaler.demo.objects import JsonObject, at_path
from autoscaler.demo.resources import Path, Resource
from autoscaler.demo.selectors import render


def scale_of(
    resource: Resource, value: JsonObject, *, must_have_replicas: bool = True
) -> JsonObject:
    """Return the Scale of an object; raises ApiError 500 when a custom resource has no replicas.

    A count of zero is left out of ``spec``, as the Go type's ``omitempty`` does.
    """
    paths = resource.scale
    assert paths is not None
    replicas = at_path(value, *paths.spec_replicas)
    if replicas is None and must_have_replicas:
        raise ApiError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "InternalError",
            f"Internal error occurred: the spec replicas field "
            f'".{".".join(paths.spec_replicas)}" does not exist',
        )
    metadata = value["metadata"]
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: JsonObject = {"replicas": at_path(value, *paths.status_replicas) or 0}
    selector = at_path(value, *paths.selector) if paths.selector else None
    if selector:
        status["selector"] = selector if isinstance(selector, str) else render(selector)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in shown if name in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def with_scale(resource: Resource, value: JsonObject, scale: JsonObject) -> JsonObject:
    """Return ``value`` (changed in place) with a Scale's replicas; raises ApiError 400 or 422.

    The Scale's ``resourceVersion`` and ``uid`` become preconditions of the write.
    """
    assert resource.scale is not None
    replicas = at_path(scale, "spec", "replicas") or 0
    if not is_int(replicas):
        raise bad_request(f"Scale cannot be handled: spec.replicas: {replicas!r} is no int32")
    if replicas < 0:
        raise _negative(resource, value["metadata"]["name"], replicas)
    metadata = at_path(scale, "metadata") or {}
    for field in ("resourceVersion", "uid"):
        if metadata.get(field):
            value["metadata"][field] = metadata[field]
        else:
            value["metadata"].pop(field, None)
    _set(value, resource.scale.spec_replicas, replicas)
    return value


def read_scale(body: JsonObject, name: str) -> JsonObject:
    """Return the Scale in the body of a PUT; raises ApiError 400."""
    kind = body.get("kind", "Scale")
    if kind != "Scale":
        raise bad_request(f"{kind} cannot be handled as a Scale: unknown conversion")
    given = at_path(body, "metadata", "name")
    if not given:
        raise bad_request(
            f"the name of the object ({name} based on URL) was undeterminable: name must be "
            "provided"
        )
    if given != name:
        raise bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )
    return body


def _negative(resource: Resource, name: str, replicas: int) -> ApiError:
    if not resource.is_custom:
        return invalid("Scale", "autoscaling", name, [negative_replicas(replicas)])
    assert resource.scale is not None
    field = "." + ".".join(resource.scale.spec_replicas)
    why = f"Invalid value: {replicas}: should be a non-negative integer"
    return invalid(resource.kind, resource.group, name, [FieldProblem(field, why)])


def _set(value: JsonObject, path: Path, new: Any) -> None:
    for part in path[:-1]:
        value = value.setdefault(part, {})
    value[path[-1]] = new
