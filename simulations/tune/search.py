"""The search: random candidates first, then variations of the best ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from simulations.errors import SimulationError
from simulations.score.frontier import Point, frontier
from simulations.sweep.executors import Executor
from simulations.tune.evaluate import Outcomes, World, evaluate, joined
from simulations.tune.space import Choice, Space

ROUNDS: Final = 5
FINALISTS: Final = 64
PARENTS: Final = 16
"""Best candidates of each kind that are varied in the next round."""
DOUBTS: Final = 1.0
"""Standard errors by which a candidate must stay below the budget, as other days differ."""
REHEARSED: Final = 0.8
"""Share of the late requests in the rehearsal that a candidate may have, as real bursts differ."""

Floats = NDArray[np.float64]
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


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Late requests that a candidate may have.

    Attributes:
        late: In each span.
        rehearsed: In the rehearsal.
    """

    late: Floats
    rehearsed: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found.

    Attributes:
        tried: Every candidate with its cost and violations on the days searched, with one seed.
        choices: Of each candidate.
        base: The object to beat, on the days searched, with all seeds.
        best: Position of the chosen candidate.
        budget: Violations it had to keep.
        chosen: The chosen candidate, with all seeds.
        allowed: Late requests it might have had.
    """

    tried: tuple[Point, ...]
    choices: tuple[Choice, ...]
    base: Point
    best: int
    budget: float
    chosen: Point
    allowed: Allowed


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
    to_beat = dict(against or space.raw)
    quick = msgspec.structs.replace(world, seeds=world.seeds[:1])
    allowed = _allowed(evaluate(quick, [to_beat], executor), budget)
    choices: list[Choice] = [space.unchanged]
    seen = {space.unchanged}
    # One for the finalists; the last is left to whoever looks at the effects.
    steps = ROUNDS + 2
    outcomes: Outcomes | None = None
    for number in range(ROUNDS):
        parents = [] if outcomes is None else _parents(outcomes, allowed)
        begin = 0 if outcomes is None else len(choices)
        count = max(1, candidates // ROUNDS)
        drawn = [choices[index] for index in parents]
        choices += _fresh(space, drawn, count, random, seen, near_ratio=number / ROUNDS)
        made = [space.manifest(one) for one in choices[begin:]]
        if made:
            more = evaluate(quick, made, executor, progress=_within(progress, number, steps))
            outcomes = more if outcomes is None else joined([outcomes, more])
    assert outcomes is not None
    chances = _finalists(outcomes, allowed)
    final = evaluate(
        world,
        [to_beat, *(space.manifest(choices[index]) for index in chances)],
        executor,
        progress=_within(progress, ROUNDS, steps),
    )
    base, *points = final.points()
    allowed = _allowed(final, budget)
    ratio = base.violation_ratio if budget is None else budget
    best = _best(points, doubtful_excess(final, allowed)[1:], base, ratio, tried=len(choices))
    return Found(
        tried=tuple(outcomes.points()),
        choices=tuple(choices),
        base=base,
        best=chances[best],
        budget=ratio,
        chosen=points[best],
        allowed=allowed,
    )


def doubtful_excess(outcomes: Outcomes, allowed: Allowed) -> Floats:
    """Return by how much late requests of each candidate may exceed what is allowed, as a ratio.

    The excess of the spans is taken for a sample: its sum and :data:`DOUBTS` standard errors. A
    candidate that wins much on one day and loses a little on all others is in doubt; so is one that
    does worse in the rehearsal.

    Args:
        outcomes: Of the candidates.
        allowed: Late requests.
    """
    excess = outcomes.late - allowed.late[:, None]
    error = excess.std(axis=0, ddof=1) * math.sqrt(len(excess))
    highest = np.maximum(
        excess.sum(axis=0) + DOUBTS * error, outcomes.rehearsed - allowed.rehearsed
    )
    found: Floats = highest / max(outcomes.requests.sum(), 1e-12)
    return found


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
    outcomes = evaluate(world, [space.manifest(one) for one in (choice, *without)], executor)
    mine, *points = outcomes.points()
    excess = doubtful_excess(outcomes, found.allowed)
    kept, result = list(choice), []
    for index, point in zip(changed, points, strict=True):
        setting = space.settings[index]
        same_cost = abs(point.cost / mine.cost - 1) < matters
        if same_cost and excess[point.policy] <= max(0.0, excess[0]):
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
    check = evaluate(world, [space.manifest(final)], executor)
    is_late = doubtful_excess(check, found.allowed)[0] > max(0.0, excess[0])
    if is_late or check.cost[0] > mine.cost * (1 + matters):
        return result, choice
    return result, final


def _allowed(base: Outcomes, budget: float | None) -> Allowed:
    """Return the late requests allowed per span: a share, or those of the first candidate."""
    late: Floats = base.late[:, 0] if budget is None else budget * base.requests
    return Allowed(late=late, rehearsed=REHEARSED * float(base.rehearsed[0]))


def _within(progress: Progress | None, number: int, steps: int) -> Progress | None:
    """Return a progress of one step of several."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, steps * total)


