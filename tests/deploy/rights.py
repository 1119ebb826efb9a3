"""Rules of RBAC against what an audit log says was asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from tests.e2e.controlplane.audit import AuditEvent


class Right(NamedTuple):
    """One verb on one resource, as rules grant and requests use it.

    Attributes:
        group: API group, empty for core; ``*`` = any.
        resource: With its subresource, e.g. ``*/scale``.
        verb: As RBAC calls it.
    """

    group: str
    resource: str
    verb: str

    def covers(self, used: Right) -> bool:
        """Tell whether a request that needs ``used`` is allowed by this."""
        return (
            self.group in {"*", used.group}
            and self.verb in {"*", used.verb}
            and self._covers_resource(used.resource)
        )

    def _covers_resource(self, used: str) -> bool:
        if self.resource.startswith("*/"):
            return used.partition("/")[2] == self.resource[2:]
        return self.resource in {"*", used}


def granted(roles: Iterable[dict[str, Any]]) -> list[Right]:
    """Return every right of ClusterRoles or Roles, one for each combination a rule stands for."""
    return [
        Right(group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def lessened(role: dict[str, Any], without: Collection[Right]) -> dict[str, Any]:
    """Return a ClusterRole or Role that grants the same but for some rights.

    Args:
        role: The role; not modified.
        without: As :func:`granted` would list them.

    Returns:
        The role with a rule for every resource.
    """
    rules = [
        {**rule, "apiGroups": [group], "resources": [resource], "verbs": verbs}
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if (verbs := [v for v in rule["verbs"] if Right(group, resource, v) not in without])
    ]
    return {**role, "rules": rules}


def used(events: Iterable[AuditEvent]) -> set[Right]:
    """Return the rights that requests needed; those for no resource (discovery) are left out."""
    return {
        Right(
            event.object_ref.api_group,
            "/".join(filter(None, (event.object_ref.resource, event.object_ref.subresource))),
            event.verb,
        )
        for event in events
        if event.object_ref.resource
    }


def unused(rights: Sequence[Right], events: Iterable[AuditEvent]) -> list[Right]:
    """Return the rights no request needed."""
    needed = used(events)
    return [right for right in rights if not any(right.covers(one) for one in needed)]


def refused(events: Iterable[AuditEvent]) -> list[str]:
    """Return the requests there was no right for."""
    return [f"{event.verb} {event.request_uri}" for event in events if event.is_forbidden]
