"""The API server's refusals, each with the Status body a real kube-apiserver answers."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from autoscaler.demo.objects import JsonObject
from autoscaler.demo.resources import Resource


class ApiError(Exception):
    """A request the API server refuses.

    Attributes:
        code: HTTP status.
        reason: CamelCase reason of the Status, may be empty.
        details: ``details`` of the Status; None leaves it out.
        retry_after_seconds: Sent as ``Retry-After``, or None.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: JsonObject | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = None if details is None else dict(details)
        self.retry_after_seconds = retry_after_seconds
        if retry_after_seconds is not None:
            self.details = {**(details or {}), "retryAfterSeconds": retry_after_seconds}

    def status(self) -> JsonObject:
        """Return the Status body."""
        body: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


class FieldProblem(Exception):
    """One wrong field of an object, before it is known which object it is.

    Attributes:
        field: Dotted path.
        reason: ``FieldValueRequired``, ``FieldValueInvalid``, …
    """

    def __init__(self, field: str, message: str, reason: str = "FieldValueInvalid") -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


def details_of(resource: Resource, name: str) -> JsonObject:
    """Return ``details`` naming an object of a resource."""
    details: JsonObject = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return {**details, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiError:
    """404: there is no such object."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        f'{resource.qualified} "{name}" not found',
        details=details_of(resource, name),
    )


def already_exists(resource: Resource, name: str) -> ApiError:
    """409: the name is taken."""
    return ApiError(
        HTTPStatus.CONFLICT,
        "AlreadyExists",
        f'{resource.qualified} "{name}" already exists',
        details=details_of(resource, name),
    )


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    """409: the object was changed since it was read."""
    changed = (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )
    return ApiError(
        HTTPStatus.CONFLICT,
        "Conflict",
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why or changed}',
        details=details_of(resource, name),
    )


def invalid(kind: str, group: str, name: str, problems: Sequence[FieldProblem]) -> ApiError:
    """422: fields of the object are wrong."""
    qualified = f"{kind}.{group}" if group else kind
    texts = [f"{problem.field}: {problem}" for problem in problems]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details: JsonObject = {"name": name} if name else {}
    if group:
        details["group"] = group
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid",
        f'{qualified} "{name}" is invalid: {listed}',
        details={
            **details,
            "kind": kind,
            "causes": [
                {"reason": problem.reason, "message": str(problem), "field": problem.field}
                for problem in problems
            ],
        },
    )


def unfit_patch(why: str) -> ApiError:
    """422: what the patch makes of the object is none any more."""
    return invalid("", "", "", [FieldProblem("patch", f"Invalid value: {why}")])


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def expired(message: str) -> ApiError:
    """410: the asked version has been compacted; list again."""
    return ApiError(HTTPStatus.GONE, "Expired", message)


def too_large_version(asked: int, current: int) -> ApiError:
    """504: the asked version is not reached yet."""
    return ApiError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={
            "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ]
        },
        retry_after_seconds=1,
    )


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """403: admission refuses."""
    return ApiError(
        HTTPStatus.FORBIDDEN,
        "Forbidden",
        f'{resource.qualified} "{name}" is forbidden: {why}',
        details=details_of(resource, name),
    )


def method_not_allowed() -> ApiError:
    """405: the resource has no such verb."""
    return ApiError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details={},
    )


def not_served() -> ApiError:
    """404: a group of the server's own has no such resource."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        "the server could not find the requested resource",
        details={},
    )


def unsupported_media_type(offered: str, accepted: Sequence[str]) -> ApiError:
    """415: the body has a type the verb does not take."""
    return ApiError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format ({offered or 'none'}) "
        f"- accepted media types include: {', '.join(accepted)}",
    )
