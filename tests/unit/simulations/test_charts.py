"""Charts: what they show, and that nothing but the run decides about their bytes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from simulations.engine.run import Change
from simulations.report.charts import MARKS, comparison_chart, frontier_chart, run_chart
from simulations.report.drawing import PIXELS, extremes, panels, to_bytes
from simulations.score.frontier import Point
from simulations.score.score import late_per_step
from tests.unit.simulations.made_runs import Simple, busy_run, made_run

SVG = "{http://www.w3.org/2000/svg}"


def drawn(run, kind="svg"):
    """Return the chart of a run."""
    return run_chart(run, late_per_step(run, Simple()), kind=kind, title="web & more")


def texts(svg):
    """Return every text of a chart."""
    return ["".join(found.itertext()) for found in ET.fromstring(svg).iter(f"{SVG}text")]


def hover_titles(svg):
    """Return what shows when the pointer rests on something."""
    root = ET.fromstring(svg)
    return {
        group.get("id"): title.text
        for group in root.iter(f"{SVG}g")
        for title in group.findall(f"{SVG}title")
    }


def policies(count):
    """Return as many policies, each a point of its own."""
    return [(f"p{at}", [Point(1 + at, 0.01 / (at + 1), at)]) for at in range(count)]


DRAWINGS = {
    "run": lambda kind: drawn(busy_run(), kind),
    "comparison": lambda kind: comparison_chart(
        [("one", busy_run()), ("other", busy_run())], kind=kind
    ),
    "frontier": lambda kind: frontier_chart(policies(9), kind=kind, budget=0.005),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_charts_are_images(name):
    """SVG parses and loads nothing; PNG begins as PNG does."""
    svg = DRAWINGS[name]("svg")
    for element in ET.fromstring(svg).iter():
        for attribute, value in element.attrib.items():
            if attribute.endswith("href"):
                assert value.startswith("#")
    assert DRAWINGS[name]("png").startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_equal_runs_give_equal_bytes(name, kind):
    """Neither the time nor the user's settings of matplotlib change anything, nor are changed."""
    first = DRAWINGS[name](kind)
    mine = {"axes.labelsize": 30, "xtick.direction": "in", "svg.hashsalt": "mine"}
    with mpl.rc_context(mine):
        assert DRAWINGS[name](kind) == first
        assert {key: mpl.rcParams[key] for key in mine} == mine


