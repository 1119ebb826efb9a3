"""CSV and Parquet files become traces; whatever is wrong is named with its line."""

from __future__ import annotations

import gzip
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.workload.importers.samples import trace_of_samples
from simulations.workload.importers.tables import read_csv, read_parquet
from simulations.workload.trace import STEPS_MAX, Trace, Unit

AT = 1_704_067_200.0
"""2024-01-01T00:00:00Z."""

nan = float("nan")


def written(folder: Path, text: str, name: str = "load.csv") -> Path:
    """Return the path of a file with the text."""
    path = folder / name
    path.write_bytes(text.encode())
    return path


def put(instants: list[float], values: list[float]) -> Trace:
    """Return samples on their grid."""
    return trace_of_samples(
        np.array(instants), np.array(values), name="load", unit=Unit.PER_SECOND, source="load.csv"
    )


@pytest.mark.parametrize(
    "times",
    [
        ["1704067200", "1704067260", "1704067320"],
        ["1704067200.0", "1704067260.0", "1704067320.0"],
        ["2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z", "2024-01-01T00:02:00Z"],
        ["2024-01-01T01:00:00+01:00", "2024-01-01T00:01:00+00:00", "2024-01-01T00:02:00Z"],
        ["2024-01-01 00:00:00", "2024-01-01 00:01:00", "2024-01-01 00:02"],
        [" 2024-01-01T00:00:00.000", "20240101T000100", "2024-01-01T00:02:00Z "],
    ],
)
def test_times_are_epoch_seconds_or_iso_8601(tmp_path, times):
    """All spellings of an instant mean the same; without a zone they are UTC."""
    rows = [f"{at},{value}" for at, value in zip(times, (1, 2.5, 0), strict=True)]
    trace = read_csv(written(tmp_path, "\n".join(["timestamp,value", *rows])))
    assert (trace.start_at, trace.step_seconds) == (AT, 60)
    assert trace.values.tolist() == [1, 2.5, 0]
    assert trace.unit is Unit.PER_SECOND


def test_times_that_are_left_out_do_not_change_the_step(tmp_path):
    """The step is the smallest usual distance, even where most distances are longer."""
    text = "timestamp,value\n0,1\n120,1\n180,1\n300,1\n420,1\n"
    trace = read_csv(written(tmp_path, text))
    assert trace.step_seconds == 60
    np.testing.assert_array_equal(trace.values, [1, nan, 1, 1, nan, 1, nan, 1])


def test_empty_values_and_times_left_out_are_missing(tmp_path):
    """Neither an empty cell nor a row that is not there is a zero."""
    text = "timestamp,value\n0,1\n60,\n120,3\n300,6\n"
    trace = read_csv(written(tmp_path, text))
    np.testing.assert_array_equal(trace.values, [1, nan, 3, nan, nan, 6])


def test_other_columns_line_ends_byte_order_marks_and_gzip(tmp_path):
    """What spreadsheets and tools write is read: quoted cells, CRLF, a byte order mark, gzip."""
    text = '\ufeffhost, hits ,"at"\r\na,"10","0"\r\n\r\n"b\nc",20,60\r\n'
    path = tmp_path / "load.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    trace = read_csv(path, time_column="at", value_column="hits", unit=Unit.PER_STEP)
    assert trace.values.tolist() == [10, 20]
    np.testing.assert_allclose(trace.per_second(), [10 / 60, 20 / 60])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["0,1", "x,2"], 'line 3: time "x" is neither epoch seconds nor ISO 8601'),
        (["nan,1", "60,2"], 'line 2: time "nan" is neither'),
        (["0,1", "60,two"], r'line 3: value "two" is no number >= 0 \(empty = missing\)'),
        (["0,1", "60,-2"], 'line 3: value "-2" is no number >= 0'),
        (["0,1", "60,inf"], 'line 3: value "inf" is no number >= 0'),
        (["0,1", "60"], "line 3: 1 columns, the header has 2"),
        (["0,1", "", "60,1", "60,2"], "line 5: time 1970-01-01T00:01:00Z is not after"),
        (["120,1", "60,1"], "line 3: time .*, times must ascend"),
        (
            ["0,1", "60,1", "120,1", "190,1", "250,1"],
            "line 5: time 1970-01-01T00:03:10Z is 70 s after .*, must be .*steps of 60 s",
        ),
        (["0,1", "60,1", "120,1", "285,1"], "line 5: .* is 165 s after .*steps of 60 s"),
        (["0,1", "7,1", "19,1", "33,1"], "line [0-9]: .*must be a whole number of steps"),
        (
            ["1704067200000,1", "1704067260000,1"],
            r"line 2: 1704067200000 must be .*\(no milliseconds\)",
        ),
        (["-60,1", "0,1"], "line 2: -60 must be epoch seconds"),
        (["0,1", "1,1", "99000000000,1"], f"line 4: at steps of 1 s .* at most {STEPS_MAX}"),
        (["0,", "60,"], "all values are missing"),
        (["0,1"], "1 samples, must be at least two"),
        ([], "0 samples, must be at least two"),
    ],
)
def test_wrong_lines_are_named(tmp_path, rows, said):
    """An error says file, line, what is there and what would be accepted."""
    path = written(tmp_path, "\n".join(["timestamp,value", *rows]))
    with pytest.raises(SimulationError, match=said) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; expected a header timestamp,value"),
        (b"time,value\n", 'no column "timestamp" among time, value'),
        (b"timestamp,hits\n", 'no column "value" among timestamp, hits'),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'timestamp,value\n"' + b"1" * 200_000, "cannot be read"),
    ],
)
def test_files_that_are_no_csv_are_refused(tmp_path, content, said):
    """Empty files, other headers and other encodings are errors, not traces."""
    path = tmp_path / "load.csv"
    path.write_bytes(content)
    with pytest.raises(SimulationError, match=said):
        read_csv(path)


