"""Field ownership: ``managedFields`` after an update, and server-side apply with its conflicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.fields import (
    SETS,
    FieldSet,
    changed,
    children,
    common,
    difference,
    dotted,
    element_key,
    field_set,
    leaves,
    owned_part,
    removed,
    union,
    without,
)
from autoscaler.demo.objects import JsonObject, timestamp
from autoscaler.demo.resources import Path, Resource


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes, and through what.

    Attributes:
        manager: Field manager's name.
        operation: ``Update`` or ``Apply``.
        subresource: Empty, ``status`` or ``scale``.
        force: Apply takes fields over instead of failing.
    """

    manager: str
    operation: str = "Update"
    subresource: str = ""
    force: bool = False

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Whether a ``managedFields`` entry is this writer's."""
        return (
            entry.get("manager") == self.manager
            and entry.get("operation") == self.operation
            and entry.get("subresource", "") == self.subresource
        )

    def entry(self, fields: FieldSet, resource: Resource, at: float) -> JsonObject:
        """Return the writer's ``managedFields`` entry."""
        entry: JsonObject = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": "autoscaling/v1" if self.subresource == "scale" else resource.api_version,
            "time": timestamp(at),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def entries_of(value: Mapping[str, Any]) -> list[JsonObject]:
    """Return the object's ``managedFields``."""
    found = value["metadata"].get("managedFields")
    return list(found) if isinstance(found, list) else []


def track_update(
    before: JsonObject | None, after: JsonObject, writer: Writer, resource: Resource, at: float
) -> None:
    """Set ``managedFields`` of ``after``: the writer owns what it changed, nobody what is gone."""
    old = {} if before is None else owned_part(before)
    new = owned_part(after)
    taken = changed(old, new, resource) or {}
    gone = removed(old, new, resource) or {}
    entries = [] if before is None else entries_of(before)
    # A Scale shows the owners of the replicas only; without any, nobody is noted for it.
    is_unowned_scale = writer.subresource == "scale" and not any(
        common(entry["fieldsV1"], taken) for entry in entries
    )
    if is_unowned_scale or (not taken and not gone):
        _set_entries(after, entries)
        return
    mine: FieldSet = {}
    others = []
    for entry in entries:
        if writer.wrote(entry):
            mine = entry["fieldsV1"]
        else:
            others.append(entry)
    kept = _release(others, union(taken, gone))
    owned = union(without(mine, gone), taken)
    _set_entries(after, [*kept, writer.entry(owned, resource, at)] if owned else kept)


def apply(
    live: JsonObject | None, config: JsonObject, writer: Writer, resource: Resource, at: float
) -> JsonObject:
    """Return the object after a server-side apply; raises ApiError 409 on foreign fields.

    Args:
        live: The object now, None when the apply creates it.
        config: What the writer wants, only the fields it has an opinion on.
        writer: Its ``operation`` is ``Apply``.
        resource: What the object is.
        at: Now, epoch seconds.
    """
    wanted = owned_part(config)
    fields = field_set(wanted, resource)
    if live is None:
        created = {**config, "metadata": dict(config["metadata"])}
        _set_entries(created, [writer.entry(fields, resource, at)])
        return created
    entries = entries_of(live)
    previous: FieldSet = next((e["fieldsV1"] for e in entries if writer.wrote(e)), {})
    others = [entry for entry in entries if not writer.wrote(entry)]
    merged = apply_merge(live, wanted, resource)
    taken = changed(owned_part(live), owned_part(merged), resource) or {}
    conflicts = [
        (entry, path) for entry in others for path in leaves(common(entry["fieldsV1"], taken))
    ]
    if conflicts and not writer.force:
        raise _apply_conflict(conflicts)
    dropped = difference(previous, fields)
    for entry in others:
        dropped = difference(dropped, entry["fieldsV1"])
    result: JsonObject = prune(merged, dropped, resource)
    result["metadata"] = dict(result["metadata"])
    entry = writer.entry(fields, resource, at)
    if result == merged == live and fields == previous:
        entry["time"] = next(e for e in entries if writer.wrote(e))["time"]
    _set_entries(result, [*_release(others, taken), *([entry] if fields else [])])
    return result


def apply_merge(live: Any, wanted: Any, resource: Resource, path: Path = ()) -> Any:
    """Return ``live`` with ``wanted`` laid over it; keyed lists merge by element."""
    if isinstance(wanted, Mapping) and isinstance(live, Mapping) and path not in resource.atoms:
        merged = dict(live)
        for name, part in wanted.items():
            merged[name] = apply_merge(live.get(name), part, resource, (*path, name))
        return merged
    if isinstance(wanted, list) and isinstance(live, list):
        if path in SETS:
            return [*live, *(one for one in wanted if one not in live)]
        keys = resource.list_keys.get(path)
        if keys:
            by_key = {element_key(one, keys): one for one in live}
            for one in wanted:
                key = element_key(one, keys)
                by_key[key] = apply_merge(by_key.get(key, {}), one, resource, path)
            return list(by_key.values())
    return wanted


def prune(value: Any, fields: FieldSet, resource: Resource, path: Path = ()) -> Any:
    """Return ``value`` without the given fields."""
    parts = children(value, resource, path)
    if not fields or not parts:
        return value
    kept = {}
    for key, (where, part) in parts.items():
        if key not in fields:
            kept[key] = part
        elif set(fields[key]) - {"."}:
            kept[key] = prune(part, fields[key], resource, where)
            if kept[key] == {} and part != {}:
                del kept[key]
    if isinstance(value, list):
        return list(kept.values())
    return {key.partition(":")[2]: part for key, part in kept.items()}


def _release(entries: Sequence[JsonObject], fields: FieldSet) -> list[JsonObject]:
    kept = []
    for entry in entries:
        left = without(entry["fieldsV1"], fields)
        if left:
            kept.append({**entry, "fieldsV1": left})
    return kept


def _set_entries(value: JsonObject, entries: Sequence[JsonObject]) -> None:
    if entries:
        value["metadata"]["managedFields"] = sorted(
            entries, key=lambda one: (one["operation"], one["manager"], one.get("subresource", ""))
        )
    else:
        value["metadata"].pop("managedFields", None)


def _apply_conflict(conflicts: Sequence[tuple[JsonObject, tuple[str, ...]]]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_described(entry)}",
            "field": dotted(path),
        }
        for entry, path in conflicts
    ]
    first = causes[0]
    plural = "" if len(causes) == 1 else "s"
    rest = (
        f"{first['message']}: {first['field']}"
        if not plural
        else "".join(f"\n- {cause['message']}: {cause['field']}" for cause in causes)
    )
    return ApiError(
        HTTPStatus.CONFLICT,
        "Conflict",
        f"Apply failed with {len(causes)} conflict{plural}: {rest}",
        details={"causes": causes},
    )


def _described(entry: JsonObject) -> str:
    text = f'"{entry["manager"]}"'
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return text if entry["operation"] == "Apply" else f"{text} using {entry['apiVersion']}"
