"""``flyball validate``: every problem of a manifest, before it reaches a cluster."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from autoscaler.api.problems import Problem
    from autoscaler.api.scaledjob import ScaledJob
    from autoscaler.api.scaledobject import ScaledObject
    from autoscaler.api.triggers import Trigger
    from autoscaler.api.validate import DocumentReport
    from autoscaler.plugins import ScalerRegistry


def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Manifests; - is standard input.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check manifests: file, document, line, field and reason of each problem; exit 1 on errors.

    Parameters that come from a TriggerAuthentication or the environment are known only in the
    cluster and are not checked.
    """
    from autoscaler.api.validate import validate_documents
    from autoscaler.plugins import ScalerRegistry

    registry = ScalerRegistry()
    rows: list[dict[str, Any]] = []
    objects = 0
    for name in files:
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            rows.append({"file": name, "severity": "error", "message": f"cannot be read: {error}"})
            continue
        reports = validate_documents(text, trigger_check=lambda o: list(_triggers(registry, o)))
        objects += sum(not report.note for report in reports)
        rows += [row for report in reports for row in _rows(name, report)]
    errors = sum(row["severity"] == "error" for row in rows)
    if json:
        typer.echo(
            jsonlib.dumps({"objects": objects, "errors": errors, "findings": rows}, indent=2)
        )
    else:
        for row in rows:
            typer.echo(_line(row))
        typer.echo(f"{objects} objects checked, {errors} errors", err=True)
    raise typer.Exit(1 if errors else 0)


def _rows(file: str, report: DocumentReport) -> Iterator[dict[str, Any]]:
    place = {
        "file": file,
        "document": report.index,
        "object": f"{report.kind} {report.name}".strip(),
    }
    if report.note:
        yield {**place, "line": report.line, "severity": "note", "message": report.note}
    for finding in report.findings:
        problem = finding.problem
        yield {
            **place,
            "line": finding.line,
            "severity": "warning" if problem.is_warning else "error",
            "field": problem.field,
            "message": problem.message,
        }


def _line(row: dict[str, Any]) -> str:
    where = f"{row['file']}:{row['line']}" if "line" in row else row["file"]
    document = f" (document {row['document']})" if "document" in row else ""
    subject = f" {row['object']}:" if row.get("object") else ""
    field = f" {row['field']}:" if row.get("field") else ""
    return f"{where}{document}: {row['severity']}:{subject}{field} {row['message']}"


def _triggers(registry: ScalerRegistry, obj: ScaledObject | ScaledJob) -> Iterator[Problem]:
    """Check trigger types and parameters as far as the manifest alone allows."""
    from autoscaler.api.scaledobject import ScaledObject

    scaled = obj if isinstance(obj, ScaledObject) else None
    for index, trigger in enumerate(obj.spec.triggers):
        yield from _trigger(
            registry,
            trigger,
            index,
            is_keda=obj.api_version.startswith("keda.sh/"),
            is_metric_source=scaled is not None and scaled.modifiers is not None,
        )


def _trigger(
    registry: ScalerRegistry, trigger: Trigger, index: int, *, is_keda: bool, is_metric_source: bool
) -> Iterator[Problem]:
    from autoscaler.api.problems import Problem, ProblemReason
    from autoscaler.errors import TriggerConfigError, UnknownScalerError
    from autoscaler.sdk.scaler import TriggerContext

    place = f"spec.triggers[{index}]"
    try:
        scaler = registry.get(trigger.type)
    except UnknownScalerError as error:
        yield Problem(f"{place}.type", str(error), ProblemReason.NOT_SUPPORTED)
        return
    for sentence in scaler.config_type.unexpected_parameters(trigger.metadata):
        yield Problem(f"{place}.metadata", sentence, ProblemReason.UNKNOWN, is_warning=True)
    context = TriggerContext(
        trigger_index=index,
        trigger_name=trigger.name,
        metric_type=trigger.metric_type or None,
        is_metric_source=is_metric_source,
        safe_defaults=not is_keda,
    )
    try:
        registry.create(trigger.type, trigger.metadata, {}, {}, context)
    except TriggerConfigError as error:
        for parameter, message in _known_here(error.problems, trigger):
            field = f"{place}.metadata.{parameter}" if parameter else f"{place}.metadata"
            yield Problem(field, message)


def _known_here(problems: Sequence[tuple[str, str]], trigger: Trigger) -> Iterator[tuple[str, str]]:
    """Leave out what a TriggerAuthentication or an environment variable may still provide."""
    waits = trigger.authentication_ref is not None or any(
        key.endswith("FromEnv") for key in trigger.metadata
    )
    for parameter, message in problems:
        if parameter in trigger.metadata or not waits:
            yield parameter, message
