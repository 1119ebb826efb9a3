"""CSV and Parquet files with a time and a value column."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from simulations.errors import SimulationError
from simulations.workload.importers.samples import trace_of_samples
from simulations.workload.trace import Floats, Trace, Unit


def read_csv(
    path: Path,
    *,
    time_column: str = "timestamp",
    value_column: str = "value",
    unit: Unit = Unit.PER_SECOND,
) -> Trace:
    """Read a CSV file, gzip'ed if its name ends in ``.gz``.

    Args:
        path: UTF-8 with a header line. Times ascend at a fixed step, as epoch seconds or ISO 8601
            (UTC unless they say otherwise); an empty value, or a time left out, is missing.
        time_column: Name of the column.
        value_column: Name of the column.
        unit: What a value counts.

    Raises:
        SimulationError: The file cannot be read; names the line and the accepted form.
    """
    rows = _rows(path)
    if not rows:
        raise SimulationError(f"{path} is empty; expected a header {time_column},{value_column}")
    header = [name.strip() for name in rows[0][1]]
    for column in (time_column, value_column):
        if column not in header:
            raise SimulationError(f'{path}: no column "{column}" among {", ".join(header)}')
    time_at, value_at = header.index(time_column), header.index(value_column)
    lines, instants, values = [], [], []
    for number, row in rows[1:]:
        if not row:
            continue
        where = f"{path}, line {number}"
        if len(row) <= max(time_at, value_at):
            raise SimulationError(f"{where}: {len(row)} columns, the header has {len(header)}")
        lines.append(number)
        instants.append(_instant(row[time_at].strip(), where))
        values.append(_value(row[value_at].strip(), where))
    return trace_of_samples(
        np.array(instants, dtype=np.float64),
        np.array(values, dtype=np.float64),
        name=path.name,
        unit=unit,
        source=str(path),
        place=lambda position: f"line {lines[position]}",
    )


def read_column(path: Path, column: str) -> Floats:
    """Return one column of numbers of a CSV file, gzip'ed if its name ends in ``.gz``.

    Args:
        path: UTF-8 with a header line.
        column: Name; ``+Inf`` is a number, as in the bounds of histograms.

    Raises:
        SimulationError: The file cannot be read; names the line.
    """
    rows = _rows(path)
    header = [name.strip() for name in rows[0][1]] if rows else []
    if column not in header:
        raise SimulationError(f'{path}: no column "{column}" among {", ".join(header) or "none"}')
    at = header.index(column)
    values = []
    for number, row in rows[1:]:
        if not row:
            continue
        text = row[at].strip() if at < len(row) else ""
        try:
            values.append(float(text))
        except ValueError:
            raise SimulationError(
                f'{path}, line {number}: {column} is "{text[:40]}", must be a number'
            ) from None
    return np.array(values, dtype=np.float64)


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines of a CSV file with their numbers."""
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""))
        return [(reader.line_num, row) for row in reader]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise SimulationError(f"{path} cannot be read: {error}") from error


def read_parquet(
    path: Path,
    *,
    time_column: str = "timestamp",
    value_column: str = "value",
    unit: Unit = Unit.PER_SECOND,
) -> Trace:
    """Read a Parquet file (extra ``parquet``); columns as in :func:`read_csv`.

    Raises:
        SimulationError: The file cannot be read, or ``pyarrow`` is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SimulationError(
            "Parquet files need the extra parquet: pip install 'flyball[parquet]'"
        ) from error
    try:
        known = pq.read_schema(path).names
        for column in (time_column, value_column):
            if column not in known:
                raise SimulationError(f'{path}: no column "{column}" among {", ".join(known)}')
        table = pq.read_table(path, columns=[time_column, value_column])
        times = table.column(time_column)
        if pa.types.is_timestamp(times.type):
            # Times without a zone are UTC; those with one are kept as UTC.
            times = times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
            instants = times.to_numpy() / 1e6
        else:
            instants = times.cast(pa.float64()).to_numpy()
        values = table.column(value_column).cast(pa.float64()).to_numpy()
    except (OSError, pa.ArrowException) as error:
        raise SimulationError(
            f"{path} cannot be read: {error}; {time_column} must hold timestamps or epoch seconds, "
            f"{value_column} numbers"
        ) from error
    return trace_of_samples(
        np.asarray(instants, dtype=np.float64),
        np.asarray(values, dtype=np.float64),
        name=path.name,
        unit=unit,
        source=str(path),
        place=lambda position: f"row {position + 1}",
    )


def _instant(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise SimulationError(
            f'{where}: time "{text[:40]}" is neither epoch seconds nor ISO 8601 such as '
            "2024-01-31T12:00:00Z"
        ) from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _value(text: str, where: str) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0 or math.isinf(value):
        raise SimulationError(f'{where}: value "{text[:40]}" is no number >= 0 (empty = missing)')
    return value
