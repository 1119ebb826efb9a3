"""What the API server was asked, from its audit log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec


class User(msgspec.Struct, frozen=True):
    """Who asked."""

    username: str = ""
    groups: tuple[str, ...] = ()


class ObjectRef(msgspec.Struct, frozen=True, rename="camel"):
    """What was asked for; empty parts were not named."""

    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    api_version: str = ""
    subresource: str = ""


class ResponseStatus(msgspec.Struct, frozen=True):
    """How it ended."""

    code: int = 0
    reason: str = ""
    message: str = ""


class AuditEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One answered request.

    Attributes:
        stage: ``ResponseComplete``, or ``ResponseStarted`` for a watch that goes on.
        annotations: ``authorization.k8s.io/decision`` and its reason, among others.
        request_object: The body, where the policy asks for it.
        request_received_timestamp: When it came, RFC 3339.
        stage_timestamp: When it reached the stage.
    """

    stage: str = msgspec.field(name="stage")
    verb: str = ""
    user: User = User()
    object_ref: ObjectRef = ObjectRef()
    response_status: ResponseStatus = ResponseStatus()
    annotations: dict[str, str] = {}
    request_uri: str = msgspec.field(name="requestURI", default="")
    user_agent: str = ""
    request_object: Any = None
    request_received_timestamp: str = ""
    stage_timestamp: str = ""

    @property
    def is_forbidden(self) -> bool:
        """Whether the user had no right to do it."""
        return self.annotations.get("authorization.k8s.io/decision") == "forbid"


def scale_writes(events: Iterable[AuditEvent], namespace: str) -> Iterator[tuple[str, int]]:
    """Yield name and count of each accepted write of a target's replicas, in order."""
    for event in events:
        written = event.object_ref
        is_scale = written.subresource == "scale" and event.verb == "patch"
        if is_scale and written.namespace == namespace and event.response_status.code == 200:
            yield written.name, event.request_object["spec"]["replicas"]


_decode = msgspec.json.Decoder(AuditEvent).decode


def read_audit_log(path: Path, *, offset: int = 0) -> list[AuditEvent]:
    """Return the events in a log, in the order they were written.

    Args:
        path: Of the log; a missing one has no events.
        offset: Bytes to leave out at the start.
    """
    if not path.exists():
        return []
    with path.open("rb") as log:
        log.seek(offset)
        # A line without its end is still being written.
        return [_decode(line) for line in log if line.endswith(b"\n")]
