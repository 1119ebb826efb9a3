"""The random specs the HPA and we are compared on."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from autoscaler.api.hpa import validate_hpa_spec
from autoscaler.api.validate import check_raw
from tests.e2e.hpa.cases import LOOKS, Case, random_cases
from tests.e2e.hpa.manifests import autoscaler, scaled_object


@pytest.mark.parametrize("seed", range(20))
def test_cases_are_valid_for_both(seed: int) -> None:
    """The HPA's rules and ours accept every spec, and every series is as long as the run."""
    for case in random_cases(seed):
        assert validate_hpa_spec(autoscaler(case)["spec"]) == []
        found = check_raw(scaled_object(case, "https://localhost:1")).problems
        assert [problem for problem in found if not problem.is_warning] == []
        assert sum(step.looks for step in case.series) == LOOKS
        assert case.minimum <= case.replicas <= case.maximum


def test_cases_cover_what_a_spec_can_say() -> None:
    """Thirty of the seed that runs: targets, behavior in all its parts, failing sources."""
    cases = random_cases()
    assert len(cases) == 30
    counted = Counter(word for case in cases for word in words(case))
    assert {word: counted[word] for word in EXPECTED if counted[word] < 2} == {}


EXPECTED = [
    "AverageValue",
    "Value",
    "Utilization",
    "cpu",
    "two-metrics",
    "no-behavior",
    "stabilizationWindowSeconds",
    "Pods",
    "Percent",
    "Max",
    "Min",
    "Disabled",
    "tolerance",
    "error",
]


def words(case: Case) -> set[str]:
    """Return what a case is about."""
    found = {metric.target_type for metric in case.metrics}
    found |= {"cpu"} if any(metric.is_cpu for metric in case.metrics) else set()
    found |= {"two-metrics"} if len(case.metrics) > 1 else set()
    found |= {"no-behavior"} if case.behavior is None else set()
    found |= {"error"} if any(None in step.values for step in case.series) else set()
    written = json.dumps(case.behavior)
    return found | {word for word in EXPECTED if f'"{word}"' in written}
