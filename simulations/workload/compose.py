"""Traces made of traces; what is missing stays missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from simulations.errors import SimulationError
from simulations.workload.trace import STEPS_MAX, Floats, Trace, Unit


def as_rates(trace: Trace) -> Trace:
    """Return the trace in requests per second."""
    return replace(trace, values=trace.per_second(), unit=Unit.PER_SECOND)


def scaled(trace: Trace, factor: float) -> Trace:
    """Return the trace with every value multiplied.

    Raises:
        SimulationError: The factor is negative or infinite, or the product too large.
    """
    if not np.isfinite(factor) or factor < 0:
        raise SimulationError(f"trace {trace.name}: factor is {factor}, must be >= 0")
    with np.errstate(over="ignore"):
        return replace(trace, values=trace.values * factor)


def scaled_to_peak(trace: Trace, per_second: float, *, ratio: float = 0.999) -> Trace:
    """Return the trace scaled so that a high quantile of its rate is a given one.

    Args:
        trace: Any.
        per_second: Rate the quantile shall have.
        ratio: Which quantile; below 1, so that one wild value does not set the scale.

    Raises:
        SimulationError: The quantile is zero.
    """
    rates = trace.per_second()
    peak = float(np.quantile(rates[~np.isnan(rates)], ratio))
    if peak <= 0:
        raise SimulationError(f"trace {trace.name} has no load to scale")
    return scaled(as_rates(trace), per_second / peak)


def cut(trace: Trace, *, from_seconds: float, duration_seconds: float | None = None) -> Trace:
    """Return a window of the trace, on whole steps.

    Args:
        trace: Any.
        from_seconds: After the start of the trace; negative = before its end.
        duration_seconds: Length; to the end when None.

    Raises:
        SimulationError: The window holds nothing.
    """
    length = len(trace.values)
    begin = round(from_seconds / trace.step_seconds)
    begin = max(0, length + begin) if begin < 0 else begin
    end = length
    if duration_seconds is not None:
        end = min(length, begin + round(duration_seconds / trace.step_seconds))
    if begin >= end:
        raise SimulationError(
            f"trace {trace.name} lasts {trace.duration_seconds:g} s; nothing is left from "
            f"{from_seconds:g} s"
        )
    return replace(
        trace,
        values=trace.values[begin:end],
        start_at=trace.start_at + begin * trace.step_seconds,
    )


def repeated(trace: Trace, times: int) -> Trace:
    """Return the trace several times in a row.

    Raises:
        SimulationError: Less than once, or it would have too many steps.
    """
    if times < 1:
        raise SimulationError(f"trace {trace.name}: repeat is {times}, must be >= 1")
    _check_length(trace, len(trace.values) * times)
    return replace(trace, values=np.tile(trace.values, times))


def shifted(trace: Trace, seconds: float) -> Trace:
    """Return the trace at other instants."""
    return replace(trace, start_at=trace.start_at + seconds)


def moved(trace: Trace, seconds: float) -> Trace:
    """Return the trace earlier or later by any time, on the instants it has.

    Where the time is no multiple of the step, each new step is the mean of the two old ones it lies
    in, as far as they are known, and there is one step less.

    Raises:
        SimulationError: Nothing is left.
    """
    steps = seconds / trace.step_seconds
    if math.isclose(steps, round(steps), abs_tol=1e-9):
        return shifted(trace, round(steps) * trace.step_seconds)
    whole = math.floor(steps)
    late = steps - whole
    before, after = trace.values[:-1], trace.values[1:]
    both = late * before + (1 - late) * after
    values = np.where(np.isnan(before), after, np.where(np.isnan(after), before, both))
    return shifted(replace(trace, values=values), (whole + 1) * trace.step_seconds)


def resampled(trace: Trace, step_seconds: float) -> Trace:
    """Return the trace at another step: means of longer ones, repeated for shorter ones.

    A mean over a partly missing step is that of what is known.

    Raises:
        SimulationError: Neither step is a multiple of the other, or there would be too many.
    """
    rates = trace.per_second()
    ratio = step_seconds / trace.step_seconds
    if ratio >= 1 and math.isclose(ratio, round(ratio)):
        values = _means(rates, round(ratio))
    elif ratio < 1 and math.isclose(1 / ratio, round(1 / ratio)):
        _check_length(trace, len(rates) * round(1 / ratio))
        values = np.repeat(rates, round(1 / ratio))
    else:
        raise SimulationError(
            f"trace {trace.name}: steps of {trace.step_seconds:g} s and {step_seconds:g} s do not "
            "divide each other"
        )
    return replace(trace, values=values, unit=Unit.PER_SECOND, step_seconds=step_seconds)


def added(traces: Sequence[Trace], *, name: str = "") -> Trace:
    """Return the sum of traces from their beginnings on, as long as the shortest lasts.

    Where one is missing, so is the sum.
    """
    return _together(traces, np.add, name or " + ".join(trace.name for trace in traces))


def multiplied(trace: Trace, shape: Trace, *, name: str = "") -> Trace:
    """Return the trace multiplied with the values of another, such as a daily profile around 1."""
    return _together([trace, shape], np.multiply, name or trace.name)


def overlaid(trace: Trace, other: Trace, *, at_seconds: float = 0.0, name: str = "") -> Trace:
    """Return the trace with another one added from some time on; its length stays.

    Args:
        trace: Any.
        other: Added; where it is missing, so is the result. What lasts longer is cut off.
        at_seconds: Where the other one begins, after the start of the trace, on whole steps.
        name: Of the result; the trace's when empty.

    Raises:
        SimulationError: Steps do not divide each other, or the other one begins outside.
    """
    step = min(trace.step_seconds, other.step_seconds)
    below, above = resampled(trace, step), resampled(other, step)
    begin = round(at_seconds / step)
    if not 0 <= begin < len(below.values):
        raise SimulationError(
            f"trace {trace.name} lasts {trace.duration_seconds:g} s; {other.name} cannot begin at "
            f"{at_seconds:g} s"
        )
    values = below.values.copy()
    added_values = above.values[: len(values) - begin]
    values[begin : begin + len(added_values)] += added_values
    return replace(below, name=name or trace.name, values=values)


def _together(traces: Sequence[Trace], operation: np.ufunc, name: str) -> Trace:
    if not traces:
        raise SimulationError("nothing to put together")
    step = min(trace.step_seconds for trace in traces)
    alike = [resampled(trace, step) for trace in traces]
    length = min(len(trace.values) for trace in alike)
    values = alike[0].values[:length]
    for other in alike[1:]:
        values = operation(values, other.values[:length])
    return replace(alike[0], name=name, values=values)


def _means(values: Floats, width: int) -> Floats:
    whole = len(values) // width * width
    blocks = values[:whole].reshape(-1, width)
    known = ~np.isnan(blocks)
    counts = known.sum(axis=1)
    sums = np.where(known, blocks, 0.0).sum(axis=1)
    means = np.full(len(blocks), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _check_length(trace: Trace, steps: int) -> None:
    if steps > STEPS_MAX:
        raise SimulationError(
            f"trace {trace.name} would have {steps} steps, must be at most {STEPS_MAX}"
        )
