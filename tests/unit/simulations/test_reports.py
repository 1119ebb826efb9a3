"""Reports for people and programs: pages that need no network, tables, JSON, JUnit."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace
from rich.console import Console

from simulations.engine.run import Change
from simulations.report.charts import frontier_chart, run_chart
from simulations.report.comparison import certainty_table, sensitivity_table
from simulations.report.console import show
from simulations.report.exports import to_json, to_junit
from simulations.report.html import Chart, Page, render
from simulations.report.tables import (
    Table,
    changes_table,
    days_table,
    elasticity_table,
    percent,
    score_table,
)
from simulations.score.criteria import parse_criterion
from simulations.score.frontier import Point
from simulations.score.score import DayScore, late_per_step, score
from tests.unit.simulations.made_runs import MIDNIGHT, Simple, busy_run, made_run

VOID = {"meta", "br", "hr", "img", "link", "input"}
LOADING = {"src", "href", "xlink:href", "srcset", "data", "action", "poster"}


class Outline(HTMLParser):
    """Checks that tags are closed in order; gathers names, references and what would be loaded."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.names, self.references, self.loads = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        """Note an element that stays open."""
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note an element without content."""
        self._note(tag, attrs)

    def handle_endtag(self, tag):
        """Close the element opened last."""
        assert self.open.pop() == tag

    def _note(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.names.append(value)
            if name in LOADING:
                (self.references if value.startswith("#") else self.loads).append(value.lstrip("#"))
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")


def page(**changes):
    """Return a page with everything a page can have."""
    run = busy_run()
    svg = run_chart(run, late_per_step(run, Simple()))
    found = score(run, table=Simple())
    made = Page(
        title="Simulation: <web> & co",
        lead=("It cost 12.",),
        failures=("web: cost is 12, which fails cost>10",),
        parts=(
            score_table([found]),
            Chart(title='web "first"', svg=svg, note="first seed"),
            Chart(title="again", svg=svg),
            Chart(title="frontier", svg=frontier_chart([("web", [Point(1.0, 0.1, 0)])])),
            changes_table(run),
            elasticity_table([found, found]),
        ),
        code="spec:\n  minReplicaCount: 2 # <two>\n",
        facts=(("seeds", "3"),),
    )
    return replace(made, **changes)


def test_a_page_needs_nothing_from_outside():
    """No script, no link, no image, no import: what it shows is in it, and every name once."""
    text = render(page())
    outline = Outline(text)
    assert outline.loads == []
    assert not {"script", "link", "iframe", "object", "embed"} & set(outline.tags)
    assert "@import" not in text
    assert outline.tags.count("svg") == 3
    assert len(outline.names) == len(set(outline.names)) > 50
    assert set(outline.references) <= set(outline.names)
    assert outline.references


def test_a_page_suits_phones_and_both_colour_schemes():
    """It is as wide as the screen, wide parts scroll by themselves, charts take the text colour."""
    text = render(page())
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "prefers-color-scheme: dark" in text
    assert text.count('<div class="scroll">') == 6
    assert 'role="img" aria-label="web &quot;first&quot;"' in text
    assert "currentColor" in text


def test_a_page_shows_what_it_was_given_as_text():
    """Titles, failures, derivations and YAML appear as written; markup in them is none."""
    text = render(page())
    assert "<h1>Simulation: &lt;web&gt; &amp; co</h1>" in text
    assert '<p class="fail">web: cost is 12, which fails cost&gt;10</p>' in text
    assert "minReplicaCount: 2 # &lt;two&gt;" in text
    assert "rate [" in text
    assert "Ready to apply" not in render(page(code=""))


def test_equal_pages_are_equal_bytes():
    """A report that is made again changes nothing in a repository."""
    assert render(page()) == render(page())


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.0, "0.000 %"),
        (1e-9, "<0.001 %"),
        (0.005, "0.500 %"),
        (0.12345, "12.35 %"),
        (1, "100.00 %"),
    ],
)
def test_shares_are_shown_in_percent(ratio, text):
    """A share that is not zero is never shown as zero."""
    assert percent(ratio) == text


def test_one_run_is_shown_figure_by_figure():
    """Each figure has its name; nodes only where there are any."""
    run = made_run(per_second=[20] * 60, serving=[1] * 60, created=[3] + [0] * 59)
    rows = dict(score_table([score(run, table=Simple())]).rows)
    assert rows["cost"] == "2.0"
    assert rows["late"] == "50.00 %"
    assert rows["pods created"] == "3"
    assert "node hours" not in rows
    with_nodes = made_run(per_second=[20], serving=[1], nodes=[60])
    assert dict(score_table([score(with_nodes, table=Simple())]).rows)["node hours"] == "1.0"


def test_several_runs_are_shown_beside_the_first():
    """Costs are ratios to the first row; without a cost there is no ratio."""
    one = score(made_run(per_second=[10], serving=[2]), table=Simple())
    rows = score_table([one, replace(one, name="dear", cost=3 * one.cost)]).rows
    assert [row[2] for row in rows] == ["1.000", "3.000"]
    free = replace(one, cost=0.0)
    assert [row[2] for row in score_table([free, free]).rows] == ["-", "-"]


def test_days_are_calendar_days():
    """From 18:00 on the first day has six hours."""
    run = made_run(
        per_second=[20] * 1440, serving=[1] * 720 + [2] * 720, start_at=MIDNIGHT + 18 * 3600
    )
    assert [row[0] for row in days_table(run).rows] == ["2023-11-15", "2023-11-16"]
    assert [row[3] for row in days_table(run).rows] == ["6.0", "30.0"]
    assert [row[3] for row in days_table(run, from_step=360).rows] == ["30.0"]


