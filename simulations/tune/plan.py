"""From an object and a world to a tuned object with its proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import yaml

from simulations.engine.run import Run
from simulations.errors import SimulationError
from simulations.plant.parameters import SignalKind
from simulations.scenario.candidates import tested_tier, triggers_of
from simulations.scenario.model import TierModel
from simulations.scenario.read import Scenario
from simulations.score.frontier import Point, knee
from simulations.score.score import Score, mean_score, score
from simulations.sweep.executors import Executor
from simulations.tune.evaluate import World, decided_of, replayed
from simulations.tune.search import Effect, Found, effects, search
from simulations.tune.space import space_of
from simulations.workload import compose

DAY_SECONDS: Final = 86_400.0
STARTS_SECONDS: Final = 900.0
"""The beginning of each part is not scored: it shows the first replicas, not the policy."""


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """The result.

    Attributes:
        found: The search.
        knee: Of the frontier of all candidates.
        effects: Of each changed setting.
        base: The object to beat, on days not searched on.
        best: The tuned object there.
        base_run: Its first run there.
        best_run: Its first run there.
        yaml: The tuned object, ready to apply.
        source: Of the load.
        searched_days: Length.
        tested_days: Length.
    """

    found: Found
    knee: Point
    effects: tuple[Effect, ...]
    base: Score
    best: Score
    base_run: Run
    best_run: Run
    yaml: str
    source: str
    searched_days: float
    tested_days: float

    @property
    def saving(self) -> float:
        """Share of the cost saved on the days tested."""
        return 1.0 - self.best.cost / self.base.cost


def tuned(
    raw: Mapping[str, Any],
    scenario: Scenario,
    executor: Executor,
    *,
    against: Mapping[str, Any] | None = None,
    budget: float | None = None,
    candidates: int = 1000,
    search_ratio: float = 0.6,
    seeds: int = 2,
    keep_group: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Search on the first days of a scenario's load and test on the rest.

    Args:
        raw: The object as written.
        scenario: Its tier under test is the world; what scales that tier there does not matter.
        executor: Where candidates run.
        against: The object to beat; ``raw`` itself when None.
        budget: See :func:`simulations.tune.search.search`.
        candidates: How many to try.
        search_ratio: Share of the load to search on.
        seeds: Runs of the best candidates; the others have one.
        keep_group: See :func:`simulations.tune.space.space_of`.
        progress: Told after each round.

    Raises:
        SimulationError: The tier stands behind others, or nothing keeps the budget.
    """
    searched, tested = _worlds(scenario, search_ratio, seeds)
    space = space_of(raw, keep_group=keep_group, rates=_rates(raw, searched.tier))
    found = search(
        space,
        searched,
        executor,
        candidates=candidates,
        budget=budget,
        against=against,
        progress=progress,
    )
    changes, choice = effects(space, found, searched, executor)
    if progress is not None:
        progress(1, 1)
    manifest = space.manifest(choice)
    base, base_run = _exact(tested, dict(against or raw), "before")
    best, best_run = _exact(tested, manifest, "tuned")
    return Tuned(
        found=found,
        knee=knee(found.tried),
        effects=tuple(changes),
        base=base,
        best=best,
        base_run=base_run,
        best_run=best_run,
        yaml=yaml.safe_dump(manifest, sort_keys=False),
        source=scenario.trace.source or scenario.trace.name,
        searched_days=searched.trace.duration_seconds / DAY_SECONDS,
        tested_days=tested.trace.duration_seconds / DAY_SECONDS,
    )


def _rates(raw: Mapping[str, Any], tier: TierModel) -> dict[int, float]:
    """Return the triggers that measure arriving requests, and what one replica serves in them."""
    measured = triggers_of(raw, tier.autoscaler)
    rates = {signal.name for signal in tier.signals if signal.kind is SignalKind.REQUEST_RATE}
    return {
        index: tier.service.requests_per_second * measured[key].factor
        for index, trigger in enumerate(raw["spec"].get("triggers", []))
        for key in (str(index), trigger.get("name", ""))
        if key in measured and measured[key].signal in rates
    }


def _worlds(scenario: Scenario, search_ratio: float, seeds: int) -> tuple[World, World]:
    """Return the days to search on and those to test on, with other seeds."""
    tier = scenario.model.tiers[tested_tier(scenario.model)]
    if tier.upstream:
        names = ", ".join([tier.upstream] if isinstance(tier.upstream, str) else tier.upstream)
        raise SimulationError(
            f"tier {tier.name} gets its load from {names}; tune needs a tier that gets the "
            "workload itself",
            field="tiers",
        )
    trace = scenario.trace
    edge = search_ratio * trace.duration_seconds
    searched = World(
        tier=tier,
        trace=compose.cut(trace, from_seconds=0, duration_seconds=edge),
        step_seconds=scenario.model.step_seconds,
        seeds=tuple(range(seeds)),
        score_from_seconds=max(scenario.model.score_from_seconds, STARTS_SECONDS),
        rehearses=True,
    )
    tested = msgspec.structs.replace(
        searched,
        trace=compose.cut(trace, from_seconds=searched.trace.duration_seconds),
        seeds=tuple(range(100, 100 + seeds)),
        score_from_seconds=STARTS_SECONDS,
        rehearses=False,
    )
    return searched, tested


def _exact(world: World, manifest: dict[str, Any], name: str) -> tuple[Score, Run]:
    """Return the mean score of a manifest on the decision code itself, and its first run."""
    scores, runs = [], []
    for seed in world.seeds:
        run = replayed(world, decided_of(world, manifest), world.load(seed), seed)
        runs.append(run)
        scores.append(score(run, from_step=world.from_step, name=name))
    return mean_score(scores), runs[0]
