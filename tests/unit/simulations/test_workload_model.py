"""The workload section: every source and option, and what is said about mistakes."""

from __future__ import annotations

import contextlib
import json
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.workload.catalogue import TRACES, load_trace, smoothed
from simulations.workload.model import SOURCES, build_trace, workload_of
from simulations.workload.trace import Trace, Unit

DAY = 86_400


def built(text: str, folder: Path = Path("nowhere")) -> Trace:
    """Return the trace of a section in YAML."""
    raw = yaml.safe_load(textwrap.dedent(text))
    return build_trace(workload_of(raw), folder, now=1e9)


def refused(text: str) -> SimulationError:
    """Return why a section is refused."""
    with pytest.raises(SimulationError) as caught:
        built(text)
    return caught.value


def test_a_window_of_a_shipped_trace_at_a_given_peak():
    """Cutting comes first, so the peak is that of the window."""
    trace = built(
        "{trace: worldcup98, from_seconds: 86400, duration_seconds: 172800, peak_per_second: 400}"
    )
    whole = load_trace("worldcup98")
    assert trace.start_at == whole.start_at + DAY
    assert trace.duration_seconds == 2 * DAY
    rates = trace.per_second()
    assert np.nanquantile(rates, 0.999) == pytest.approx(400)
    shape = whole.per_second()[1440 : 3 * 1440]
    np.testing.assert_allclose(rates / rates[0], shape / shape[0])


def test_a_window_from_the_end():
    """Negative seconds count from the end."""
    trace = built("{trace: taxi, from_seconds: -86400}")
    np.testing.assert_array_equal(trace.values, load_trace("taxi").values[-48:])


def test_generators_are_named_in_the_shape():
    """A shape is a generator with its parameters."""
    trace = built("""
        shape: {generator: step, before_per_second: 1, after_per_second: 9, at_seconds: 120,
                duration_seconds: 240}
        scale: 2
        repeat: 2
        name: twice
    """)
    assert trace.values.tolist() == [2, 2, 18, 18, 2, 2, 18, 18]
    assert trace.name == "twice"


def test_files_beside_the_scenario(tmp_path):
    """Paths are relative to the scenario; columns and unit can be named."""
    (tmp_path / "load.csv").write_text("at,hits\n0,60\n60,\n120,180\n")
    columns = "time_column: at, value_column: hits, unit: per_step"
    trace = built(f"{{csv: load.csv, {columns}}}", tmp_path)
    np.testing.assert_array_equal(trace.per_second(), [1, np.nan, 3])
    pq.write_table(pa.table({"at": [0, 60], "hits": [60, 120]}), tmp_path / "load.parquet")
    trace = built(f"{{parquet: load.parquet, {columns}}}", tmp_path)
    assert trace.per_second().tolist() == [1, 2]
    assert trace.unit is Unit.PER_STEP


def test_a_journal_beside_the_scenario(tmp_path):
    """Saved answers of the service are a source, with the metric to take."""
    history = [
        {"at": at, "from": 1, "to": 1, "outcome": "unchanged", "readings": {"hits": at}}
        for at in (60, 120)
    ]
    answer = {"kind": "ScaledObject", "namespace": "shop", "name": "web", "readings": []}
    (tmp_path / "web.json").write_text(json.dumps({**answer, "history": history}))
    trace = built(
        "{journal: web.json, metric: hits, every_seconds: 20, hold_seconds: 20}", tmp_path
    )
    np.testing.assert_array_equal(trace.values, [60, 60, np.nan, 120])


def test_sums_last_as_long_as_the_shortest():
    """Parts are added from their beginnings on, at the finer step."""
    trace = built("""
        sum:
        - shape: {generator: constant, per_second: 5, step_seconds: 30, duration_seconds: 120}
        - shape: {generator: constant, per_second: 2, step_seconds: 60, duration_seconds: 180}
          scale: 0.5
    """)
    assert trace.step_seconds == 30
    assert trace.values.tolist() == [6, 6, 6, 6]


def test_overlays_leave_the_length():
    """A flash crowd on top of another workload begins where it is told to and ends by itself."""
    trace = built("""
        shape: {generator: constant, per_second: 5, duration_seconds: 300}
        overlay:
        - shape: {generator: constant, per_second: 2, duration_seconds: 60}
          at_seconds: 120
        - shape: {generator: constant, per_second: 1, duration_seconds: 600}
          at_seconds: 240
    """)
    assert trace.values.tolist() == [5, 5, 7, 5, 6]


