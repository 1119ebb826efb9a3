"""The backtest itself: recorded metrics in, decisions of the live code out.

Open loop: the policy is shown what its queries gave at the time, and what it decides changes none
of it. That is exact for metrics of the load (rates of requests or arrivals) and wrong for metrics
that scaling itself moves (queue lengths, utilisation); the latter are refused unless they are
called exogenous on purpose.

The clock is that of the record: at an instant the policy sees what its query gives there. The load
is played where it was: PromQL looks back, so the value at an instant is the mean of the time before
it, and in the middle of that time it is played.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from simulations.backtest.model import ServiceModel
from simulations.backtest.queries import queries_of, range_seconds, value_of_nothing
from simulations.backtest.result import ACTUAL, POLICY, Backtest, Gaps, Paid, PlayedLoad
from simulations.engine.exact import Progress, TierSpec, replay
from simulations.engine.run import Counts, Run
from simulations.engine.signals import Recorded
from simulations.plant.parameters import (
    Delay,
    Service,
    Signal,
    SignalKind,
    StartUp,
    Termination,
    Waiting,
)
from simulations.policies.objects import Subject, TriggerModel, subject_of_object
from simulations.policies.recorded import RecordedReplicas
from simulations.score.score import Elasticity, Score, score
from simulations.workload import compose
from simulations.workload.load import ROUNDING, load_of
from simulations.workload.trace import Floats, Trace, Unit

AT_ONCE: Final = StartUp(container=Delay(median_seconds=0, p95_seconds=0))
UNKNOWN_SERVICE: Final = ServiceModel(
    service=Service(mean_seconds=1.0, concurrency=1),
    start_up=AT_ONCE,
    waiting=Waiting(slo_seconds=1.0),
    termination=Termination(drain_seconds=0.0),
    lag_seconds=0.0,
)
"""Stands in where the service is not known; nothing that depends on it is reported."""

LONGEST_STEP_SECONDS: Final = 15.0


def backtest(
    raw: Mapping[str, Any],
    recorded: Mapping[int, Trace],
    *,
    replicas: Trace | None,
    created: Trace | None = None,
    load: Trace | None,
    service: ServiceModel | None,
    load_query: str = "",
    controller: str = "",
    progress: Progress | None = None,
) -> Backtest:
    """Replay an object over what its queries gave.

    Args:
        raw: The object.
        recorded: What each queried trigger saw, by position.
        replicas: Ready pods the workload really had; None = not recorded.
        created: Its pods, ready or not; None = not recorded.
        load: Requests per second; the first query's when None.
        service: Of a replica; None = not known.
        load_query: That gave the load; says how long a time its values describe, the step of the
            load if it does not.
        controller: Whose loop runs a keda.sh object, as in scenarios.
        progress: As in :func:`simulations.engine.exact.replay`.

    Raises:
        SimulationError: See :func:`simulations.policies.objects.subject_of_object`; or the records
            do not overlap.
    """
    known = service or UNKNOWN_SERVICE
    names = {index: f"query-{index}" for index in recorded}
    subject = _subject(raw, names, known, controller)
    gaps = {index: _gaps(raw, index, trace) for index, trace in recorded.items()}
    step = _step_seconds(subject)
    arrivals, played = _load(raw, recorded, load, load_query)
    begin_at = max(trace.start_at for trace in recorded.values()) + known.lag_seconds
    simulated = load_of(_played(arrivals, played.mean_seconds, begin_at), step_seconds=step, seed=0)
    policy = TierSpec(
        name=POLICY,
        plant=known.plant,
        autoscaler=subject.autoscaler(),
        signals=(),
        recorded={
            names[index]: Recorded(
                trace=_filled(trace, gaps[index].taken_for), lag_seconds=known.lag_seconds
            )
            for index, trace in recorded.items()
        },
        replicas=_first_replicas(replicas, subject, simulated.start_at),
        starts_at_once=service is None,
    )
    paid = Paid.CREATED if service and (created or not replicas) else Paid.READY
    run = _billed(replay([policy], simulated, seed=0, progress=progress)[POLICY], paid)
    runs = [run]
    if replicas is not None:
        past = _past(policy, replicas, tick_seconds=step)
        runs.append(_billed(replay([past], simulated, seed=0)[ACTUAL], paid, created))
    return Backtest(
        policy=run,
        actual=runs[1] if len(runs) > 1 else None,
        scores=tuple(score(one) if service else _without_service(score(one)) for one in runs),
        load=played,
        gaps=tuple(gap for gap in gaps.values() if gap.instants),
        paid=paid,
        knows_service=service is not None,
    )


def _past(policy: TierSpec, replicas: Trace, *, tick_seconds: float) -> TierSpec:
    """Return the tier of the policy with the ready pods it really had."""
    return msgspec.structs.replace(
        policy,
        name=ACTUAL,
        autoscaler=RecordedReplicas(replicas, tick_seconds=tick_seconds),
        recorded={},
        starts_at_once=True,
    )


def _subject(
    raw: Mapping[str, Any], names: Mapping[int, str], service: ServiceModel, controller: str
) -> Subject:
    signals = [
        Signal(name=name, kind=SignalKind.REQUEST_RATE, lag_seconds=service.lag_seconds)
        for name in names.values()
    ]
    triggers = {str(index): TriggerModel(signal=name) for index, name in names.items()}
    return subject_of_object(raw, triggers, signals, controller=controller)


def _gaps(raw: Mapping[str, Any], trigger: int, trace: Trace) -> Gaps:
    return Gaps(
        trigger=trigger,
        instants=int(np.isnan(trace.values).sum()),
        of=len(trace.values),
        taken_for=value_of_nothing(raw, trigger),
    )


def _filled(trace: Trace, value: float | None) -> Trace:
    """Return a record as the live scaler would have read it."""
    if value is None:
        return trace
    return msgspec.structs.replace(trace, values=np.nan_to_num(trace.values, nan=value))


def _load(
    raw: Mapping[str, Any], recorded: Mapping[int, Trace], load: Trace | None, query: str
) -> tuple[Trace, PlayedLoad]:
    """Return the load as recorded, and what it is."""
    first = min(recorded)
    if load is None:
        query = next(
            item.query for item in queries_of(raw, exogenous=True) if item.trigger == first
        )
    arrivals = recorded[first] if load is None else load
    return arrivals, PlayedLoad(
        query=query,
        is_triggers=load is None,
        mean_seconds=range_seconds(query) or arrivals.step_seconds,
    )


def _without_service(scored: Score) -> Score:
    """Return a score without the figures that depend on how a replica serves."""
    names = (field.name for field in msgspec.structs.fields(Elasticity))
    return msgspec.structs.replace(
        scored,
        late=math.nan,
        dropped=math.nan,
        worst_ratio=math.nan,
        wait_p95_seconds=math.nan,
        wait_p99_seconds=math.nan,
        elasticity=Elasticity(**dict.fromkeys(names, math.nan)),
        days=tuple(msgspec.structs.replace(day, late=math.nan) for day in scored.days),
    )


def _billed(run: Run, paid: Paid, created: Trace | None = None) -> Run:
    """Return a run that pays for the pods it shall, those recorded if there are any."""
    if paid is Paid.READY:
        return msgspec.structs.replace(run, pods=run.serving)
    if created is None:
        return run
    at = run.start_at + np.arange(run.steps, dtype=np.float64) * run.step_seconds
    return msgspec.structs.replace(run, pods=np.maximum(run.serving, _held(created, at)))


def _step_seconds(subject: Subject) -> float:
    """Return the longest step of at most 15 s that divides the tick."""
    return subject.tick_seconds / math.ceil(subject.tick_seconds / LONGEST_STEP_SECONDS)


def _played(asked: Trace, mean_seconds: float, begin_at: float) -> Trace:
    """Return the load from an instant on, each value around the middle of what it describes."""
    step = asked.step_seconds
    load = compose.moved(
        msgspec.structs.replace(asked, unit=Unit.PER_SECOND), -(mean_seconds + step) / 2
    )
    skipped = max(0, math.ceil((begin_at - load.start_at) / step - ROUNDING))
    return compose.cut(load, from_seconds=skipped * step)


def _first_replicas(replicas: Trace | None, subject: Subject, at: float) -> int:
    """Return the replicas last recorded at an instant, the first ones if none were yet."""
    if replicas is None:
        return max(1, subject.policy.min_replicas)
    return int(_held(replicas, np.array([at]))[0])


def _held(trace: Trace, at: Floats) -> Counts:
    """Return what was last recorded at some instants, the first value where nothing was yet."""
    known = np.flatnonzero(~np.isnan(trace.values))
    index = (at - trace.start_at) // trace.step_seconds
    last = np.searchsorted(known, index, side="right") - 1
    return np.rint(trace.values[known[np.maximum(last, 0)]]).astype(np.int64)
