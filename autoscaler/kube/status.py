"""The status subresource: conditions kept by type, written only when something changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler.core.model import Condition
from autoscaler.kube.codec import CustomObject
from autoscaler.kube.resources import Resource
from autoscaler.kube.transport import KubeClient


def merge_conditions(
    current: Sequence[Mapping[str, Any]], wanted: Sequence[Condition], at: float
) -> list[dict[str, Any]]:
    """Return the conditions to store.

    Conditions in ``wanted`` replace those of the same type; others stay. ``lastTransitionTime``
    moves only when a condition's status does.

    Args:
        current: As stored, in stored order.
        wanted: Those we own.
        at: Now, epoch seconds.
    """
    raise NotImplementedError


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
    raise NotImplementedError