def test_smoothing_is_a_centred_mean():
    """``smooth_seconds`` is what the catalogue does to traces of small counts."""
    trace = built("{trace: taxi, smooth_seconds: 9000}")
    np.testing.assert_array_equal(trace.values, smoothed(load_trace("taxi"), 9000).values)


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("{}", "workload", f"has no source, must have exactly one of {', '.join(SOURCES)}"),
        ("{trace: taxi, csv: x}", "workload", "has trace and csv, must have exactly one"),
        ("{trace: taxy}", "", 'no trace "taxy", did you mean "taxi"?; there are: worldcup98'),
        ("{tracee: taxi}", "workload", "unknown field `tracee`"),
        ("taxi", "workload", "Expected `object`, got `str` (it is 'taxi')"),
        ("", "workload", "Expected `object`, got `null`"),
        ("{trace: taxi, scale: -1}", "workload.scale", ">= 0.0 (it is -1)"),
        ("{trace: taxi, scale: 1e3}", "workload.scale", "got `str` (it is '1e3')"),
        ("{trace: taxi, scale: .inf}", "workload.scale", "is inf, must be a finite number"),
        ("{trace: taxi, repeat: 2000}", "", "would have 20640000 steps, must be at most 20000000"),
        ("{trace: taxi, repeat: 0}", "workload.repeat", ">= 1 (it is 0)"),
        ("{trace: taxi, repeat: 1.5}", "workload.repeat", "(it is 1.5)"),
        ("{trace: taxi, unit: per_hour}", "workload.unit", "'per_hour'"),
        ("{trace: taxi, unit: per_step}", "workload.unit", "with csv and parquet only"),
        ("{csv: x, days: 2}", "workload.days", "with prometheus only, the source is csv"),
        ("{trace: taxi, at_seconds: 5}", "workload.at_seconds", "within an overlay only"),
        ("{trace: taxi, from_seconds: 1.0e+9}", "", "nothing is left from 1e+09 s"),
        ("{shape: {generator: wave}}", "workload.shape.generator", "'wave'"),
        ("{shape: {per_second: 1}}", "workload.shape", "missing required field `generator`"),
        (
            "{shape: {generator: constant, per_second: -1}}",
            "workload.shape.per_second",
            ">= 0.0 (it is -1)",
        ),
        (
            "{shape: {generator: constant, per_second: 1, duration_seconds: 1.0e+12}}",
            "duration_seconds",
            "must be at most 20000000",
        ),
        (
            "{sum: [{trace: taxi}, {trace: taxi, scale: x}]}",
            "workload.sum[1].scale",
            "(it is 'x')",
        ),
        ("{sum: [{trace: taxi}, {}]}", "workload.sum[1]", "workload.sum[1] has no source"),
        ("{sum: [{trace: taxi, at_seconds: 5}]}", "workload.sum[0].at_seconds", "overlay only"),
        ("{sum: []}", "", "nothing to put together"),
        (
            "{trace: taxi, overlay: [{trace: taxi, metric: x}]}",
            "workload.overlay[0].metric",
            "with journal only",
        ),
        ("{prometheus: {url: prometheus}, query: up}", "prometheus.url", "must be an address"),
        ("{prometheus: {url: 'http://x'}}", "query", "query is empty"),
        ("{csv: none.csv}", "", "none.csv cannot be read"),
        ("{parquet: none.parquet}", "", "none.parquet cannot be read"),
        ("{journal: none.json, metric: x}", "", "none.json is no decision journal"),
    ],
)
def test_mistakes_are_named_with_field_value_and_what_is_accepted(text, field, said):
    """Every mistake is one error that says where it is and what would be right."""
    error = refused(text)
    assert said in str(error)
    assert error.field == field


def test_any_shipped_trace_is_a_workload():
    """Every name of the catalogue can be written."""
    for name in TRACES:
        assert built(f"{{trace: {name}, duration_seconds: 3600}}").values.size >= 1


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]),
    st.lists(st.just({"trace": "llm-image"}), max_size=2),
    st.fixed_dictionaries({"generator": st.sampled_from(["constant", "ramp", "x"]),
                           "per_second": st.floats()}),
)  # fmt: skip
OPTIONS = [
    "trace", "shape", "csv", "parquet", "journal", "sum", "query", "days", "every_seconds",
    "metric", "unit", "from_seconds", "duration_seconds", "smooth_seconds", "peak_per_second",
    "scale", "repeat", "overlay", "at_seconds", "name", "other",
]  # fmt: skip


@given(
    source=st.sampled_from([{}, {"trace": "llm-image"}, {"sum": [{"trace": "llm-image"}]}]),
    options=st.dictionaries(st.sampled_from(OPTIONS), PLAIN, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_no_section_ends_in_anything_but_a_trace_or_a_reason(source, options):
    """Whatever is written, the answer is a trace without negative values, or a SimulationError."""
    trace = None
    with contextlib.suppress(SimulationError):
        trace = build_trace(workload_of({**source, **options}), Path("nowhere"), now=1e9)
    assert trace is None or np.nanmin(trace.values) >= 0