def test_equal_runs_give_equal_bytes_in_other_processes():
    """The hash seed of the interpreter changes nothing."""
    code = (
        "import sys; from tests.unit.simulations.test_charts import DRAWINGS;"
        "sys.stdout.buffer.write(DRAWINGS['run']('svg'))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] == DRAWINGS["run"]("svg")


def test_the_last_bits_of_a_layout_do_not_matter():
    """Positions are rounded before names are made from them: the solver's differ by process."""
    figure, axes = panels((2, 1), height=3)
    axes[0].set_ylabel("something wide")
    to_bytes(figure, "svg")
    for one in axes:
        assert [round(edge, 4) for edge in one.get_position().bounds] == pytest.approx(
            one.get_position().bounds, abs=1e-12
        )
    before = [one.get_position().bounds for one in axes]
    axes[0].set_ylabel("wide\nand high")
    figure.draw_without_rendering()
    assert [one.get_position().bounds for one in axes] == before


def test_axes_have_names_and_units():
    """Every axis says what it shows; the title is there as written."""
    found = texts(drawn(busy_run()))
    for wanted in ("requests / s", "replicas", "requests", "late, %", "time (UTC)", "web & more"):
        assert wanted in found


def test_every_change_tells_why():
    """Each mark has the change and its derivation as hover title, failed writes among them."""
    run = busy_run()
    found = hover_titles(drawn(run))
    assert list(found) == [f"change-{number}" for number in range(len(run.changes))]
    assert found["change-0"] == f"3 to 4: {run.changes[0].why}"
    assert list(found.values())[-1] == "3 to 9: of no avail"
    assert "write failed" in texts(drawn(run))


def test_derivations_are_text_not_markup():
    """What a derivation holds cannot end the title."""
    run = busy_run()
    change = replace(run.changes[0], why="a < b && </title><script>")
    found = hover_titles(drawn(replace(run, changes=(change,))))
    assert found == {"change-0": "3 to 4: a < b && </title><script>"}


def test_of_very_many_changes_the_largest_are_marked():
    """The chart says how many there are, and the largest are among the marked."""
    changes = [Change(at, 2, 3) for at in range(2000)]
    changes[1234] = Change(1234, 2, 90)
    run = made_run(per_second=[20] * 2000, serving=[2] * 2000, changes=changes)
    svg = drawn(run)
    found = hover_titles(svg)
    assert len(found) == MARKS
    assert found["change-1234"] == "2 to 90"
    numbers = sorted(int(name.partition("-")[2]) for name in found)
    assert max(np.diff(numbers)) < 20, "marks leave out a part of the run"
    assert f"scaled up, {MARKS} largest of 2000" in texts(svg)


def test_unknown_load_is_a_gap_that_is_named():
    """It is neither zero nor a line across: what stands there in the run is not drawn."""
    run = busy_run()
    assert "load not known, not scored" in texts(drawn(run))
    other = replace(run, arrivals=np.where(run.known, run.arrivals, 7.0))
    assert drawn(other) == drawn(run)
    whole = replace(run, known=np.ones(run.steps, dtype=bool))
    assert "load not known, not scored" not in texts(drawn(whole))


def test_nothing_late_and_nothing_waiting_is_said():
    """Empty panels say that they are meant to be empty."""
    found = texts(drawn(made_run(per_second=[10, 20], serving=[1, 2])))
    assert "requests that wait: none" in found
    assert "requests that are late: none" in found


def test_a_run_of_one_step_can_be_drawn():
    """The shortest run has a chart too, and its step is as wide as the chart."""
    assert drawn(made_run(per_second=[0], serving=[0]))
    one, two = (
        drawn(made_run(per_second=[20] * steps, serving=[2] * steps, step_seconds=120.0 / steps))
        for steps in (1, 2)
    )
    assert one == two


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=50),
    st.integers(1, 7 * PIXELS),
)
def test_no_peak_is_lost_in_long_series(values, steps):
    """The extremes of each pixel are those of the values in it; unknown ones are no zeros."""
    series = np.resize(np.array(values), steps)
    edges, lows, highs = extremes(series)
    assert len(edges) <= PIXELS
    for low, high, part in zip(lows, highs, np.split(series, edges[1:]), strict=True):
        known = part[~np.isnan(part)]
        if len(known):
            assert (low, high) == (known.min(), known.max())
        else:
            assert np.isnan(low)
            assert np.isnan(high)


def test_long_runs_keep_their_peak_and_stay_small():
    """One step of 14 days at 5 s is seen: the curve reaches its height; a page stays loadable."""
    steps = 14 * 17_280
    rate = 100 + 50 * np.sin(np.arange(steps) / 3000) + np.arange(steps) % 7
    peaked = rate.copy()
    peaked[123_456] = 4000
    serving = np.full(steps, 500)

    def top_label(per_second):
        run = made_run(
            per_second=per_second, serving=serving, step_seconds=5.0, capacity=np.zeros(steps)
        )
        svg = drawn(run)
        assert len(svg) < 500_000
        return max(int(text) for text in texts(svg) if re.fullmatch(r"\d{4}", text))

    assert top_label(peaked) == 4000


def test_the_frontier_of_single_policies_is_drawn():
    """Those that others beat are not on the line; no violations at all have a place to be."""
    beaten = [*policies(4), ("beaten", [Point(9.0, 0.5, 4)]), ("perfect", [Point(12.0, 0.0, 5)])]
    found = texts(frontier_chart(beaten, budget=0.005))
    assert {"frontier", "budget", "beaten", "perfect", "none"} <= set(found)
    assert "frontier" not in texts(frontier_chart(beaten[:1]))


def test_shares_too_small_to_matter_are_not_told_apart():
    """The axis ends where tables say less than 0.001 %."""
    tiny = [("a", [Point(1.0, 1e-9, 0)]), ("b", [Point(2.0, 0.0, 1)]), ("c", [Point(0.5, 0.01, 2)])]
    assert "<0.001" in texts(frontier_chart(tiny))


def test_the_knee_is_marked_on_the_first_series():
    """Candidates have their own frontier and the knee is on it."""
    cloud = [Point(10.0, 0.1, 0), Point(12.0, 0.02, 1), Point(30.0, 0.001, 2)]
    found = texts(frontier_chart([("candidates", cloud), ("tuned", cloud[1:2])], marks_knee=True))
    assert {"knee", "frontier of candidates", "tuned"} <= set(found)
