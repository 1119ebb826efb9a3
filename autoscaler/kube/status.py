"""The status subresource: conditions kept by type, written only when something changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from autoscaler.core.model import Condition
from autoscaler.errors import KubeError, shorten
from autoscaler.kube.codec import CustomObject, decode_custom
from autoscaler.kube.resources import Resource
from autoscaler.kube.scale import FIELD_MANAGER, MERGE_PATCH
from autoscaler.kube.transport import KubeClient


def timestamp(at: float) -> str:
    """Return an instant (epoch seconds) as the API writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge_conditions(
    current: Sequence[Mapping[str, Any]], wanted: Sequence[Condition], at: float
) -> list[dict[str, Any]]:
    """Return the conditions to store.

    Conditions in ``wanted`` replace those of the same type, in place; others stay as they are.
    ``lastTransitionTime`` moves only when a condition's status does.

    Args:
        current: As stored, in stored order.
        wanted: Those we own.
        at: Now, epoch seconds.
    """
    merged = {str(condition.get("type", "")): dict(condition) for condition in current}
    for condition in wanted:
        known = merged.get(condition.type, {})
        says = {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
        }
        # KEDA's CRDs drop the time; adding it again and again would be a write each time.
        if all(known.get(name) == value for name, value in says.items()):
            continue
        since = known.get("lastTransitionTime") if known.get("status") == condition.status else None
        merged[condition.type] = {**says, "lastTransitionTime": since or timestamp(at)}
    return list(merged.values())


def status_patch(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch from one object to another, empty when nothing changes.

    Objects inside are compared field by field; a wanted None removes the field; fields of
    ``current`` that ``wanted`` does not name stay.
    """
    patch: dict[str, Any] = {}
    for name, value in wanted.items():
        known = current.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            inner = status_patch(known, value)
            if inner:
                patch[name] = inner
        elif value != known:
            patch[name] = value
    return patch


async def write_status(
    client: KubeClient,
    resource: Resource,
    item: CustomObject,
    status: Mapping[str, Any],
    *,
    conditions: Sequence[Condition] = (),
    at: float,
) -> CustomObject | None:
    """Bring an object's status to what is wanted, with one request or none.

    Args:
        client: Connection.
        resource: Of the object.
        item: The object as last seen; what it already says is not written again.
        status: Fields to set; None removes one. Fields not named stay.
        conditions: To merge into ``status.conditions``.
        at: Now, epoch seconds.

    Returns:
        The object after the write (for ``Store.wrote``), or None when there was nothing to write.

    Raises:
        KubeError: The write failed.
    """
    wanted = dict(status)
    if conditions:
        wanted["conditions"] = merge_conditions(_conditions_of(item), conditions, at)
    patch = status_patch(item.status, wanted)
    if not patch:
        return None
    path = resource.path(item.metadata.namespace, item.metadata.name, "status")
    answer = await client.request(
        "PATCH",
        path,
        params={"fieldManager": FIELD_MANAGER},
        body=msgspec.json.encode({"status": patch}),
        content_type=MERGE_PATCH,
    )
    try:
        return decode_custom(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise KubeError(f"PATCH {path}: not an object: {shorten(str(exc))}") from exc


def _conditions_of(item: CustomObject) -> list[Mapping[str, Any]]:
    found = item.status.get("conditions")
    return [c for c in found if isinstance(c, Mapping)] if isinstance(found, list) else []
