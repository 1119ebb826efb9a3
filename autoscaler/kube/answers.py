"""From an error answer of the API server to the error we raise."""

from __future__ import annotations

from typing import Final

import msgspec

from autoscaler.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    TooManyRequests,
    Unreachable,
    shorten,
)

_BY_STATUS: Final[dict[int, type[KubeError]]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
}
SERVER_ERROR: Final = 500


class StatusDetails(msgspec.Struct, frozen=True, rename="camel"):
    """``details`` of a Status object."""

    retry_after_seconds: float = 0.0


class Status(msgspec.Struct, frozen=True):
    """A ``Status`` object, the body of every error of an API server."""

    kind: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


_decode_status = msgspec.json.Decoder(Status).decode


def error_for(what: str, status: int, body: bytes, retry_after: str = "") -> KubeError:
    """Build the error for an answer that is not 2xx.

    Args:
        what: The request, e.g. ``GET /api/v1/pods``.
        status: HTTP status.
        body: As answered, at best a Status object; other text is shortened into the message.
        retry_after: The ``Retry-After`` header; only its form in seconds is used, which is the only
            one the API server sends.
    """
    parsed = _parse(body)
    seconds: float | None = None
    if retry_after.isascii() and retry_after.isdigit():
        seconds = float(retry_after)
    return _build(what, status, parsed, seconds, body)


def error_in_watch(what: str, body: bytes | msgspec.Raw) -> KubeError:
    """Build the error for the Status object of an ``ERROR`` event."""
    parsed = _parse(bytes(body))
    return _build(what, parsed.code if parsed else 0, parsed, None, bytes(body))


def _parse(body: bytes) -> Status | None:
    try:
        parsed = _decode_status(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return parsed if parsed.kind == "Status" else None


def _build(
    what: str, status: int, parsed: Status | None, seconds: float | None, body: bytes
) -> KubeError:
    if parsed is None:
        reason, message = "", shorten(body.decode("utf-8", "replace")) or "no further explanation"
    else:
        reason, message = parsed.reason, shorten(parsed.message)
        if seconds is None and parsed.details and parsed.details.retry_after_seconds > 0:
            seconds = parsed.details.retry_after_seconds
    kind = _BY_STATUS.get(status, Unreachable if status >= SERVER_ERROR else KubeError)
    return kind(
        f"{what}: {status} {reason}: {message}" if reason else f"{what}: {status}: {message}",
        status=status,
        api_reason=reason,
        retry_after_seconds=seconds,
    )
