"""CSV and Parquet files with a time and a value column."""

from __future__ import annotations

import csv
import gzip
import io
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from simulations.errors import SimulationError
from simulations.workload.importers.samples import trace_of_samples
from simulations.workload.trace import Trace, Unit


def read_csv(
    path: Path,
    *,
    time_column: str = "timestamp",
    value_column: str = "value",
    unit: Unit = Unit.PER_SECOND,
) -> Trace:
    """Read a CSV file, gzip'ed if its name ends in ``.gz``.

    Args:
        path: With a header line. Times are epoch seconds or ISO 8601 (UTC unless they say
            otherwise); an empty value is missing.
        time_column: Name of the column.
        value_column: Name of the column.
        unit: What a value counts.

    Raises:
        SimulationError: The file cannot be read; names the line and the accepted form.
    """
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
        rows = list(csv.reader(io.StringIO(text)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SimulationError(f"{path} cannot be read: {error}") from error
    if not rows:
        raise SimulationError(f"{path} is empty; expected a header {time_column},{value_column}")
    header = [name.strip() for name in rows[0]]
    for column in (time_column, value_column):
        if column not in header:
            raise SimulationError(f'{path}: no column "{column}" among {", ".join(header)}')
    time_at, value_at = header.index(time_column), header.index(value_column)
    instants, values = [], []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        where = f"{path}, line {number}"
        if len(row) <= max(time_at, value_at):
            raise SimulationError(f"{where}: {len(row)} columns, the header has {len(header)}")
        instants.append(_instant(row[time_at].strip(), where))
        values.append(_value(row[value_at].strip(), where))
    return trace_of_samples(
        np.array(instants), np.array(values), name=path.name, unit=unit, source=str(path)
    )


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
        table = pq.read_table(path, columns=[time_column, value_column])
        times = table.column(time_column)
        if pa.types.is_timestamp(times.type):
            times = times.cast(pa.timestamp("us")).cast(pa.int64())
            instants = times.to_numpy() / 1e6
        else:
            instants = times.cast(pa.float64()).to_numpy()
        values = table.column(value_column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (OSError, pa.ArrowException) as error:
        raise SimulationError(f"{path} cannot be read: {error}") from error
    return trace_of_samples(
        np.asarray(instants, dtype=np.float64),
        np.asarray(values, dtype=np.float64),
        name=path.name,
        unit=unit,
        source=str(path),
    )


def _instant(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
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
    if math.isnan(value):
        return math.nan
    if value < 0 or math.isinf(value):
        raise SimulationError(f'{where}: value "{text[:40]}" is no number >= 0 (empty = missing)')
    return value
