"""The search: random candidates first, then variations of the best ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import numpy as np

from simulations.errors import SimulationError
from simulations.score.frontier import Point, frontier
from simulations.sweep.executors import Executor
from simulations.tune.evaluate import World, evaluate
from simulations.tune.space import Choice, Space

ROUNDS: Final = 4
MARGIN: Final = 0.8
"""Share of the violation budget a candidate may use on the days searched, as other days differ."""

Progress = Callable[[int, int], None]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one changed setting does: the tuned object without it.

    Attributes:
        path: Field.
        value: Chosen.
        meaning: Of the field.
        cost_without: Relative to the tuned object's cost.
        violations_without: Ratio.
    """

    path: str
    value: str
    meaning: str
    cost_without: float
    violations_without: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found.

    Attributes:
        tried: Every candidate with its cost and violations on the days searched.
        choices: Of each candidate.
        base: The object to beat, on the days searched.
        best: Position of the chosen candidate.
        budget: Violations it had to keep.
    """

    tried: tuple[Point, ...]
    choices: tuple[Choice, ...]
    base: Point
    best: int
    budget: float

    @property
    def chosen(self) -> Point:
        """The chosen candidate on the days searched."""
        return self.tried[self.best]


def search(
    space: Space,
    world: World,
    executor: Executor,
    *,
    candidates: int,
    budget: float | None = None,
    against: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Found:
    """Search for the cheapest object within a violation budget.

    Args:
        space: What may be changed.
        world: The days searched.
        executor: Where candidates run.
        candidates: How many to try, about.
        budget: Allowed share of late requests; that of ``against`` when None.
        against: The object to beat; the one that is tuned when None.
        seed: Of the search.
        progress: Told about candidates tried.

    Raises:
        SimulationError: Nothing tried keeps the budget, or nothing that does is cheaper than an
            object to beat that keeps it, too.
    """
    random = np.random.default_rng([seed, 0x5455])
    base = evaluate(world, [dict(against or space.raw)], executor)[0]
    allowed = base.violation_ratio if budget is None else budget
    choices: list[Choice] = [space.unchanged]
    seen = {space.unchanged}
    tried: list[Point] = []
    per_round = max(1, candidates // ROUNDS)
    for number in range(ROUNDS):
        parents = [choices[point.policy] for point in _elite(tried, allowed)]
        fresh = _fresh(space, parents, per_round, random, seen)
        choices += fresh
        begin = len(tried)
        points = evaluate(world, [space.manifest(one) for one in choices[begin:]], executor)
        tried += [
            Point(point.cost, point.violation_ratio, begin + point.policy) for point in points
        ]
        if progress is not None:
            progress(number + 1, ROUNDS)
    best = _best(tried, base, allowed)
    return Found(
        tried=tuple(tried),
        choices=tuple(choices),
        base=base,
        best=best.policy,
        budget=allowed,
    )


def effects(
    space: Space, found: Found, world: World, executor: Executor, *, matters: float = 0.001
) -> tuple[list[Effect], Choice]:
    """Undo every changed setting on its own; settings that do nothing are left as they were.

    Args:
        space: What could be changed.
        found: The search.
        world: The days searched.
        executor: Where candidates run.
        matters: Relative difference of cost below which a setting does nothing.

    Returns:
        The effects, and the choice without idle settings.
    """
    choice = found.choices[found.best]
    changed = [index for index, value in enumerate(choice) if value is not None]
    without = [_without(choice, index) for index in changed]
    points = evaluate(world, [space.manifest(one) for one in without], executor) if without else []
    mine = found.chosen
    kept, result = list(choice), []
    for index, point in zip(changed, points, strict=True):
        setting = space.settings[index]
        same_cost = abs(point.cost / mine.cost - 1) < matters
        if same_cost and point.violation_ratio <= mine.violation_ratio:
            kept[index] = None
            continue
        result.append(
            Effect(
                path=setting.path,
                value=str(choice[index]),
                meaning=setting.meaning,
                cost_without=point.cost / mine.cost,
                violations_without=point.violation_ratio,
            )
        )
    final = tuple(kept)
    if final == choice:
        return result, choice
    check = evaluate(world, [space.manifest(final)], executor)[0]
    if check.violation_ratio > found.budget or check.cost > mine.cost * (1 + matters):
        return result, choice
    return result, final


def _best(tried: list[Point], base: Point, allowed: float) -> Point:
    """Return the cheapest candidate that keeps the budget, with a margin if that is cheaper, too.

    Raises:
        SimulationError: There is none, or the object to beat is as cheap.
    """
    within = [point for point in tried if point.violation_ratio <= allowed]
    if not within:
        fewest = min(tried, key=lambda point: point.violation_ratio)
        raise SimulationError(
            f"none of {len(tried)} candidates keeps late requests at or below {allowed:.4%}; the "
            f"fewest were {fewest.violation_ratio:.4%} at a cost of {fewest.cost:,.1f}",
            field="budget",
        )
    to_beat = base.cost if base.violation_ratio <= allowed else float("inf")
    safe = [point for point in within if point.violation_ratio <= MARGIN * allowed]
    for points in (safe, within):
        if points and min(points).cost < to_beat:
            return min(points)
    raise SimulationError(
        f"none of {len(tried)} candidates is cheaper than {base.cost:,.1f} and keeps late requests "
        f"at or below {allowed:.4%}; the cheapest that does costs {min(within).cost:,.1f}. Allow "
        "more with --budget, or try more --candidates",
        field="budget",
    )


def _elite(tried: list[Point], allowed: float) -> list[Point]:
    """Return the frontier and the cheapest within the budget."""
    if not tried:
        return []
    within = sorted(point for point in tried if point.violation_ratio <= allowed)
    return [*frontier(tried), *within[:20]]


def _fresh(
    space: Space,
    parents: list[Choice],
    count: int,
    random: np.random.Generator,
    seen: set[Choice],
) -> list[Choice]:
    """Return candidates nobody has tried; fewer when the space has no more to give."""
    fresh: list[Choice] = []
    for _ in range(20 * count):
        if len(fresh) >= count:
            break
        drawn = (
            space.vary(parents[random.integers(len(parents))], random)
            if parents
            else space.draw(random)
        )
        if drawn not in seen:
            seen.add(drawn)
            fresh.append(drawn)
    return fresh


def _without(choice: Choice, index: int) -> Choice:
    return tuple(None if at == index else value for at, value in enumerate(choice))
