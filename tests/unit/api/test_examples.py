"""The examples people copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.api.parse import FLYBALL_API, KEDA_API
from autoscaler.api.validate import validate_documents

EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "examples").rglob("*.yaml"))
OURS = [path for path in EXAMPLES if path.parent.name != "keda"]
"""Those that are written for our own controller alone."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    """Every object of every example is checked and without even a warning."""
    reports = validate_documents(path.read_text())
    assert reports
    assert [(r.name, r.note, r.problems) for r in reports if r.note or r.problems] == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_a_changed_group_changes_nothing_else(path: Path) -> None:
    """The same manifest is valid as KEDA's own object."""
    text = path.read_text()
    assert FLYBALL_API in text
    reports = validate_documents(text.replace(FLYBALL_API, KEDA_API))
    assert all(report.is_valid and report.api_version == KEDA_API for report in reports)
