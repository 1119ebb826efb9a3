"""The ``workload`` section of a scenario: one source, and what is done to it.

::

    workload: {trace: worldcup98, from_seconds: 5184000, duration_seconds: 86400,
               peak_per_second: 400}
    workload: {shape: {generator: diurnal, mean_per_second: 100, noise_ratio: 0.1}}
    workload: {csv: load.csv, unit: per_step}
    workload: {prometheus: {url: "http://prometheus:9090"}, query: "sum(rate(hits_total[1m]))",
               days: 14}
    workload: {sum: [{trace: taxi}, {trace: ecommerce}]}
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from simulations.errors import SimulationError
from simulations.workload import compose
from simulations.workload.catalogue import load_trace, smoothed
from simulations.workload.generators import Generator
from simulations.workload.importers.journal import HOLD_SECONDS, read_journal, trace_of_journal
from simulations.workload.importers.prometheus import Access, query_range
from simulations.workload.importers.tables import read_csv, read_parquet
from simulations.workload.trace import Trace, Unit

SOURCES: Final = ("trace", "shape", "csv", "parquet", "prometheus", "journal", "sum")
DAY_SECONDS: Final = 86_400
FILES: Final = ("csv", "parquet")

BELONGS_TO: Final[dict[str, tuple[str, ...]]] = {
    "query": ("prometheus",),
    "days": ("prometheus",),
    "every_seconds": ("prometheus", "journal"),
    "metric": ("journal",),
    "hold_seconds": ("journal",),
    "time_column": FILES,
    "value_column": FILES,
    "unit": FILES,
}
"""Which sources an option has a meaning for."""


class WorkloadModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What arrives.

    Attributes:
        trace: Name of a shipped trace.
        shape: A generator and its parameters.
        csv: Path, relative to the scenario file.
        parquet: Path.
        prometheus: Where to ask.
        journal: Path of saved answers of ``flyball explain --json``.
        sum: Several workloads at once, as long as the shortest lasts.
        query: With ``prometheus``: PromQL that gives one series.
        days: With ``prometheus``: how far back.
        every_seconds: With ``prometheus`` and ``journal``: between instants.
        metric: With ``journal``: which metric; a rate per second.
        hold_seconds: With ``journal``: how long a value holds without a newer one.
        time_column: With files.
        value_column: With files.
        unit: With files: what a value counts.
        name: For reports.
        from_seconds: Skip so much; negative = from so much before the end.
        duration_seconds: Then take so much.
        smooth_seconds: Centred mean.
        peak_per_second: Scale so that the 99.9th percentile of the rate is this.
        scale: Multiply (after ``peak_per_second``).
        repeat: So many times in a row.
        overlay: Workloads added on top at last, each from its ``at_seconds`` on.
        at_seconds: Of a workload in ``overlay``.
    """

    trace: str | None = None
    shape: Generator | None = None
    csv: str | None = None
    parquet: str | None = None
    prometheus: Access | None = None
    journal: str | None = None
    sum: tuple[WorkloadModel, ...] | None = None
    query: str = ""
    days: Annotated[float, msgspec.Meta(gt=0)] = 14.0
    every_seconds: Annotated[float, msgspec.Meta(ge=1)] = 60.0
    metric: str = ""
    hold_seconds: Annotated[float, msgspec.Meta(ge=0)] = HOLD_SECONDS
    time_column: str = "timestamp"
    value_column: str = "value"
    unit: Unit = Unit.PER_SECOND
    name: str = ""
    from_seconds: float = 0.0
    duration_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    smooth_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    peak_per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None
    scale: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    repeat: Annotated[int, msgspec.Meta(ge=1)] = 1
    overlay: tuple[WorkloadModel, ...] = ()
    at_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


def workload_of(raw: Any, field: str = "workload") -> WorkloadModel:
    """Return the model of a ``workload`` section.

    Raises:
        SimulationError: It is none; names field, value and accepted form.
    """
    _refuse_infinite(raw, field)
    try:
        return msgspec.convert(raw, WorkloadModel)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        where = f"{field}{path.rstrip('`')}"
        raise SimulationError(f"{where}: {text}{_value_at(raw, path)}", field=where) from error


