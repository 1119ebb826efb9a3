"""Label and field selectors, parsed once and applied to many objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from autoscaler.demo.apierrors import bad_request
from autoscaler.demo.events import stored_field
from autoscaler.demo.objects import JsonObject, at_path, labels_of
from autoscaler.demo.resources import Resource

Predicate = Callable[[JsonObject], bool]

_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9_./-]*[A-Za-z0-9])?"
_SET: Final = re.compile(rf"^({_NAME})\s+(in|notin)\s*\(([^()]*)\)$")
_EQUALITY: Final = re.compile(rf"^({_NAME})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)$")
_EXISTS: Final = re.compile(rf"^(!?)\s*({_NAME})$")
_OUTER_COMMA: Final = re.compile(r",(?![^()]*\))")


def everything(_value: JsonObject) -> bool:
    """Match any object."""
    return True


def parse_labels(text: str) -> Callable[[Mapping[str, str]], bool]:
    """Return a predicate on labels; raises ApiError 400 when ``text`` is no selector."""
    tests = [_label_test(part.strip(), text) for part in _OUTER_COMMA.split(text) if part.strip()]
    return lambda labels: all(test(labels) for test in tests)


def _label_test(part: str, whole: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        name, operator = found[1], found[3]
        values = {value.strip() for value in found[4].split(",")}
        if operator == "in":
            return lambda labels: labels.get(name) in values
        return lambda labels: labels.get(name) not in values
    if found := _EQUALITY.match(part):
        name, operator, value = found[1], found[3], found[4]
        if operator == "!=":
            return lambda labels: labels.get(name) != value
        return lambda labels: labels.get(name) == value
    if found := _EXISTS.match(part):
        name = found[2]
        if found[1]:
            return lambda labels: name not in labels
        return lambda labels: name in labels
    raise bad_request(f"unable to parse requirement: {part!r} in {whole!r}")


def parse_fields(text: str, resource: Resource) -> Predicate:
    """Return a predicate on objects; raises ApiError 400 for a field the resource lacks."""
    tests: list[tuple[Callable[[JsonObject], Any], bool, str]] = []
    for part in text.split(","):
        found = re.match(r"^\s*([\w.]+)\s*(==|=|!=)\s*(.*)$", part)
        if found is None:
            raise bad_request(f"invalid selector: {part!r}; can't understand {text!r}")
        name, operator, value = found[1], found[2], found[3]
        if not _is_known(name, resource):
            raise bad_request(_unknown_field(name, resource))
        tests.append((_getter(stored_field(name, resource)), operator != "!=", value))

    def matches(value: JsonObject) -> bool:
        return all((_text(get(value)) == want) is equal for get, equal, want in tests)

    return matches


_COMPUTED: Final[Mapping[str, Callable[[JsonObject], Any]]] = {
    "source": lambda event: (
        at_path(event, "source", "component") or event.get("reportingComponent")
    ),
    "spec.hostNetwork": lambda pod: bool(at_path(pod, "spec", "hostNetwork")),
    "spec.unschedulable": lambda node: bool(at_path(node, "spec", "unschedulable")),
    "status.successful": lambda job: at_path(job, "status", "succeeded") or 0,
}
"""Fields that are not simply what is stored under their name."""


def _getter(name: str) -> Callable[[JsonObject], Any]:
    path = name.split(".")
    return _COMPUTED.get(name) or (lambda value: at_path(value, *path))


def _is_known(name: str, resource: Resource) -> bool:
    if name == "metadata.namespace":
        # Kinds that declare their fields declare this one only if they have a namespace.
        return resource.namespaced or not resource.field_labels
    return name == "metadata.name" or name in resource.field_labels


def _unknown_field(name: str, resource: Resource) -> str:
    if resource.kind == "Job":
        return f'field label "{name}" not supported for Job'
    if resource.is_custom or resource.field_labels:
        return f"field label not supported: {name}"
    return f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def parse(query: Mapping[str, str], resource: Resource) -> Predicate:
    """Return the predicate of a request's ``labelSelector`` and ``fieldSelector``."""
    label_text, field_text = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if not label_text and not field_text:
        return everything
    by_labels = parse_labels(label_text) if label_text else None
    by_fields = parse_fields(field_text, resource) if field_text else everything
    if by_labels is None:
        return by_fields
    return lambda value: by_labels(labels_of(value)) and by_fields(value)


def matches_selector(selector: JsonObject | None, labels: Mapping[str, str]) -> bool:
    """Whether ``labels`` satisfy a LabelSelector object; an absent one matches nothing."""
    if selector is None:
        return False
    text = render(selector)
    return _parsed(text)(labels) if text else True


@lru_cache(maxsize=1_000)
def _parsed(text: str) -> Callable[[Mapping[str, str]], bool]:
    return parse_labels(text)


def render(selector: JsonObject) -> str:
    """Return a LabelSelector object (or a plain map) in its one-line form."""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{name}={value}" for name, value in sorted(selector.items()))
    parts = [
        f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())
    ]
    for expression in selector.get("matchExpressions") or ():
        name, values = expression["key"], ",".join(expression.get("values") or ())
        match expression["operator"]:
            case "In":
                parts.append(f"{name} in ({values})")
            case "NotIn":
                parts.append(f"{name} notin ({values})")
            case "Exists":
                parts.append(name)
            case _:
                parts.append(f"!{name}")
    return ",".join(parts)
