"""Worlds a little different from the one assumed: does a ranking survive them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from simulations.plant.parameters import Delay, StartUp
from simulations.scenario.model import ScenarioModel, TierModel
from simulations.scenario.read import signals_of

SLOWER, FASTER = 1.15, 0.85


def _each_tier(
    change: Callable[[TierModel], TierModel],
) -> Callable[[ScenarioModel], ScenarioModel]:
    return lambda model: replace(model, tiers=tuple(change(tier) for tier in model.tiers))


def _twice(delay: Delay | None) -> Delay | None:
    return None if delay is None else delay.times(2)


def _slow_start(tier: TierModel) -> TierModel:
    start_up = tier.start_up
    doubled = StartUp(
        container=start_up.container.times(2),
        scale_write=_twice(start_up.scale_write),
        scheduling=_twice(start_up.scheduling),
        image_pull=replace(start_up.image_pull, seconds=2 * start_up.image_pull.seconds),
        probe_period_seconds=start_up.probe_period_seconds,
        endpoint=_twice(start_up.endpoint),
        warm_up_seconds=2 * start_up.warm_up_seconds,
    )
    return replace(tier, start_up=doubled)


def _service(factor: float) -> Callable[[TierModel], TierModel]:
    def change(tier: TierModel) -> TierModel:
        service = replace(tier.service, mean_seconds=factor * tier.service.mean_seconds)
        return replace(tier, service=service)

    return change


def _late_metrics(tier: TierModel) -> TierModel:
    signals = tuple(
        replace(signal, lag_seconds=2 * signal.lag_seconds) for signal in signals_of(tier)
    )
    return replace(tier, signals=signals)


VARIANTS: Final[dict[str, Callable[[ScenarioModel], ScenarioModel]]] = {
    "start-up x2": _each_tier(_slow_start),
    "service +15 %": _each_tier(_service(SLOWER)),
    "service -15 %": _each_tier(_service(FASTER)),
    "lag x2": _each_tier(_late_metrics),
}
"""The sensitivities every report shows."""


def is_stable(figures: Sequence[Sequence[float]], *, matters: float) -> list[bool]:
    """Return, per policy, whether it keeps its side of every other one in every world.

    Args:
        figures: Per world (the assumed one first), one figure per policy.
        matters: Differences up to this are no ranking.
    """
    policies = range(len(figures[0]))

    def side(world: Sequence[float], one: int, other: int) -> int:
        difference = world[one] - world[other]
        return 0 if abs(difference) <= matters else 1 if difference > 0 else -1

    def flips(one: int, other: int) -> bool:
        return len({side(world, one, other) for world in figures} - {0}) > 1

    return [not any(flips(one, other) for other in policies if other != one) for one in policies]
