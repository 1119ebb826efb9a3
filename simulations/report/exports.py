"""Results for other programs: JSON, and JUnit XML for CI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from simulations.score.criteria import Criterion
from simulations.score.score import Score


def to_json(scores: Sequence[Score], failures: Sequence[str], **facts: Any) -> bytes:
    """Return scores, failed criteria and facts as indented JSON."""
    document = {
        **facts,
        "failures": list(failures),
        "scores": [
            {
                **msgspec.to_builtins(score),
                "violation_ratio": score.violation_ratio,
                "changes_per_hour": score.changes_per_hour,
            }
            for score in scores
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def to_junit(suite: str, scores: Sequence[Score], criteria: Sequence[Criterion]) -> bytes:
    """Return one test case per run and criterion, failed where the run meets the criterion."""
    cases = [(score, criterion) for score in scores for criterion in criteria]
    failed = sum(criterion.is_met(score) for score, criterion in cases)
    root = ET.Element(
        "testsuite", name=suite, tests=str(len(cases)), failures=str(failed), errors="0"
    )
    for score, criterion in cases:
        case = ET.SubElement(
            root, "testcase", classname=f"{suite}.{score.name}", name=f"not {criterion.text}"
        )
        if criterion.is_met(score):
            found = f"{criterion.field} is {criterion.value(score):.6g}"
            ET.SubElement(case, "failure", message=found).text = f"{found}: fails {criterion.text}"
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
