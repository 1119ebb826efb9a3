"""Merge, JSON and strategic-merge patches on plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autoscaler.demo.objects import JsonObject
from autoscaler.demo.resources import Path

MERGE: Final = "application/merge-patch+json"
JSON: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"

OPERATIONS_LIMIT: Final = 10_000
"""As the real server: more operations in one JSON patch are refused."""


class PatchFailed(Exception):
    """The patch is well formed and does not fit the object."""


def merge(value: Any, patch: Any) -> Any:
    """Return ``value`` after an RFC 7386 merge patch; neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged: JsonObject = dict(value) if isinstance(value, Mapping) else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), part)
    return merged


def json_patch(value: JsonObject, operations: Sequence[JsonObject]) -> JsonObject:
    """Return ``value`` (changed in place) after RFC 6902 operations; raises PatchFailed."""
    if len(operations) > OPERATIONS_LIMIT:
        raise PatchFailed(f"the allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}")
    for operation in operations:
        try:
            value = _apply_operation(value, operation)
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise PatchFailed(f"operation {operation!r} does not apply: {exc}") from exc
    return value


def _apply_operation(value: JsonObject, operation: JsonObject) -> JsonObject:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(value, path, operation["value"])
        case "replace":
            return _replace(value, path, operation["value"])
        case "remove":
            return _remove(value, path)
        case "test":
            if _lookup(value, path) != operation["value"]:
                raise PatchFailed(f"testing value {operation['path']} failed")
            return value
        case "copy":
            return _add(value, path, _lookup(value, _pointer(operation["from"])))
        case "move":
            source = _pointer(operation["from"])
            moved = _lookup(value, source)
            return _add(_remove(value, source), path, moved)
        case other:
            raise ValueError(f"unknown operation {other!r}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _lookup(value: Any, path: Sequence[str]) -> Any:
    for part in path:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _add(value: JsonObject, path: Sequence[str], new: Any) -> JsonObject:
    if not path:
        return new  # type: ignore[no-any-return]
    parent, last = _lookup(value, path[:-1]), path[-1]
    if isinstance(parent, list):
        index = len(parent) if last == "-" else int(last)
        if not 0 <= index <= len(parent):
            raise IndexError(f"index {index} is outside the list")
        parent.insert(index, new)
    elif isinstance(parent, dict):
        parent[last] = new
    else:
        raise TypeError(f"nothing can be added at /{'/'.join(path)}")
    return value


def _replace(value: JsonObject, path: Sequence[str], new: Any) -> JsonObject:
    """Unlike RFC 6902, and like the real server, a member that is missing is added."""
    if not path:
        return new  # type: ignore[no-any-return]
    parent, last = _lookup(value, path[:-1]), path[-1]
    parent[int(last) if isinstance(parent, list) else last] = new
    return value


def _remove(value: JsonObject, path: Sequence[str]) -> JsonObject:
    parent, last = _lookup(value, path[:-1]), path[-1]
    if isinstance(parent, list):
        del parent[int(last)]
    else:
        del parent[last]
    return value


def strategic(
    value: Any, patch: Any, list_keys: Mapping[Path, tuple[str, ...]], path: Path = ()
) -> Any:
    """Return ``value`` after a strategic merge patch; neither argument is changed.

    Args:
        value: What stands at ``path`` now, None when nothing does.
        patch: What the patch says there.
        list_keys: Keys of the lists that merge by element, by path without indices.
        path: Where we are.
    """
    if isinstance(patch, list):
        keys = list_keys.get(path)
        if keys and all(isinstance(element, Mapping) for element in patch):
            return _merge_list(value or [], patch, keys[0], list_keys, path)
        if path == ("metadata", "finalizers"):
            return [*(value or []), *(one for one in patch if one not in (value or []))]
        return patch
    if not isinstance(patch, Mapping):
        return patch
    if patch.get("$patch") == "replace":
        return {name: part for name, part in patch.items() if name != "$patch"}
    merged: JsonObject = dict(value) if isinstance(value, Mapping) else {}
    for name, part in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            target = name.partition("/")[2]
            merged[target] = [one for one in merged.get(target) or [] if one not in part]
        elif name.startswith(("$setElementOrder/", "$retainKeys")):
            continue
        elif part is None or (isinstance(part, Mapping) and part.get("$patch") == "delete"):
            merged.pop(name, None)
        else:
            merged[name] = strategic(merged.get(name), part, list_keys, (*path, name))
    return merged


def _merge_list(
    current: list[JsonObject],
    patch: list[JsonObject],
    key: str,
    list_keys: Mapping[Path, tuple[str, ...]],
    path: Path,
) -> list[JsonObject]:
    if any(element.get("$patch") == "replace" for element in patch):
        return [element for element in patch if "$patch" not in element]
    merged = list(current)
    for element in patch:
        if key not in element:
            raise PatchFailed(f"map: {element!r} does not contain declared merge key: {key}")
        found = next((i for i, one in enumerate(merged) if one.get(key) == element[key]), None)
        if element.get("$patch") == "delete":
            if found is not None:
                del merged[found]
        elif found is None:
            merged.append(strategic(None, element, list_keys, path))
        else:
            merged[found] = strategic(merged[found], element, list_keys, path)
    return merged