def _best(
    points: Sequence[Point], excess: Floats, base: Point, allowed: float, *, tried: int
) -> int:
    """Return the cheapest candidate beyond doubt, else the least doubtful cheaper one.

    Raises:
        SimulationError: There is none, or the object to beat is as cheap.
    """
    within = [index for index, point in enumerate(points) if point.violation_ratio <= allowed]
    if not within:
        fewest = min(points, key=lambda point: point.violation_ratio)
        raise SimulationError(
            f"none of {tried} candidates keeps late requests at or below {allowed:.4%}; the "
            f"fewest were {fewest.violation_ratio:.4%} at a cost of {fewest.cost:,.1f}",
            field="budget",
        )
    to_beat = base.cost if base.violation_ratio <= allowed else math.inf
    cheaper = [index for index in within if points[index].cost < to_beat]
    sure = [index for index in cheaper if excess[index] <= 0]
    if sure:
        return min(sure, key=lambda index: points[index])
    if cheaper:
        return min(cheaper, key=lambda index: float(excess[index]))
    cheapest = min(points[index].cost for index in within)
    raise SimulationError(
        f"none of {tried} candidates is cheaper than {base.cost:,.1f} and keeps late requests "
        f"at or below {allowed:.4%}; the cheapest that does costs {cheapest:,.1f}. Allow "
        "more with --budget, or try more --candidates",
        field="budget",
    )


def _parents(outcomes: Outcomes, allowed: Allowed) -> list[int]:
    """Return the cheapest candidates beyond doubt, and the frontier around the budget."""
    excess = doubtful_excess(outcomes, allowed)
    pairs = zip(outcomes.cost.tolist(), excess.tolist(), strict=True)
    points = [Point(cost, late, index) for index, (cost, late) in enumerate(pairs)]
    edge = frontier(points)
    keeps = next((at for at, point in enumerate(edge) if point.violation_ratio <= 0), len(edge))
    around = edge[max(0, keeps - PARENTS // 2) : keeps + PARENTS // 2]
    safe = sorted(point for point in points if point.violation_ratio <= 0)
    chosen = dict.fromkeys(point.policy for point in (*around, *safe[:PARENTS]))
    return list(chosen)


def _finalists(outcomes: Outcomes, allowed: Allowed) -> list[int]:
    """Return the candidates worth more seeds: the cheapest of those that may keep the budget."""
    excess = doubtful_excess(outcomes, allowed)
    order = np.lexsort((outcomes.cost, excess > 0)).tolist()
    ratio = outcomes.late.sum(axis=0)
    within = [i for i in np.argsort(outcomes.cost).tolist() if ratio[i] <= allowed.late.sum()]
    fewest = int(np.argmin(ratio))
    return list(dict.fromkeys([*order[:FINALISTS], *within[: FINALISTS // 4], fewest]))


def _fresh(
    space: Space,
    parents: list[Choice],
    count: int,
    random: np.random.Generator,
    seen: set[Choice],
    *,
    near_ratio: float,
) -> list[Choice]:
    """Return candidates nobody has tried; fewer when the space has no more to give."""
    fresh: list[Choice] = []
    for _ in range(20 * count):
        if len(fresh) >= count:
            break
        drawn = (
            space.vary(parents[random.integers(len(parents))], random, near_ratio=near_ratio)
            if parents
            else space.draw(random)
        )
        if drawn not in seen:
            seen.add(drawn)
            fresh.append(drawn)
    return fresh


def _without(choice: Choice, index: int) -> Choice:
    return tuple(None if at == index else value for at, value in enumerate(choice))
