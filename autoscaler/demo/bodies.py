"""Reading the bodies and parameters of API requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml
from aiohttp import web

from autoscaler.demo import events, patching
from autoscaler.demo.admission import is_int
from autoscaler.demo.apierrors import (
    ApiError,
    FieldProblem,
    bad_request,
    invalid,
    unfit_patch,
    unsupported_media_type,
)
from autoscaler.demo.objects import JsonObject, at_path, decode_object
from autoscaler.demo.ownership import Writer
from autoscaler.demo.registry import DeleteOptions
from autoscaler.demo.requests import Target
from autoscaler.demo.resources import Resource
from autoscaler.demo.scale import scale_of, with_scale
from autoscaler.demo.watching import TRUE

OBJECT_TYPES: Final = ("application/json", "application/yaml")
PATCH_TYPES: Final = (patching.JSON, patching.MERGE, patching.STRATEGIC, patching.APPLY)
REJECTED: Final = "the server rejected our request due to an error in our request"
"""All that a real server says of a patch that does not fit."""
PROPAGATION_POLICIES: Final = ("Foreground", "Background", "Orphan")
UNTYPED: Final = "application/octet-stream"
"""What aiohttp reports when the client names no type; the real server then assumes JSON."""


def read_json(body: bytes) -> JsonObject:
    """Return the object in a JSON body; raises ApiError 400."""
    try:
        return decode_object(body)
    except ValueError as exc:
        raise bad_request(f"the body of the request is no JSON object: {exc}") from exc


def read_yaml(body: bytes) -> JsonObject:
    """Return the object in a YAML (or JSON) body; raises ApiError 400."""
    try:
        value = yaml.load(body, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as exc:
        raise bad_request(f"error decoding YAML: {exc}") from exc
    if not isinstance(value, dict):
        raise bad_request("error decoding YAML: a map is expected")
    return value


def read_object(resource: Resource, body: bytes, content_type: str) -> JsonObject:
    """Return the object of a POST or PUT as it is stored; raises ApiError 400 or 415."""
    if content_type not in {*OBJECT_TYPES, UNTYPED}:
        raise unsupported_media_type(content_type, OBJECT_TYPES)
    value = read_yaml(body) if content_type == "application/yaml" else read_json(body)
    if not events.is_new_form(resource):
        return value
    if value.get("apiVersion", resource.api_version) != resource.api_version:
        raise bad_request(f"an Event in version {resource.api_version!r} is expected")
    return events.stored(value)


def require_patch_type(resource: Resource, content_type: str) -> None:
    """Raise ApiError 415 unless the resource can be patched that way."""
    accepted = [one for one in PATCH_TYPES if one != patching.STRATEGIC or not resource.is_custom]
    if content_type not in accepted:
        raise unsupported_media_type(content_type, accepted)


def read_patch(body: bytes, content_type: str) -> Any:
    """Return a patch document; raises ApiError 400."""
    if content_type == patching.APPLY:
        config = read_yaml(body)
        if not (config.get("kind") and config.get("apiVersion")):
            raise bad_request("invalid object type: kind and apiVersion are required")
        return config
    if content_type != patching.JSON:
        return read_json(body)
    try:
        operations = msgspec.json.decode(body)
    except msgspec.DecodeError as exc:
        raise bad_request(f"error decoding JSON patch: {exc}") from exc
    if not isinstance(operations, list) or not all(
        isinstance(one, dict) and "op" in one and "path" in one for one in operations
    ):
        raise bad_request("error decoding JSON patch: a list of operations is expected")
    return operations


def patched(
    resource: Resource, target: Target, value: JsonObject, patch: Any, content_type: str
) -> JsonObject:
    """Return the stored object ``value`` (a private copy) after a patch of what ``target`` names.

    Raises:
        ApiError: 422 when the patch does not fit the object.
    """
    if target.subresource == "scale":
        if content_type == patching.APPLY and resource.is_custom:
            raise ApiError(
                500,
                "",
                "failed to create manager for existing fields: failed to convert live object "
                "(/; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an "
                "invalid group/version: autoscaling/v1",
            )
        before = scale_of(resource, value, must_have_replicas=False)
        scale = _patched(resource, before, patch, content_type)
        replicas = at_path(scale, "spec", "replicas")
        if replicas is not None and not is_int(replicas):
            raise unfit_patch(f"spec.replicas: {replicas!r} is no int32")
        return with_scale(resource, value, scale)
    if events.is_new_form(resource):
        shown = events.shown(value, resource)
        return events.stored(_patched(resource, shown, patch, content_type))
    return _patched(resource, value, patch, content_type)


def _patched(resource: Resource, value: JsonObject, patch: Any, content_type: str) -> JsonObject:
    try:
        if content_type == patching.JSON:
            after = patching.json_patch(value, patch)
        elif content_type == patching.STRATEGIC:
            after = patching.strategic(value, patch, resource.list_keys)
        else:
            after = patching.merge(value, patch)
    except patching.PatchFailed as exc:
        raise ApiError(422, "Invalid", REJECTED, details={}) from exc
    if not isinstance(after, dict):
        raise unfit_patch("the patched document is no object")
    return after


def is_dry_run(query: Mapping[str, str]) -> bool:
    """Whether nothing is to be stored; raises ApiError 422 for a value other than ``All``."""
    value = query.get("dryRun", "")
    if value not in {"", "All"}:
        problem = FieldProblem(
            "dryRun",
            f'Unsupported value: "{value}": supported values: "All"',
            "FieldValueNotSupported",
        )
        raise invalid("Options", "meta.k8s.io", "", [problem])
    return bool(value)


def writer_of(request: web.BaseRequest, target: Target) -> Writer:
    """Return who updates: the field manager named, else the client's program name."""
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    return Writer(
        manager=request.query.get("fieldManager") or agent or "unknown",
        subresource=target.subresource,
    )


