"""Replay of what the API server makes of HPA specs: defaults and validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.api.hpa import default_hpa_spec, validate_hpa_spec
from tests.golden.replay import Case, Outcome, replays


@replays("hpa/defaults")
def replay_defaults(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Compare the defaulted spec with the one the API server stored."""
    assert default_hpa_spec(case["hpa_spec"]) == case["hpa_spec_defaulted"]
    return None


@replays("hpa/validation")
def replay_validation(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Compare the fields refused and the kind of each refusal; the wording is our own.

    The API server repeats some problems of one field; once is enough for people.
    """
    spec = default_hpa_spec(case["hpa_spec"])
    problems = validate_hpa_spec(spec, scale_to_zero=case["feature_gate_HPAScaleToZero"])
    found = {(problem.field, problem.reason.value) for problem in problems}
    expected = {(error["field"], error["type"]) for error in case["errors"]}
    assert found == expected, f"{sorted(found)} instead of {sorted(expected)}"
    return None
