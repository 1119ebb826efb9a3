"""Sets of fields in ``fieldsV1`` form: which manager owns what.

A set is a tree: ``f:name`` for a field, ``k:{…}`` for an element of a keyed list, ``v:…`` for a
member of a set, ``.`` for the node itself. A leaf is an empty tree. Lists without keys and the
atomic maps of a resource are leaves, as a schema would declare them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from autoscaler.demo.objects import JsonObject, encode
from autoscaler.demo.resources import Path, Resource

FieldSet = dict[str, Any]

UNOWNED: Final = frozenset({"apiVersion", "kind"})
UNOWNED_METADATA: Final = frozenset(
    {
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)
SETS: Final = frozenset({("metadata", "finalizers")})


def owned_part(value: Mapping[str, Any]) -> JsonObject:
    """Return the part of an object that field managers own."""
    part = {name: field for name, field in value.items() if name not in UNOWNED}
    metadata = part.get("metadata")
    if isinstance(metadata, Mapping):
        kept = {name: field for name, field in metadata.items() if name not in UNOWNED_METADATA}
        if kept:
            part["metadata"] = kept
        else:
            del part["metadata"]
    return part


def children(value: Any, resource: Resource, path: Path) -> dict[str, tuple[Path, Any]] | None:
    """Return the owned parts of ``value`` by field-set key, None when it is one leaf."""
    if path in resource.atoms:
        return None
    if isinstance(value, Mapping):
        return {f"f:{name}": ((*path, name), part) for name, part in value.items()}
    if isinstance(value, list):
        keys = resource.list_keys.get(path)
        if keys and all(isinstance(one, Mapping) for one in value):
            return {f"k:{element_key(one, keys)}": (path, one) for one in value}
        if path in SETS:
            return {f"v:{encode(one).decode()}": ((*path, "*"), one) for one in value}
    return None


def element_key(element: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the key of a list element as JSON, missing protocol taken as TCP."""
    named = {
        key: element.get(key, "TCP" if key == "protocol" else None)
        for key in sorted(keys)
        if key in element or key == "protocol"
    }
    return encode(named).decode()


def field_set(value: Any, resource: Resource, path: Path = ()) -> FieldSet:
    """Return every field of ``value``."""
    parts = children(value, resource, path)
    if not parts:
        return {}
    found: FieldSet = {
        key: field_set(part, resource, where) for key, (where, part) in parts.items()
    }
    if isinstance(value, Mapping) and path in resource.list_keys:
        found["."] = {}
    return found


def changed(before: Any, after: Any, resource: Resource, path: Path = ()) -> FieldSet | None:
    """Return the fields set or changed from ``before`` to ``after``, None when there are none."""
    if before == after:
        return None
    parts = children(after, resource, path)
    if not parts:
        return {}
    earlier = children(before, resource, path) or {}
    found: FieldSet = {}
    for key, (where, part) in parts.items():
        if key not in earlier:
            found[key] = field_set(part, resource, where)
        else:
            below = changed(earlier[key][1], part, resource, where)
            if below is not None:
                found[key] = below
    return found or None


def removed(before: Any, after: Any, resource: Resource, path: Path = ()) -> FieldSet | None:
    """Return the fields of ``before`` that ``after`` lacks, None when there are none."""
    earlier = children(before, resource, path)
    if not earlier:
        return None
    later = children(after, resource, path) or {}
    found: FieldSet = {}
    for key, (where, part) in earlier.items():
        if key not in later:
            found[key] = field_set(part, resource, where)
        else:
            below = removed(part, later[key][1], resource, where)
            if below is not None:
                found[key] = below
    return found or None


def leaves(fields: FieldSet, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every leaf."""
    for key, below in fields.items():
        if below:
            yield from leaves(below, (*path, key))
        else:
            yield (*path, key)


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """Return the fields in either set."""
    joined = dict(left)
    for key, below in right.items():
        joined[key] = union(joined.get(key, {}), below)
    return joined


def without(fields: FieldSet, taken: FieldSet) -> FieldSet:
    """Return ``fields`` less the leaves of ``taken`` and everything below them."""
    left: FieldSet = {}
    for key, below in fields.items():
        if key not in taken:
            left[key] = below
        elif taken[key]:
            rest = without(below, taken[key])
            if rest and set(rest) != {"."}:
                left[key] = rest
    return left


def difference(fields: FieldSet, kept: FieldSet) -> FieldSet:
    """Return the leaves of ``fields`` that are not in ``kept`` themselves."""
    left: FieldSet = {}
    for key, below in fields.items():
        if key not in kept:
            left[key] = below
        elif below:
            deeper = difference(below, kept[key])
            if deeper and set(deeper) != {"."}:
                left[key] = deeper
    return left


def common(left: FieldSet, right: FieldSet) -> FieldSet:
    """Return the fields in both sets; a leaf on one side takes what the other has below it."""
    shared: FieldSet = {}
    for key, below in left.items():
        if key == "." or key not in right:
            continue
        if not below or not right[key]:
            shared[key] = below or right[key]
            continue
        deeper = common(below, right[key])
        if deeper:
            shared[key] = deeper
    return shared


def dotted(path: tuple[str, ...]) -> str:
    """Return a leaf's path as error messages write it, e.g. ``.spec.replicas``."""
    text = ""
    for key in path:
        kind, _, name = key.partition(":")
        if kind == "f":
            text += f".{name}"
        elif kind in {"k", "v"}:
            text += f"[{name.strip('{}').replace(':', '=')}]"
    return text
