"""What a URL of the Kubernetes API asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

VERBS: Final[Mapping[str, str]] = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The resource path of a request; ``namespace`` None means all (or cluster-scoped)."""

    group: str
    version: str
    plural: str
    namespace: str | None = None
    name: str = ""
    subresource: str = ""


def parse_path(segments: Sequence[str]) -> Target | None:
    """Return what a path below ``/api`` or ``/apis`` names, None when it names no resource.

    Args:
        segments: The decoded path, split at ``/``, e.g. ``["apis", "apps", "v1", "deployments"]``.
    """
    if segments[0] == "api":
        group, rest = "", list(segments[1:])
    else:
        group, rest = (segments[1] if len(segments) > 1 else ""), list(segments[2:])
    if len(rest) < 2:  # noqa: PLR2004 - a version and a resource
        return None
    version, rest = rest[0], rest[1:]
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:  # noqa: PLR2004 - namespaces/<name>/<resource>
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:  # noqa: PLR2004 - resource, name, subresource
        return None
    plural, name, subresource = [*rest, "", ""][:3]
    return Target(
        group=group,
        version=version,
        plural=plural,
        namespace=namespace,
        name=name,
        subresource=subresource,
    )


def verb_of(method: str, target: Target, *, is_watch: bool) -> str:
    """Return the API verb of a request, empty for a method the API does not have."""
    if method in {"GET", "HEAD"}:
        if target.name:
            return "get"
        return "watch" if is_watch else "list"
    verb = VERBS.get(method, "")
    return "deletecollection" if verb == "delete" and not target.name else verb
