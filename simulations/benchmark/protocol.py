"""The protocol: which loads, which service, which start-ups, and how they are cut and scaled.

The first 60 % of a trace are the past, which learners have read; the rest is scored. Of long traces
14 days before that point and 7 days after it are used.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from simulations.plant.delays import quantile_seconds
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Delay, Plant, Service, Signal, StartUp, Waiting
from simulations.policies.past import Floats, Past, past_of
from simulations.policies.service import ServiceFacts
from simulations.policies.static import PEAK_RATIO
from simulations.policies.watching import RATE, standard_signals
from simulations.workload.catalogue import load_trace
from simulations.workload.load import Counts, Load, load_of
from simulations.workload.trace import Trace

STEP_SECONDS: Final = 5.0
DAY_SECONDS: Final = 86_400.0
WARM_UP_RATIO: Final = 0.6
LEARNED_DAYS: Final = 14.0
SCORED_DAYS: Final = 7.0
RUN_IN_SECONDS: Final = 3600.0
"""The run begins so long before scoring, or with the trace; its loops settle meanwhile."""

SEEDS: Final = 5
ARRIVALS_SEED: Final = 1
PEAK_REPLICAS: Final = 40
LATE_RATIO: Final = 0.005
"""Share of late requests at which load is sized, for the scale and for the oracle."""

BUDGET: Final = 0.005
"""Share of requests that may be late or dropped."""

SERVICE: Final = Service(mean_seconds=0.2, concurrency=4)
WAITING: Final = Waiting(slo_seconds=0.2, buffer_requests=1e6)
FACTS: Final = ServiceFacts(
    requests_per_second=SERVICE.requests_per_second,
    concurrency=SERVICE.concurrency,
    minimum=1,
    maximum=100,
)
"""What all autoscalers are told; 100 replicas are KEDA's default and 2.5 times the peak."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A start-up: log-normal, by median and 95th percentile, seconds."""

    name: str
    median: float
    p95: float

    def start_up(self, ratio: float = 1.0) -> StartUp:
        """Return the start-up, longer by a factor."""
        return StartUp(
            container=Delay(median_seconds=self.median * ratio, p95_seconds=self.p95 * ratio)
        )

    def horizon(self, ratio: float = 1.0) -> float:
        """Return the 95th percentile of what pods take to serve, seconds."""
        return quantile_seconds(self.start_up(ratio), 0.95)


PROFILES: Final = (
    Profile(name="fast", median=15.0, p95=45.0),
    Profile(name="slow", median=90.0, p95=180.0),
    Profile(name="very slow", median=240.0, p95=420.0),
)


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The world as it is, or as it might be too.

    Attributes:
        name: Empty = as it is.
        start_up_ratio: Factor on start-ups.
        service_ratio: Factor on what a replica serves, unknown to everybody but the oracle.
        lag_ratio: Factor on the age of metrics.
        peak_replicas: What the peak of a load needs.
        service: As everybody knows it.
        waiting: When a request is late.
        facts: What all autoscalers are told.
    """

    name: str = ""
    start_up_ratio: float = 1.0
    service_ratio: float = 1.0
    lag_ratio: float = 1.0
    peak_replicas: int = PEAK_REPLICAS
    service: Service = SERVICE
    waiting: Waiting = WAITING
    facts: ServiceFacts = FACTS

    @property
    def plant(self) -> Plant:
        """The plant; lanes have start-ups of their own."""
        mean = self.service.mean_seconds / self.service_ratio
        service = msgspec.structs.replace(self.service, mean_seconds=mean)
        return Plant(service=service, start_up=PROFILES[0].start_up(), waiting=self.waiting)

    @property
    def known_table(self) -> LatenessTable:
        """Late requests of the service as everybody knows it."""
        return LatenessTable(self.service, self.waiting, step_seconds=STEP_SECONDS)


AS_IS: Final = Variant()
SLOW_START: Final = Variant(name="start-up x2", start_up_ratio=2.0)
SENSITIVITY: Final = (
    Variant(name="service rate +15 %", service_ratio=1.15),
    Variant(name="service rate -15 %", service_ratio=0.85),
    Variant(name="lag x2", lag_ratio=2.0),
)
"""Besides :data:`SLOW_START`, whose lanes run with those of the world as it is."""

LONG_SERVICE: Final = Service(mean_seconds=20.0, concurrency=1)
LONG_WAITING: Final = Waiting(slo_seconds=20.0, timeout_seconds=300.0, buffer_requests=1e6)

SETS: Final = (
    Variant(
        name="a peak of 6 replicas",
        peak_replicas=6,
        facts=msgspec.structs.replace(FACTS, maximum=15),
    ),
    Variant(
        name="a peak of 400 replicas",
        peak_replicas=400,
        facts=msgspec.structs.replace(FACTS, maximum=1000),
    ),
    Variant(
        name="requests of 20 s, one at a time",
        service=LONG_SERVICE,
        waiting=LONG_WAITING,
        facts=ServiceFacts(
            requests_per_second=LONG_SERVICE.requests_per_second,
            concurrency=LONG_SERVICE.concurrency,
            minimum=FACTS.minimum,
            maximum=FACTS.maximum,
        ),
    ),
)
"""Other sizes and another service: how many replicas share a queue decides how much slack each
needs (square-root staffing), and how long a request takes, how soon a decision is felt."""

SENSITIVITY_DAYS: Final = 1.0
"""Scored days of the variants; they are compared with the same days of the world as it is."""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A trace ready to be run.

    Attributes:
        trace: Name.
        variant: Of the world.
        load: Of the run: run-in and scored part, its arrivals as counted in the first seed.
        further_counts: The arrivals as counted in the other seeds.
        pasts: What could be read of the load before the run, by seed.
        signals: What autoscalers see.
        table: Late requests of the service.
        run_in_steps: Not scored.
        peak_before: Rate that all but a thousandth of the time before scoring stays below.
        peak_after: The same of all days that could be scored, few as the run may score.
    """

    trace: str
    variant: Variant
    load: Load
    further_counts: tuple[Counts, ...]
    pasts: tuple[Past, ...]
    signals: tuple[Signal, ...]
    table: LatenessTable
    run_in_steps: int
    peak_before: float
    peak_after: float

    @property
    def past(self) -> Past:
        """What could be read before the run in the first seed."""
        return self.pasts[0]

    def replicas_for(self, rates: Floats) -> Floats:
        """Return the least replicas that serve rates well enough."""
        return self.table.replicas_for(rates, LATE_RATIO)


