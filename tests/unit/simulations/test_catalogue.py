"""The shipped traces: complete, on their grid, with licences, gaps and units as documented."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.workload.catalogue import TRACES, load_trace, smoothed
from simulations.workload.trace import Trace, Unit

FOLDER = Path(str(files("simulations").joinpath("traces")))
SHIPPED_BYTES_MAX = 3_000_000


@pytest.mark.parametrize("name", TRACES)
def test_every_row_of_a_trace_lies_on_its_grid(name):
    """Rows follow each other at the listed step, so positions are times; values are counts."""
    listed = TRACES[name]
    text = gzip.decompress((FOLDER / listed.path).read_bytes()).decode()
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["timestamp", "value"]
    at = np.array([datetime.fromisoformat(row[0]).timestamp() for row in rows])
    assert set(np.diff(at)) == {listed.step_seconds}
    trace = load_trace(name)
    assert trace.start_at == at[0]
    assert len(trace.values) == len(rows)
    assert (trace.step_seconds, trace.unit) == (listed.step_seconds, listed.unit)
    assert np.isnan(trace.values).mean() < 0.05
    assert listed.licence in trace.source


def test_every_file_is_listed_has_a_licence_and_is_described():
    """No folder without a licence or notice and a line in the README, no file without a name."""
    shipped = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.csv.gz")}
    assert shipped == {listed.path for listed in TRACES.values()}
    readme = (FOLDER / "README.md").read_text()
    for folder in {path.split("/")[0] for path in shipped}:
        assert f"`{folder}`" in readme
        texts = [*FOLDER.glob(f"{folder}/LICENSE*"), *FOLDER.glob(f"{folder}/NOTICE*")]
        assert texts
        assert all(len(path.read_text(errors="replace")) > 500 for path in texts)
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < SHIPPED_BYTES_MAX


@pytest.mark.parametrize(("name", "gaps"), [("worldcup98", 10), ("llm-mid", 84), ("llm-small", 37)])
def test_zeros_that_are_gaps_of_the_recording_are_missing(name, gaps):
    """As many zeros as the sources are known to have holes became missing; none is left."""
    values = load_trace(name).values
    assert np.isnan(values).sum() == gaps
    assert not (values == 0).any()


def test_real_zeros_stay():
    """An outage of a machine and nights without tweets are no gaps."""
    assert (load_trace("machine-01").values == 0).sum() == 8
    assert (load_trace("tweets-fb").values == 0).sum() == 40


def test_units_give_the_known_totals():
    """The world cup site had 1.35e9 requests; the shop's mean rate is that of its source."""
    cup = load_trace("worldcup98")
    assert np.nansum(cup.per_second()) * cup.step_seconds == pytest.approx(1.35e9, rel=0.01)
    assert np.nanmean(load_trace("ecommerce").per_second()) == pytest.approx(72.23, abs=0.01)
    assert np.nanmean(load_trace("taxi").per_second()) == pytest.approx(15_140 / 1800, rel=0.001)


def test_unknown_names_get_a_guess_and_the_list():
    """A misspelt name is answered with the nearest and all names."""
    with pytest.raises(SimulationError, match=r'did you mean "taxi"\?; there are: worldcup98, '):
        load_trace("taxii")


def trace_of(values: list[float], step: float = 60) -> Trace:
    """Return a trace of rates."""
    return Trace(name="t", start_at=0, step_seconds=step, values=np.array(values, dtype=float))


def test_smoothing_is_a_centred_mean_of_what_is_known():
    """Edges take what there is; a missing value stays missing and counts for no neighbour."""
    trace = smoothed(trace_of([0, 3, 6, np.nan, 8, 8]), 180)
    np.testing.assert_allclose(trace.values, [1.5, 3, 4.5, np.nan, 8, 8])
    assert trace.unit is Unit.PER_SECOND


@given(
    values=st.lists(st.one_of(st.integers(0, 1000), st.just(float("nan"))), min_size=1, max_size=30)
    .filter(lambda values: any(value == value for value in values)),  # noqa: PLR0124
    seconds=st.floats(0, 1e5),
)  # fmt: skip
def test_smoothing_keeps_bounds_length_and_gaps(values, seconds):
    """Of any width, even beyond the trace: no value leaves the range, no gap is filled."""
    trace = trace_of(values)
    values = smoothed(trace, seconds).values
    np.testing.assert_array_equal(np.isnan(values), np.isnan(trace.values))
    assert np.nanmin(values) >= np.nanmin(trace.values) - 1e-9
    assert np.nanmax(values) <= np.nanmax(trace.values) + 1e-9
    if seconds < 60:
        np.testing.assert_array_equal(values, trace.values)
