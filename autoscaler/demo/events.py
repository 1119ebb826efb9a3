"""Events are stored once, in the core form, and shown in either API's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from autoscaler.demo.objects import JsonObject
from autoscaler.demo.resources import Resource

RENAMED: Final[Mapping[str, str]] = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""Core name to ``events.k8s.io`` name; all others are the same."""

_BACK: Final[Mapping[str, str]] = {new: old for old, new in RENAMED.items()}


def is_new_form(resource: Resource) -> bool:
    """Whether a resource shows events in the ``events.k8s.io`` form."""
    return resource.group == "events.k8s.io"


def stored_field(name: str, resource: Resource) -> str:
    """Return where a field that a selector names is stored."""
    if not is_new_form(resource):
        return name
    first, dot, rest = name.partition(".")
    return f"{_BACK.get(first, first)}{dot}{rest}"


def shown(value: JsonObject, resource: Resource) -> JsonObject:
    """Return a stored event in the resource's form."""
    form = {RENAMED.get(name, name): part for name, part in value.items()}
    return {**form, "apiVersion": resource.api_version}


def stored(value: JsonObject) -> JsonObject:
    """Return an ``events.k8s.io`` event in the core form."""
    form = {_BACK.get(name, name): part for name, part in value.items()}
    return {**form, "apiVersion": "v1"}