def prepare(
    name: str, variant: Variant = AS_IS, *, scored_days: float = SCORED_DAYS, seeds: int = 1
) -> Prepared:
    """Cut, scale and split a shipped trace.

    Args:
        name: Of the trace.
        variant: Of the world.
        scored_days: At most.
        seeds: Draws of the counted arrivals.
    """
    trace, learned_steps = cut(load_trace(name))
    scale = carried(variant) / peak_of(trace)
    loads = [
        load_of(trace, step_seconds=STEP_SECONDS, seed=ARRIVALS_SEED + seed, scale=scale)
        for seed in range(seeds)
    ]
    load = loads[0]
    warm_up = int(learned_steps * trace.step_seconds / STEP_SECONDS)
    run_in = min(round(RUN_IN_SECONDS / STEP_SECONDS), warm_up)
    begin = warm_up - run_in
    end = min(load.steps, warm_up + int(scored_days * DAY_SECONDS / STEP_SECONDS))
    signals = standard_signals(lag_ratio=variant.lag_ratio)
    rate = next(signal for signal in signals if signal.name == RATE)
    plant = variant.plant
    rates = load.expected / STEP_SECONDS
    return Prepared(
        trace=name,
        variant=variant,
        load=part_of(load, begin, end),
        further_counts=tuple(drawn.counted[begin:end] for drawn in loads[1:]),
        pasts=tuple(past_of(drawn, rate, steps=begin, seed=ARRIVALS_SEED) for drawn in loads),
        signals=signals,
        table=LatenessTable(plant.service, plant.waiting, step_seconds=STEP_SECONDS),
        run_in_steps=run_in,
        peak_before=float(np.quantile(rates[:warm_up], PEAK_RATIO)),
        peak_after=float(np.quantile(rates[warm_up:], PEAK_RATIO)),
    )


def cut(trace: Trace) -> tuple[Trace, int]:
    """Return the part of a trace that is used, and how many of its steps are the past."""
    per_day = DAY_SECONDS / trace.step_seconds
    split = int(WARM_UP_RATIO * len(trace.values))
    begin = max(0, split - int(LEARNED_DAYS * per_day))
    end = min(len(trace.values), split + int(SCORED_DAYS * per_day))
    used = msgspec.structs.replace(
        trace,
        start_at=trace.start_at + begin * trace.step_seconds,
        values=trace.values[begin:end],
    )
    return used, split - begin


def part_of(load: Load, begin: int, end: int) -> Load:
    """Return some steps of a load."""
    return msgspec.structs.replace(
        load,
        start_at=load.start_at + begin * load.step_seconds,
        expected=load.expected[begin:end],
        counted=load.counted[begin:end],
        known=load.known[begin:end],
    )


def peak_of(trace: Trace) -> float:
    """Return the rate that all but a thousandth of a trace's steps stay below."""
    return float(np.nanquantile(trace.per_second(), PEAK_RATIO))


def carried(variant: Variant) -> float:
    """Return the highest rate that the peak's replicas serve well enough."""
    table, peak = variant.known_table, variant.peak_replicas
    low, high = 0.0, peak * variant.service.requests_per_second
    for _ in range(60):
        middle = (low + high) / 2
        if table.replicas_for(np.array([middle]), LATE_RATIO)[0] <= peak:
            low = middle
        else:
            high = middle
    return low