@pytest.mark.parametrize("cut", [3, 30, -9])
def test_damaged_gzip_is_refused(tmp_path, cut):
    """A gzip file that ends early or is none cannot be read; a missing one neither."""
    packed = gzip.compress(b"timestamp,value\n" + b"0,1\n" * 99)
    path = tmp_path / "load.csv.gz"
    path.write_bytes(packed[:cut])
    with pytest.raises(SimulationError, match="cannot be read"):
        read_csv(path)
    with pytest.raises(SimulationError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")


@given(
    start_at=st.integers(0, 4_000_000_000),
    step=st.sampled_from([0.5, 1.0, 15.0, 60.0, 3600.0]),
    values=st.lists(st.one_of(st.none(), st.floats(0, 1e12)), min_size=2, max_size=50).filter(
        lambda values: values[0] is not None and values[1] is not None
    ),
    left_out=st.sets(st.integers(2, 48)),
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, start_at, step, values, left_out):
    """A series comes back as it was, its missing values written empty or left out."""
    rows = [
        f"{start_at + i * step},{'' if value is None else repr(value)}"
        for i, value in enumerate(values)
        if not (value is None and i in left_out and i != len(values) - 1)
    ]
    path = written(tmp_path_factory.mktemp("csv"), "\n".join(["timestamp,value", *rows]))
    trace = read_csv(path)
    expected = [nan if value is None else value for value in values]
    np.testing.assert_array_equal(trace.values, expected)
    assert (trace.start_at, trace.step_seconds) == (start_at, step)


@given(
    jitter=st.lists(st.floats(-0.02, 0.02), min_size=300, max_size=300),
    step=st.floats(1.0, 900.0),
)
@settings(max_examples=30, deadline=None)
def test_clocks_that_jitter_stay_on_their_grid(jitter, step):
    """Instants off by up to two percent of a step, over any length, keep their places."""
    instants = [1e9 + (i + off) * step for i, off in enumerate(jitter)]
    trace = put(instants, list(range(300)))
    assert trace.values.tolist() == list(range(300))
    assert trace.step_seconds == pytest.approx(step, rel=1e-3)


def test_rounded_clocks_do_not_drift_off_the_grid():
    """A step that is no whole number of milliseconds still fits thousands of rounded samples."""
    instants = np.round(1e9 + np.arange(20_000) * 15.0004, 3)
    trace = put(instants.tolist(), np.ones(20_000).tolist())
    assert len(trace.values) == 20_000
    assert not np.isnan(trace.values).any()


def parquet(folder: Path, times: Any, values: Any) -> Path:
    """Return the path of a Parquet file with two columns."""
    path = folder / "load.parquet"
    pq.write_table(pa.table({"timestamp": times, "value": values}), path)
    return path


FIRST = datetime(2024, 1, 1, tzinfo=UTC)
TIMES = [FIRST, FIRST + timedelta(minutes=1), FIRST + timedelta(minutes=3)]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([AT, AT + 60, AT + 180]),
        pa.array([int(AT), int(AT) + 60, int(AT) + 180]),
        pa.array(TIMES, pa.timestamp("s", "UTC")),
        pa.array(TIMES, pa.timestamp("ns", "Asia/Tokyo")),
        pa.array([at.replace(tzinfo=None) for at in TIMES], pa.timestamp("ms")),
        pa.array([at.astimezone(timezone(timedelta(hours=5))) for at in TIMES]),
    ],
)
def test_parquet_times_of_every_kind(tmp_path, times):
    """Numbers are epoch seconds; timestamps of any unit and zone are instants, UTC by default."""
    trace = read_parquet(parquet(tmp_path, times, pa.array([1, None, 3])))
    assert (trace.start_at, trace.step_seconds) == (AT, 60)
    np.testing.assert_array_equal(trace.values, [1, nan, nan, 3])


@pytest.mark.parametrize(
    ("times", "values", "said"),
    [
        (["a", "b"], [1.0, 2.0], "must hold timestamps or epoch seconds"),
        ([0.0, 60.0], ["a", "b"], "value numbers"),
        ([0.0, 60.0], [1.0, -2.0], "row 2: -2 must be a number >= 0"),
        ([0.0, None], [1.0, 2.0], "row 2: nan must be epoch seconds"),
        ([60.0, 0.0], [1.0, 2.0], "row 2: .*must ascend"),
        ([], [], "0 samples"),
    ],
)
def test_wrong_parquet_rows_are_named(tmp_path, times, values, said):
    """An error says file, row, what is there and what would be accepted."""
    with pytest.raises(SimulationError, match=said) as caught:
        read_parquet(parquet(tmp_path, times, values))
    assert "load.parquet" in str(caught.value)


def test_other_parquet_files_are_refused(tmp_path):
    """Files without the columns, files of another kind and missing files are errors."""
    path = parquet(tmp_path, [0.0, 60.0], [1.0, 2.0])
    with pytest.raises(SimulationError, match='no column "hits" among timestamp, value'):
        read_parquet(path, value_column="hits")
    with pytest.raises(SimulationError, match="cannot be read"):
        read_parquet(written(tmp_path, "timestamp,value\n", "text.parquet"))
    with pytest.raises(SimulationError, match="cannot be read"):
        read_parquet(tmp_path / "none.parquet")


def test_parquet_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    """Where pyarrow is missing the error names the extra."""
    path = parquet(tmp_path, [0.0, 60.0], [1.0, 2.0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SimulationError, match=r"pip install 'flyball\[parquet\]'"):
        read_parquet(path)
