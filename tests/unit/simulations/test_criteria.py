"""Criteria of ``--fail-on``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from simulations.errors import SimulationError
from simulations.report.exports import to_json
from simulations.score.criteria import FIELDS, failures, parse_criterion
from simulations.score.score import score
from tests.unit.simulations.made_runs import Simple, made_run

SCORE = replace(
    score(made_run(per_second=[20, 10], serving=[1, 2]), table=Simple()), cost=120.0, dropped=0.0
)
"""A third of the requests is late."""


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("slo_violation>33%", True),
        ("slo_violation > 0.34", False),
        ("slo_violation<=33.4%", True),
        ("cost>120", False),
        ("cost>=120", True),
        ("cost<1.3e2", True),
        (" replica_hours>=1000 ", False),
        ("dropped>0", False),
        ("peak_replicas>1", True),
        ("worst_5m>=0", True),
    ],
)
def test_criteria_compare_a_figure_with_a_limit(text, fails):
    """Percent are hundredths; spaces do not matter."""
    assert parse_criterion(text).is_met(SCORE) is fails
    assert bool(failures([parse_criterion(text)], SCORE)) is fails


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_can_be_looked_at(field):
    """A limit below zero would be exceeded by any figure."""
    assert parse_criterion(f"{field}>=0").is_met(SCORE)


def test_failures_say_what_was_found():
    """One sentence per criterion that failed, in order; the others are silent."""
    criteria = [parse_criterion(text) for text in ("cost>100", "late>1e9", "slo_violation>0.5%")]
    assert failures(criteria, SCORE) == [
        "web: cost is 120, which fails cost>100",
        "web: slo_violation is 0.333333, which fails slo_violation>0.5%",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be FIELD>NUMBER"),
        ("cost", "must be FIELD>NUMBER"),
        ("cost=3", "must be FIELD>NUMBER"),
        ("cost>", "must be FIELD>NUMBER"),
        ("cost>abc", "must be FIELD>NUMBER"),
        ("cost>1>2", "must be FIELD>NUMBER"),
        ("cost>1.2.3", '"1.2.3" is no number'),
        ("cost>1e999", '"1e999" is no number'),
        ("slo_violations>1%", 'no field "slo_violations", perhaps "slo_violation" is meant'),
        ("euros>1", 'no field "euros" (fields: slo_violation, '),
        ("cost>120%", "cost is no share; write it without %"),
        ("slo_violation>5", "a share is between 0 and 1; write 0.5% or 0.005"),
        ("worst_5m>120%", "a share is between 0 and 1"),
        ("slo_violation>1", "slo_violation can never be that"),
        ("slo_violation>100%", "slo_violation can never be that"),
        ("cost<0", "cost can never be that"),
        ("late<=-1", "late can never be that"),
    ],
)
def test_what_is_no_criterion_is_refused(text, said):
    """The message quotes what was written and says what is accepted."""
    with pytest.raises(SimulationError, match=re.escape(f'criterion "{text}": ')) as caught:
        parse_criterion(text)
    assert said in str(caught.value)


def test_every_field_is_documented():
    """The reference lists exactly the fields there are, each with the name it has in JSON."""
    page = (Path(__file__).parents[3] / "docs/reference/reports.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(field for field, _ in listed) == sorted(FIELDS)
    (found,) = json.loads(to_json([SCORE], []))["scores"]
    for field, name in listed:
        assert found[name] == FIELDS[field](SCORE)
