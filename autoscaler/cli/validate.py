"""``flyball validate``: every problem of a manifest, before it reaches a cluster."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from autoscaler.api.validate import DocumentReport


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
    from autoscaler.collect.trigger_check import check_triggers
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
        reports = validate_documents(text, trigger_check=partial(check_triggers, registry))
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
