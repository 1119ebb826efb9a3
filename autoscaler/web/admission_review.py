"""AdmissionReview: what the API server asks, and what it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from autoscaler.api.parse import describe
from autoscaler.api.problems import InvalidObject, Problem, ProblemReason
from autoscaler.errors import shorten

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
UNPROCESSABLE: Final = 422
MESSAGE_CHARACTERS: Final = 4096
CAUSES_MAX: Final = 100
WARNINGS_MAX: Final = 16
"""The API server cuts warnings at 4096 characters in all."""

_CAUSES: Final = {
    ProblemReason.REQUIRED: "FieldValueRequired",
    ProblemReason.INVALID: "FieldValueInvalid",
    ProblemReason.NOT_SUPPORTED: "FieldValueNotSupported",
    ProblemReason.FORBIDDEN: "FieldValueForbidden",
    ProblemReason.DUPLICATE: "FieldValueDuplicate",
    ProblemReason.UNKNOWN: "FieldValueInvalid",
}


class _Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class GroupVersionKind(_Wire, frozen=True):
    """Of the object under review."""

    group: str = ""
    version: str = ""
    kind: str = ""


class AdmissionRequest(_Wire, frozen=True):
    """One object about to be written.

    Attributes:
        uid: Of the request; the answer repeats it.
        operation: ``CREATE``, ``UPDATE``, ``DELETE`` or ``CONNECT``.
        sub_resource: ``status``, ``scale`` …, empty for the object itself.
        object: As it would be stored; None when deleted.
        old_object: As it is stored; None when created.
        dry_run: Nothing will be written.
    """

    uid: str
    kind: GroupVersionKind = GroupVersionKind()
    operation: str = ""
    sub_resource: str = ""
    namespace: str = ""
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    dry_run: bool = False


class _Review(_Wire, frozen=True):
    api_version: str = ""
    kind: str = ""
    request: AdmissionRequest | None = None


class _Cause(_Wire, frozen=True):
    reason: str
    message: str
    field: str = ""


class _Details(_Wire, frozen=True):
    name: str = ""
    group: str = ""
    kind: str = ""
    causes: list[_Cause] = []


class _Status(_Wire, frozen=True):
    code: int
    reason: str
    message: str
    details: _Details


class _Response(_Wire, frozen=True, omit_defaults=False):
    uid: str
    allowed: bool
    status: _Status | msgspec.UnsetType = msgspec.UNSET
    warnings: list[str] | msgspec.UnsetType = msgspec.UNSET


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    response: _Response
    api_version: str = API_VERSION
    kind: str = KIND


_decode = msgspec.json.Decoder(_Review).decode
_encode = msgspec.json.Encoder().encode


class MalformedReview(ValueError):
    """A body that is no AdmissionReview request; the text says why."""


def decode_review(body: bytes) -> AdmissionRequest:
    """Return the request of a review.

    Raises:
        MalformedReview: The body is not one, or of a version we do not speak.
    """
    try:
        review = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedReview(f"no AdmissionReview: {shorten(str(error))}") from None
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        found = shorten(f"{review.api_version} {review.kind}", 80)
        raise MalformedReview(f"must be {API_VERSION} {KIND}, got {found}")
    if review.request is None:
        raise MalformedReview("the AdmissionReview has no request")
    return review.request


def encode_answer(request: AdmissionRequest, problems: Sequence[Problem]) -> bytes:
    """Return the review that answers a request.

    Args:
        request: What is answered.
        problems: Warnings are passed on to the author; any other problem refuses the object.
    """
    errors = [problem for problem in problems if not problem.is_warning]
    warnings = [shorten(str(problem)) for problem in problems if problem.is_warning]
    response = _Response(
        uid=request.uid,
        allowed=not errors,
        status=_refusal(request, errors) if errors else msgspec.UNSET,
        warnings=warnings[:WARNINGS_MAX] or msgspec.UNSET,
    )
    return _encode(_Answer(response))


def _refusal(request: AdmissionRequest, errors: Sequence[Problem]) -> _Status:
    raw = request.object or {}
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    causes = [
        _Cause(reason=_CAUSES[one.reason], message=one.message, field=one.field)
        for one in errors[:CAUSES_MAX]
    ]
    return _Status(
        code=UNPROCESSABLE,
        reason="Invalid",
        message=shorten(str(InvalidObject(errors, subject=describe(raw))), MESSAGE_CHARACTERS),
        details=_Details(
            name=name if isinstance(name, str) else "",
            group=request.kind.group,
            kind=request.kind.kind,
            causes=causes,
        ),
    )
