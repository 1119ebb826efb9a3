"""Checking manifests before they reach a cluster: every problem with document, field and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from autoscaler.api.manifest import Document, read_documents
from autoscaler.api.parse import (
    API_VERSIONS,
    Examined,
    examine,
    find_unknown_fields,
    follows_from,
    known_kind,
)
from autoscaler.api.problems import Path, Problem, invalid, required
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.api.scaledobject import ScaledObject

TriggerCheck = Callable[[ScaledObject | ScaledJob], Sequence[Problem]]
"""Looks into the parameters of an object's triggers, with paths from the top of the object."""

GROUPS: Final = frozenset(version.partition("/")[0] for version in API_VERSIONS)

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_LIMIT: Final = 253


class Finding(msgspec.Struct, frozen=True):
    """A problem and where it is in the file (line from 1)."""

    problem: Problem
    line: int


class DocumentReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one object of a manifest.

    Attributes:
        index: Document, from 1 (the items of a List share theirs).
        line: Where the object begins, from 1.
        api_version: As written, empty when missing.
        kind: As written, empty when missing.
        name: ``namespace/name`` as far as given.
        findings: By line.
        note: Why the object was not checked, empty when it was.
    """

    index: int
    line: int
    api_version: str = ""
    kind: str = ""
    name: str = ""
    findings: tuple[Finding, ...] = ()
    note: str = ""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found, warnings included."""
        return tuple(finding.problem for finding in self.findings)

    @property
    def is_valid(self) -> bool:
        """Whether nothing but warnings was found."""
        return all(problem.is_warning for problem in self.problems)


def validate_documents(
    text: str, *, trigger_check: TriggerCheck | None = None
) -> list[DocumentReport]:
    """Check every object of a manifest.

    Args:
        text: YAML (or JSON), one or more documents.
        trigger_check: Called with each ScaledObject and ScaledJob as far as it can be read.

    Returns:
        One report per object, in file order; objects of other systems carry a note instead.
    """
    return [
        report
        for document in read_documents(text)
        for report in _check_document(document, trigger_check)
    ]


def check_raw(raw: Mapping[str, Any], trigger_check: TriggerCheck | None = None) -> Examined:
    """Check one object that is already decoded, by the rules of :func:`validate_documents`.

    Args:
        raw: With ``apiVersion`` and ``kind``.
        trigger_check: Called with a ScaledObject or ScaledJob as far as it can be read.
    """
    examined = examine(raw)
    problems = examined.problems
    if raw.get("apiVersion") in API_VERSIONS and known_kind(raw):
        problems = [*_check_name(raw), *find_unknown_fields(raw), *problems]
    if trigger_check and isinstance(examined.obj, (ScaledObject, ScaledJob)):
        reported = {problem.field for problem in problems if not problem.is_warning}
        found = trigger_check(examined.obj)
        problems += [p for p in found if not follows_from(p.field, reported)]
    return Examined(examined.obj, problems, is_usable=examined.is_usable)


def _check_document(
    document: Document, trigger_check: TriggerCheck | None
) -> Iterator[DocumentReport]:
    value = document.value
    if document.value is None and document.problems:
        yield _report(document, {}, document.problems)
    elif isinstance(value, Mapping) and value.get("kind") == "List" and "items" in value:
        items = value["items"] if isinstance(value["items"], list) else []
        for index, item in enumerate(items):
            yield _check_item(document, item, Path(("items", index)), trigger_check)
    else:
        yield _check_item(document, value, Path(), trigger_check)


def _check_item(
    document: Document, raw: object, place: Path, trigger_check: TriggerCheck | None
) -> DocumentReport:
    prefix = str(place)
    own = [_below(problem, prefix) for problem in document.problems if _is_below(problem, prefix)]
    if not isinstance(raw, Mapping):
        problem = Problem("", "must be a mapping with apiVersion, kind, metadata and spec")
        return _report(document, {}, [*own, problem], prefix)
    version, kind = raw.get("apiVersion"), raw.get("kind")
    missing = [
        required(Path((field,)), "is required")
        for field in ("apiVersion", "kind")
        if not raw.get(field)
    ]
    if missing:
        return _report(document, raw, [*own, *missing], prefix)
    if str(version).partition("/")[0] not in GROUPS and known_kind(raw) is None:
        return _report(document, raw, own, prefix, note=f"{version} {kind} is not Flyball's")
    checked = check_raw(raw, trigger_check)
    return _report(document, raw, [*own, *checked.problems], prefix)


def _check_name(raw: Mapping[str, Any]) -> Iterator[Problem]:
    metadata = raw.get("metadata")
    named = metadata if isinstance(metadata, Mapping) else {}
    name, path = named.get("name"), Path(("metadata", "name"))
    if name is None and not named.get("generateName"):
        yield required(path, "is required")
    elif isinstance(name, str) and not (len(name) <= _NAME_LIMIT and _NAME.fullmatch(name)):
        what = f"must be lower case letters, digits, '-' and '.', at most {_NAME_LIMIT}"
        yield invalid(path, what, name)


def _report(
    document: Document,
    raw: Mapping[str, Any],
    problems: Sequence[Problem],
    prefix: str = "",
    *,
    note: str = "",
) -> DocumentReport:
    metadata = raw.get("metadata")
    named = metadata if isinstance(metadata, Mapping) else {}
    names = [str(named[field]) for field in ("namespace", "name") if named.get(field)]
    findings = [
        Finding(problem, document.line_of(_joined(prefix, problem.field))) for problem in problems
    ]
    return DocumentReport(
        index=document.index,
        line=document.line_of(prefix),
        api_version=str(raw.get("apiVersion") or ""),
        kind=str(raw.get("kind") or ""),
        name="/".join(names),
        findings=tuple(sorted(findings, key=lambda finding: finding.line)),
        note=note,
    )


def _joined(prefix: str, field: str) -> str:
    return f"{prefix}.{field}" if prefix and field else prefix or field


def _is_below(problem: Problem, prefix: str) -> bool:
    return not prefix or problem.field.startswith(f"{prefix}.")


def _below(problem: Problem, prefix: str) -> Problem:
    if not prefix:
        return problem
    return msgspec.structs.replace(problem, field=problem.field.removeprefix(f"{prefix}."))
