"""What an API server refuses about labels, pod templates and the kinds controllers write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from autoscaler.demo.apierrors import FieldProblem
from autoscaler.demo.objects import JsonObject, at_path
from autoscaler.demo.resources import Resource

LABEL_LENGTH_MAX: Final = 63
PREFIX_LENGTH_MAX: Final = 253
CONFIG_KEY_LENGTH_MAX: Final = 253
JOB_RESTART_POLICIES: Final = frozenset({"OnFailure", "Never"})
_NAME_PART: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_CHARACTERS: Final = (
    "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character"
)


def kind_problems(
    resource: Resource, value: JsonObject, old: JsonObject | None
) -> list[FieldProblem]:
    """Return what is wrong with the parts of a built-in object that its kind governs."""
    check = _BY_KIND.get(resource.kind)
    found = list(check(value, old)) if check else []
    if "template" in (value.get("spec") or {}):
        found += _container_problems("spec.template.spec", at_path(value, "spec", "template"))
    return found


def metadata_problems(value: JsonObject) -> list[FieldProblem]:
    """Return what is wrong with an object's labels and annotations."""
    metadata = value["metadata"]
    return [
        *label_problems("metadata.labels", metadata.get("labels") or {}),
        *(
            problem
            for key in metadata.get("annotations") or {}
            # Unlike that of a label, the prefix of an annotation may have capitals.
            for problem in _key_problems("metadata.annotations", key.lower())
        ),
    ]


def label_problems(field: str, labels: Mapping[str, str]) -> Iterable[FieldProblem]:
    """Yield what is wrong with labels."""
    for key, value in labels.items():
        yield from _key_problems(field, key)
        if len(value) > LABEL_LENGTH_MAX:
            yield _invalid(field, value, f"must be no more than {LABEL_LENGTH_MAX} bytes")
        elif value and not _NAME_PART.fullmatch(value):
            yield _invalid(field, value, f"a valid label must be an empty string or {_CHARACTERS}")


def required(field: str) -> FieldProblem:
    """Return the problem of a missing field."""
    return FieldProblem(field, "Required value", "FieldValueRequired")


def immutable(field: str) -> FieldProblem:
    """Return the problem of a changed field that never changes."""
    return FieldProblem(field, "Invalid value: field is immutable")


def _key_problems(field: str, key: str) -> Iterable[FieldProblem]:
    prefix, slash, name = key.rpartition("/")
    if slash and not (_SUBDOMAIN.fullmatch(prefix) and len(prefix) <= PREFIX_LENGTH_MAX):
        yield _invalid(field, key, "prefix part must be a lowercase RFC 1123 subdomain")
    if len(name) > LABEL_LENGTH_MAX:
        yield _invalid(field, key, f"name part must be no more than {LABEL_LENGTH_MAX} bytes")
    elif not _NAME_PART.fullmatch(name):
        yield _invalid(field, key, f"name part must {_CHARACTERS}")


def _invalid(field: str, value: str, why: str) -> FieldProblem:
    return FieldProblem(field, f'Invalid value: "{value}": {why}')


def _container_problems(field: str, template: Any) -> Iterable[FieldProblem]:
    containers = at_path(template or {}, "spec", "containers")
    if not containers:
        yield required(f"{field}.containers")
    for index, container in enumerate(containers or ()):
        for name in ("name", "image"):
            if not container.get(name):
                yield required(f"{field}.containers[{index}].{name}")


def _pod(value: JsonObject, old: JsonObject | None) -> Iterable[FieldProblem]:
    if old is None:
        yield from _container_problems("spec", value)


def _config_map(value: JsonObject, _old: JsonObject | None) -> Iterable[FieldProblem]:
    for key in value.get("data") or {}:
        if not _CONFIG_KEY.fullmatch(key) or len(key) > CONFIG_KEY_LENGTH_MAX:
            yield _invalid(
                f"data[{key}]",
                key,
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            )


def _job(value: JsonObject, old: JsonObject | None) -> Iterable[FieldProblem]:
    spec = value["spec"]
    if not spec.get("template"):
        yield from _container_problems("spec.template.spec", None)
    if old is None and len(value["metadata"]["name"]) > LABEL_LENGTH_MAX:
        # The name becomes a label of the pods.
        name = value["metadata"]["name"]
        why = f"must be no more than {LABEL_LENGTH_MAX} bytes"
        yield _invalid("spec.template.labels", name, why)
    policy = at_path(spec, "template", "spec", "restartPolicy")
    if policy not in JOB_RESTART_POLICIES:
        yield FieldProblem(
            "spec.template.spec.restartPolicy",
            'Required value: valid values: "OnFailure", "Never"',
            "FieldValueRequired",
        )
    if old is None:
        return
    before = old["spec"]
    frozen = ("completions", "selector") if before.get("suspend") else _FROZEN_JOB_FIELDS
    yield from (immutable(f"spec.{name}") for name in frozen if spec.get(name) != before.get(name))


_FROZEN_JOB_FIELDS: Final = ("completions", "selector", "template")


def _lease(value: JsonObject, _old: JsonObject | None) -> Iterable[FieldProblem]:
    seconds = at_path(value, "spec", "leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield FieldProblem(
            "spec.leaseDurationSeconds", f"Invalid value: {seconds}: must be greater than 0"
        )


def _event(value: JsonObject, _old: JsonObject | None) -> Iterable[FieldProblem]:
    namespace = at_path(value, "involvedObject", "namespace") or ""
    expected = value["metadata"].get("namespace", "")
    # Events about objects outside of namespaces live in "default".
    if namespace != expected and not (not namespace and expected == "default"):
        yield _invalid("involvedObject.namespace", namespace, "does not match event.namespace")


_BY_KIND: Final[Mapping[str, Callable[[JsonObject, JsonObject | None], Iterable[FieldProblem]]]] = {
    "ConfigMap": _config_map,
    "Event": _event,
    "Job": _job,
    "Lease": _lease,
    "Pod": _pod,
}
