"""Decision journals of the live service: what ``flyball explain --json`` prints.

One answer holds the current readings and the last decisions (``history``), of equal ones in a row
only the last. Answers saved again and again, ``flyball explain --json NAME >> journal.json`` every
minute, make a series without holes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from simulations.errors import SimulationError
from simulations.workload.trace import Floats, Trace, Unit

HOLD_SECONDS: Final = 300.0
"""As long as Prometheus repeats a last sample."""
KIND: Final = "ScaledObject"
WRITTEN: Final = "written"

Sample = tuple[float, float | None]
"""Epoch seconds and value; None = the metric failed, or is measured on pods."""


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What a service remembers about an object.

    Attributes:
        object: ``namespace/name``.
        readings: Samples of each metric, oldest first.
        replicas: ``(epoch seconds, replicas from then on)``, oldest first.
    """

    object: str
    readings: Mapping[str, tuple[Sample, ...]]
    replicas: tuple[tuple[float, int], ...]


def read_journal(path: Path) -> Journal:
    """Return what one or several saved answers about an object tell, in any order.

    Raises:
        SimulationError: The file holds none, or answers about different objects.
    """
    accepted = "answers of: flyball explain --json NAMESPACE/NAME"
    try:
        answers = list(_documents(path.read_text(encoding="utf-8")))
        if not answers:
            raise SimulationError(f"{path} is empty, must hold {accepted}")
        for answer in answers:
            if answer["kind"] != KIND:
                raise SimulationError(
                    f"{path} is about a {answer['kind']}; only a {KIND} has replicas"
                )
        about = sorted({f"{answer['namespace']}/{answer['name']}" for answer in answers})
        readings = _readings(answers)
        replicas = _replicas(answers)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SimulationError(f"{path} is no decision journal ({accepted}): {error!r}") from error
    if len(about) > 1:
        raise SimulationError(f"{path} is about several objects ({', '.join(about)}), must be one")
    return Journal(object=about[0], readings=readings, replicas=replicas)


def trace_of_journal(
    journal: Journal,
    metric: str,
    *,
    step_seconds: float,
    hold_seconds: float = HOLD_SECONDS,
    name: str = "",
) -> Trace:
    """Return the last value of a metric, which must be a rate per second, in every step.

    Args:
        journal: Any.
        metric: Name of a metric, such as ``s0-prometheus``.
        step_seconds: Of the trace.
        hold_seconds: A value holds so long unless there is a newer one; then it is missing.
        name: Of the trace; the metric's when empty.

    Raises:
        SimulationError: The journal never saw a value of the metric, or saw a negative one.
    """
    samples = journal.readings.get(metric, ())
    values = np.array([np.nan if value is None else value for _, value in samples])
    if not samples or np.isnan(values).all():
        with_values = sorted(
            name
            for name, known in journal.readings.items()
            if any(value is not None for _, value in known)
        )
        raise SimulationError(
            f'no value of a metric "{metric}" in the journal of {journal.object}; there are: '
            f"{', '.join(with_values) or 'none'}",
            field="metric",
        )
    if np.nanmin(values) < 0:
        raise SimulationError(
            f'metric "{metric}" of {journal.object} was {np.nanmin(values):g}, must be >= 0',
            field="metric",
        )
    at = np.array([instant for instant, _ in samples])
    steps = int((at[-1] - at[0]) // step_seconds) + 1
    begins = at[0] + np.arange(steps) * step_seconds
    latest = np.searchsorted(at, begins + step_seconds, side="left") - 1
    is_fresh = begins - at[latest] <= hold_seconds
    return Trace(
        name=name or metric,
        start_at=float(at[0]),
        step_seconds=step_seconds,
        values=np.where(is_fresh, values[latest], np.nan),
        unit=Unit.PER_SECOND,
        source=f"decision journal of {journal.object}",
    )


def replicas_at(journal: Journal, instants: Floats) -> Floats:
    """Return the replicas at some instants; NaN before the first decision."""
    at = np.array([instant for instant, _ in journal.replicas])
    counts = np.array([np.nan, *(count for _, count in journal.replicas)], dtype=np.float64)
    return counts[np.searchsorted(at, instants, side="right")]


def _documents(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()


def _readings(answers: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Sample, ...]]:
    found: dict[str, dict[float, float | None]] = {}
    for answer in answers:
        for entry in answer["history"]:
            for metric, value in entry.get("readings", {}).items():
                found.setdefault(metric, {})[float(entry["at"])] = _number(value)
        for reading in answer["readings"]:
            # What an edited trigger makes of the answer its forerunner had read comes later.
            samples = found.setdefault(reading["metric"], {})
            samples.setdefault(float(reading["sampledAt"]), _number(reading["value"]))
    return {metric: tuple(sorted(samples.items())) for metric, samples in sorted(found.items())}


def _replicas(answers: Iterable[Mapping[str, Any]]) -> tuple[tuple[float, int], ...]:
    found: dict[float, int] = {}
    for answer in answers:
        for entry in answer["history"]:
            is_written = entry["outcome"] == WRITTEN
            found[float(entry["at"])] = int(entry["to"] if is_written else entry["from"])
    return tuple(sorted(found.items()))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