def applier_of(request: web.BaseRequest, target: Target) -> Writer:
    """Return who applies; raises ApiError 422 when no field manager is named."""
    manager = request.query.get("fieldManager", "")
    if not manager:
        problem = FieldProblem(
            "fieldManager", "Required value: is required for apply patch", "FieldValueRequired"
        )
        raise invalid("PatchOptions", "meta.k8s.io", "", [problem])
    return Writer(
        manager=manager,
        operation="Apply",
        subresource=target.subresource,
        force=request.query.get("force") in TRUE,
    )


def delete_options(resource: Resource, query: Mapping[str, str], body: bytes) -> DeleteOptions:
    """Return the options of a DELETE; raises ApiError 400 or 422.

    Without a policy the pods of a Job stay behind, as the batch API promised in its first version.
    """
    options = _delete_options(query, body)
    policy = options.propagation_policy
    if policy is None:
        is_job = resource.qualified == "jobs.batch"
        return msgspec.structs.replace(options, propagation_policy="Orphan") if is_job else options
    if policy not in PROPAGATION_POLICIES:
        problem = FieldProblem(
            "propagationPolicy",
            f'Unsupported value: "{policy}": supported values: "Foreground", "Background", '
            '"Orphan", "nil"',
            "FieldValueNotSupported",
        )
        raise invalid("DeleteOptions", "meta.k8s.io", "", [problem])
    return options


def _delete_options(query: Mapping[str, str], body: bytes) -> DeleteOptions:
    if body:
        try:
            return msgspec.json.decode(body, type=DeleteOptions)
        except msgspec.DecodeError as exc:
            raise bad_request(f"the body is no DeleteOptions: {exc}") from exc
    grace = query.get("gracePeriodSeconds", "")
    if grace and not grace.isdigit():
        raise bad_request(f"invalid gracePeriodSeconds {grace!r}: a number >= 0 is expected")
    return DeleteOptions(
        grace_period_seconds=int(grace) if grace else None,
        propagation_policy=query.get("propagationPolicy"),
        dry_run=["All"] if is_dry_run(query) else None,
    )
