"""Every sync of the HPA and every write of a replica count, by the API server's audit log."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from tests.e2e.controlplane import ControlPlane
from tests.e2e.controlplane.audit import AuditEvent
from tests.e2e.external.manifests import METRIC

HPA: Final = "horizontal-pod-autoscaler"
"""Part of the user agent of that controller."""
SELECTED: Final = "scaledobject.keda.sh/name="
CONFLICT: Final = 409


class Write(NamedTuple):
    """A replica count that was asked for.

    Attributes:
        at: When it was answered, epoch seconds.
        is_hpa: Else it was KEDA.
    """

    at: float
    replicas: int
    is_hpa: bool


class Sync(NamedTuple):
    """The HPA read the metric once.

    Attributes:
        began_at: When it asked, epoch seconds.
        ended_at: When it was answered.
        is_answered: With a value; else with an error.
        before: Replicas it found.
        after: Replicas it left.
    """

    began_at: float
    ended_at: float
    is_answered: bool
    before: int
    after: int


class History(msgspec.Struct):
    """What happened to one Deployment, oldest first."""

    writes: list[Write]
    syncs: list[Sync]

    def replicas_at(self, at: float) -> int:
        """Return the count at an instant; it began with none."""
        number = bisect_left(self.writes, at, key=lambda write: write.at)
        return self.writes[number - 1].replicas if number else 0


class _Look(NamedTuple):
    began_at: float
    ended_at: float
    is_answered: bool


async def histories(plane: ControlPlane, namespace: str, since: int) -> dict[str, History]:
    """Return what happened in a namespace, by name of the Deployment.

    Syncs whose write was refused because KEDA had written in between are left out: the HPA starts
    those again.

    Args:
        plane: Whose log is read.
        namespace: Of Deployments without replicas at first, and of objects of the same names.
        since: An earlier ``audit_mark``.
    """
    events = await asyncio.to_thread(plane.audit_events, since=since)
    looks: dict[str, list[_Look]] = defaultdict(list)
    attempts: dict[str, list[tuple[Write, bool]]] = defaultdict(list)
    for event in events:
        if event.object_ref.namespace != namespace:
            continue
        if _is_scale_write(event):
            name = event.object_ref.name
            attempts[name].append((_write(event), event.response_status.code == CONFLICT))
        elif _is_look(event):
            looks[_object_of(event)].append(_look(event))
    return {
        name: _history(sorted(looks[name]), sorted(attempts[name]))
        for name in looks.keys() | attempts.keys()
    }


def _history(looks: Sequence[_Look], attempts: Iterable[tuple[Write, bool]]) -> History:
    attempts = list(attempts)
    history = History([write for write, is_refused in attempts if not is_refused], [])
    ends = [look.began_at for look in looks[1:]] + [float("inf")]
    for look, until in zip(looks, ends, strict=True):
        written = [
            (write, is_refused)
            for write, is_refused in attempts
            if write.is_hpa and look.began_at <= write.at < until
        ]
        if any(is_refused for _, is_refused in written):
            continue
        before = history.replicas_at(look.began_at)
        after = written[0][0].replicas if written else before
        history.syncs.append(Sync(*look, before, after))
    return history


def _is_scale_write(event: AuditEvent) -> bool:
    written = event.object_ref
    is_scale = written.resource == "deployments" and written.subresource == "scale"
    accepted = event.response_status.code in {200, CONFLICT}
    return is_scale and event.verb in {"update", "patch"} and accepted


def _write(event: AuditEvent) -> Write:
    replicas = event.request_object["spec"].get("replicas", 0)
    return Write(_epoch(event.stage_timestamp), replicas, HPA in event.user_agent)


def _is_look(event: AuditEvent) -> bool:
    return HPA in event.user_agent and urlsplit(event.request_uri).path.endswith(f"/{METRIC}")


def _object_of(event: AuditEvent) -> str:
    selector = parse_qs(urlsplit(event.request_uri).query)["labelSelector"][0]
    assert selector.startswith(SELECTED), selector
    return selector.removeprefix(SELECTED)


def _look(event: AuditEvent) -> _Look:
    return _Look(
        _epoch(event.request_received_timestamp),
        _epoch(event.stage_timestamp),
        event.response_status.code == 200,
    )


def _epoch(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