def build_trace(model: WorkloadModel, folder: Path, *, now: float) -> Trace:
    """Return the trace a workload describes.

    Args:
        model: The section.
        folder: Relative paths start here.
        now: Epoch seconds; a query of so many days ends then.

    Raises:
        SimulationError: It names no source or several, has options without a meaning, or the
            source cannot be read.
    """
    return _built(model, folder, now, "workload")


def _built(
    model: WorkloadModel, folder: Path, now: float, field: str, *, is_above: bool = False
) -> Trace:
    _check(model, field, is_above=is_above)
    trace = _source(model, folder, now, field)
    if model.from_seconds or model.duration_seconds is not None:
        trace = compose.cut(
            trace, from_seconds=model.from_seconds, duration_seconds=model.duration_seconds
        )
    if model.smooth_seconds:
        trace = smoothed(trace, model.smooth_seconds)
    if model.peak_per_second is not None:
        trace = compose.scaled_to_peak(trace, model.peak_per_second)
    if model.scale != 1.0:
        trace = compose.scaled(trace, model.scale)
    if model.repeat > 1:
        trace = compose.repeated(trace, model.repeat)
    for number, part in enumerate(model.overlay):
        other = _built(part, folder, now, f"{field}.overlay[{number}]", is_above=True)
        trace = compose.overlaid(trace, other, at_seconds=part.at_seconds)
    return msgspec.structs.replace(trace, name=model.name) if model.name else trace


def _check(model: WorkloadModel, field: str, *, is_above: bool) -> None:
    given = [name for name in SOURCES if getattr(model, name) is not None]
    if len(given) != 1:
        raise SimulationError(
            f"{field} has {' and '.join(given) or 'no source'}, must have exactly one of "
            f"{', '.join(SOURCES)}",
            field=field,
        )
    if model.at_seconds and not is_above:
        raise SimulationError(
            f"{field}.at_seconds is {model.at_seconds:g}, has a meaning within an overlay only",
            field=f"{field}.at_seconds",
        )
    (source,) = given
    for option in msgspec.structs.fields(WorkloadModel):
        sources = BELONGS_TO.get(option.name, SOURCES)
        if source not in sources and getattr(model, option.name) != option.default:
            raise SimulationError(
                f"{field}.{option.name} has a meaning with {' and '.join(sources)} only, the "
                f"source is {source}",
                field=f"{field}.{option.name}",
            )


def _source(model: WorkloadModel, folder: Path, now: float, field: str) -> Trace:
    if model.trace is not None:
        return load_trace(model.trace)
    if model.shape is not None:
        return model.shape.trace()
    if model.sum is not None:
        parts = enumerate(model.sum)
        return compose.added(
            [_built(part, folder, now, f"{field}.sum[{number}]") for number, part in parts]
        )
    if model.prometheus is None:
        return _from_file(model, folder)
    asked = query_range(
        model.prometheus,
        model.query,
        from_at=now - model.days * DAY_SECONDS,
        to_at=now,
        step_seconds=model.every_seconds,
    )
    # PromQL looks back: the value at an instant is that of the step which ends there.
    return compose.shifted(asked, -model.every_seconds)


def _from_file(model: WorkloadModel, folder: Path) -> Trace:
    columns = {"time_column": model.time_column, "value_column": model.value_column}
    if model.csv is not None:
        return read_csv(folder / model.csv, unit=model.unit, **columns)
    if model.parquet is not None:
        return read_parquet(folder / model.parquet, unit=model.unit, **columns)
    assert model.journal is not None
    return trace_of_journal(
        read_journal(folder / model.journal),
        model.metric,
        step_seconds=model.every_seconds,
        hold_seconds=model.hold_seconds,
    )


def _refuse_infinite(raw: Any, field: str) -> None:
    if isinstance(raw, float) and not math.isfinite(raw):
        raise SimulationError(f"{field} is {raw}, must be a finite number", field=field)
    if isinstance(raw, dict):
        for key, value in raw.items():
            _refuse_infinite(value, f"{field}.{key}")
    if isinstance(raw, list):
        for number, value in enumerate(raw):
            _refuse_infinite(value, f"{field}[{number}]")


def _value_at(raw: Any, path: str) -> str:
    """Return `` (it is ...)`` with the value at a path like ``.sum[0].scale``, if it is plain."""
    value = raw
    for key, position in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        try:
            value = value[key or int(position)]
        except (LookupError, TypeError):
            return ""
    is_plain = value is None or isinstance(value, str | int | float)
    return f" (it is {value!r})" if is_plain else ""
