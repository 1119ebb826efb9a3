"""The backtest itself: recorded metrics in, decisions of the live code out.

Open loop: the policy is shown what its queries gave at the time, and what it decides changes none
of it. That is exact for metrics of the load (rates of requests or arrivals) and wrong for metrics
that scaling itself moves (queue lengths, utilisation); the latter are refused unless they are
called exogenous on purpose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np

from autoscaler.api.parse import parse_object
from autoscaler.api.scaledobject import ScaledObject
from simulations.backtest.model import ServiceModel
from simulations.engine.exact import Progress, TierSpec, replay
from simulations.engine.run import Run
from simulations.errors import SimulationError
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
from simulations.score.score import Score, score
from simulations.workload.load import load_of
from simulations.workload.trace import Trace, Unit

AT_ONCE: Final = StartUp(container=Delay(median_seconds=0, p95_seconds=0))
UNKNOWN_SERVICE: Final = ServiceModel(
    service=Service(mean_seconds=1.0, concurrency=1),
    start_up=AT_ONCE,
    waiting=Waiting(slo_seconds=1.0),
    termination=Termination(drain_seconds=0.0),
)
"""Stands in where the service is not known; nothing that depends on it is reported."""

LONGEST_STEP_SECONDS: Final = 15.0
RATE: Final = re.compile(r"\b(?:i?rate|increase)\s*\(")
POLICY, ACTUAL = "policy", "actual"


class Queried(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger's query.

    Attributes:
        trigger: Position.
        query: PromQL.
    """

    trigger: int
    query: str


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """What came out.

    Attributes:
        policy: The run of the policy.
        actual: What really happened; None when nothing recorded it.
        scores: Of both.
        knows_service: Whether violations mean anything.
    """

    policy: Run
    actual: Run | None
    scores: tuple[Score, ...]
    knows_service: bool


def queries_of(raw: Mapping[str, Any], *, exogenous: bool = False) -> list[Queried]:
    """Return the queries of an object's Prometheus triggers.

    Args:
        raw: The object.
        exogenous: Take every query for one of the load alone.

    Raises:
        SimulationError: A trigger is neither ``prometheus`` nor ``cron``, or its query shows no
            rate and so may depend on the replicas.
    """
    obj = parse_object(raw)
    if not isinstance(obj, ScaledObject):
        raise SimulationError(f"{raw.get('kind')} is no ScaledObject", field="kind")
    found = []
    for index, trigger in enumerate(obj.spec.triggers):
        field = f"spec.triggers[{index}]"
        if trigger.type == "cron":
            continue
        if trigger.type != "prometheus":
            raise SimulationError(
                f"{field} has type {trigger.type}; a backtest on a Prometheus can show prometheus "
                "and cron triggers what they saw",
                field=f"{field}.type",
            )
        query = trigger.metadata.get("query", "")
        if not exogenous and not RATE.search(query):
            raise SimulationError(
                f'{field}: query "{query}" shows no rate(), so replicas may change what it '
                "measures, and a recording cannot follow that; if it measures load alone, say "
                "--exogenous, else simulate with a scenario",
                field=f"{field}.metadata.query",
            )
        found.append(Queried(trigger=index, query=query))
    if not found:
        raise SimulationError("the object has no prometheus trigger", field="spec.triggers")
    return found


def backtest(
    raw: Mapping[str, Any],
    recorded: Mapping[int, Trace],
    *,
    replicas: Trace | None,
    load: Trace | None,
    service: ServiceModel | None,
    controller: str = "",
    progress: Progress | None = None,
) -> Backtest:
    """Replay an object over what its queries gave.

    Args:
        raw: The object.
        recorded: What each queried trigger saw, by position.
        replicas: What the workload really had; None = not recorded.
        load: Requests per second; the first query's when None.
        service: Of a replica; None = not known.
        controller: Whose loop runs a keda.sh object, as in scenarios.
        progress: As in :func:`simulations.engine.exact.replay`.

    Raises:
        SimulationError: See :func:`simulations.policies.objects.subject_of_object`.
    """
    known = service or UNKNOWN_SERVICE
    names = {index: f"query-{index}" for index in recorded}
    signals = [
        Signal(name=name, kind=SignalKind.REQUEST_RATE, lag_seconds=known.lag_seconds)
        for name in names.values()
    ]
    triggers = {str(index): TriggerModel(signal=name) for index, name in names.items()}
    subject = subject_of_object(raw, triggers, signals, controller=controller)
    arrivals = load or next(iter(recorded.values()))
    step = _step_seconds(subject)
    simulated = load_of(
        msgspec.structs.replace(arrivals, unit=Unit.PER_SECOND), step_seconds=step, seed=0
    )
    start = _first_replicas(replicas, subject)
    spec = TierSpec(
        name=POLICY,
        plant=known.plant,
        autoscaler=subject.autoscaler(),
        signals=(),
        recorded={names[index]: trace for index, trace in recorded.items()},
        replicas=start,
    )
    run = replay([spec], simulated, seed=0, progress=progress)[POLICY]
    runs = [run]
    actual = None
    if replicas is not None:
        past = TierSpec(
            name=ACTUAL,
            plant=known.plant,
            autoscaler=RecordedReplicas(replicas, tick_seconds=step),
            signals=(),
            replicas=start,
            starts_at_once=True,
        )
        actual = replay([past], simulated, seed=0)[ACTUAL]
        runs.append(actual)
    return Backtest(
        policy=run,
        actual=actual,
        scores=tuple(score(one) for one in runs),
        knows_service=service is not None,
    )


def days_of(run: Run) -> list[tuple[str, float]]:
    """Return replica hours per UTC day of a run, by date."""
    at = run.start_at + np.arange(run.steps) * run.step_seconds
    days = (at // 86_400).astype(np.int64)
    hours = run.pods * run.step_seconds / 3600
    return [
        (
            datetime.fromtimestamp(float(day) * 86_400, UTC).strftime("%Y-%m-%d"),
            float(hours[days == day].sum()),
        )
        for day in np.unique(days).tolist()
    ]


def _step_seconds(subject: Subject) -> float:
    """Return the longest step of at most 15 s that divides the tick."""
    return subject.tick_seconds / math.ceil(subject.tick_seconds / LONGEST_STEP_SECONDS)


def _first_replicas(replicas: Trace | None, subject: Subject) -> int:
    if replicas is not None:
        known = replicas.values[~np.isnan(replicas.values)]
        return round(float(known[0]))
    return max(1, subject.policy.min_replicas)