def test_changes_are_listed_with_their_derivation():
    """Times are since the start; of very many changes the table says how many it leaves out."""
    changes = [Change(61, 1, 3, why="rate"), Change(90, 3, 2, succeeded=False)] * 3
    run = made_run(per_second=[1] * 100, serving=[1] * 100, changes=changes)
    table = changes_table(run, most=2)
    assert table.rows == (("1:01:00", "1 -> 3", "rate"), ("1:30:00", "3 -> 2 (failed)", ""))
    assert table.note == "4 more are not shown"
    assert not changes_table(run).note


def with_days(name, costs, late):
    """Return the score of a policy with these days of 1000 requests each."""
    one = score(made_run(per_second=[10], serving=[1]), table=Simple())
    days = tuple(
        DayScore(begin_at=0.0, requests=1000.0, late=tardy, replica_hours=cost, cost=cost)
        for cost, tardy in zip(costs, late, strict=True)
    )
    return replace(
        one, name=name, days=days, cost=sum(costs), late=sum(late), requests=1000.0 * len(days)
    )


def test_certainty_is_about_cost_and_late_requests():
    """A policy that is cheaper every day by a tenth and has two more of 1000 late every day."""
    costs = [10.0, 20.0, 30.0]
    base = with_days("base", costs, [1.0, 5.0, 3.0])
    other = with_days("other", [0.9 * cost for cost in costs], [3.0, 7.0, 5.0])
    table = certainty_table([base, other])
    assert table.rows == (
        (
            "other",
            "0.900",
            "0.900 to 0.900",
            "cheaper",
            "+0.200",
            "+0.200 to +0.200",
            "more",
        ),
    )


def test_what_chance_may_explain_is_open():
    """A policy that is cheaper on one day and dearer on the other has not won."""
    base = with_days("base", [10.0, 10.0], [1.0, 1.0])
    other = with_days("other", [5.0, 12.0], [0.0, 2.0])
    (row,) = certainty_table([base, other]).rows
    assert (row[3], row[6]) == ("open", "open")


def test_without_two_days_or_a_cost_there_is_no_certainty():
    """Nothing is shown rather than something unfounded."""
    one = with_days("one", [10.0], [1.0])
    two = with_days("two", [0.0, 0.0], [1.0, 1.0])
    assert certainty_table([one, one]) is None
    assert certainty_table([two, two]) is None
    assert certainty_table([with_days("alone", [1.0, 2.0], [0.0, 0.0])]) is None


def test_unstable_ranks_are_marked():
    """The table says NO and stresses the row."""
    one, two = with_days("one", [10.0], [1.0]), with_days("two", [12.0], [0.0])
    table = sensitivity_table(
        [("as assumed", [one, two]), ("lag x2", [two, one])], [True, False], note="why"
    )
    assert table.header == ("policy", "as assumed", "lag x2", "ranks alike")
    assert table.rows[0] == ("one", "10 / 0.100 %", "12 / 0.000 %", "yes")
    assert table.rows[1][-1] == "NO"
    assert table.marked == (1,)


def test_the_console_shows_brackets_as_written():
    """What looks like markup in names and derivations is text."""
    console = Console(file=io.StringIO(), width=100)
    show(
        console,
        Table(
            title="[b]T",
            header=("a[/]", "why"),
            rows=(("web [red]", "asks for 3 [200m]"),),
            note="[x]",
        ),
    )
    text = console.file.getvalue()
    for wanted in ("[b]T", "a[/]", "web [red]", "asks for 3 [200m]", "[x]"):
        assert wanted in text


SCORE = replace(score(made_run(per_second=[20], serving=[1]), table=Simple()), name="a<b>&c")
CRITERIA = [parse_criterion(text) for text in ("slo_violation>0.5%", "dropped>0")]


def test_junit_has_a_case_per_run_and_criterion():
    """Counts add up, failures say what was found, names survive as written."""
    text = to_junit("bench", [SCORE, SCORE], CRITERIA)
    root = ET.fromstring(text)
    assert (root.tag, root.attrib) == (
        "testsuite",
        {"name": "bench", "tests": "4", "failures": "2", "errors": "0"},
    )
    cases = root.findall("testcase")
    assert [case.get("name") for case in cases] == [
        "not slo_violation>0.5%",
        "not dropped>0",
    ] * 2
    assert {case.get("classname") for case in cases} == {"bench.a<b>&c"}
    failed = [case.find("failure") for case in cases]
    assert [failure is not None for failure in failed] == [True, False, True, False]
    assert failed[0].get("message") == "slo_violation is 0.5"
    assert "fails slo_violation>0.5%" in failed[0].text
    assert text == to_junit("bench", [SCORE, SCORE], CRITERIA)


def test_junit_without_criteria_is_an_empty_suite():
    """Nothing was asked, nothing failed."""
    root = ET.fromstring(to_junit("bench", [SCORE], []))
    assert root.get("tests") == root.get("failures") == "0"
    assert list(root) == []


def test_json_holds_scores_failures_and_facts():
    """Numbers are numbers, derived figures are there, and the same result is the same text."""
    text = to_json([SCORE], ["one failed"], scenario="web")
    found = json.loads(text)
    assert found["scenario"] == "web"
    assert found["failures"] == ["one failed"]
    (first,) = found["scores"]
    assert first["violation_ratio"] == 0.5
    assert first["late"] == SCORE.late
    assert first["elasticity"]["tau_u"] == 100.0
    assert first["days"][0]["begin_at"] == MIDNIGHT
    assert text == to_json([SCORE], ["one failed"], scenario="web")
