"""Random metric series, and their course: values advance with the looks of the HPA."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.e2e.hpa.timing import CHANGE_AFTER_SECONDS

Values = tuple[float | None, ...]
"""Of each metric in multiples of its target; None = the source fails."""


class Step(NamedTuple):
    """Values that stay for a whole number of looks."""

    values: Values
    looks: int


class Shape(NamedTuple):
    """What a case's series are like.

    Attributes:
        highest: Total demand in replicas, for metrics that are totals; None = values are ratios to
            the target that each look multiplies the replicas with, so they come in pulses.
        metrics: How many metrics.
        shortest_looks: Each value stays at least so many looks.
    """

    highest: float | None
    metrics: int
    shortest_looks: int


def random_series(rng: random.Random, shape: Shape, looks: int) -> tuple[Step, ...]:
    """Return steps, ramps, noise and missing periods of so many looks in total."""
    steps: list[Step] = []
    left = looks
    segments = _totals(rng, shape) if shape.highest is not None else _pulses(rng, shape)
    for step in segments:
        taken = min(max(step.looks, shape.shortest_looks), left)
        steps.append(step._replace(looks=taken))
        left -= taken
        if not left:
            break
    return tuple(steps)


def _totals(rng: random.Random, shape: Shape) -> Iterator[Step]:
    assert shape.highest is not None
    levels = [rng.uniform(0.5, shape.highest) for _ in range(shape.metrics)]
    yield Step(tuple(levels), 2)
    while True:
        kind = rng.choice(["step", "step", "ramp", "noise", "missing"])
        if kind == "missing":
            yield Step(_with_missing(rng, levels), rng.randint(1, 4))
            continue
        before, levels = levels, [rng.uniform(0.5, shape.highest) for _ in levels]
        if kind == "ramp":
            count = rng.randint(3, 5)
            for number in range(1, count):
                part = number / count
                between = [a + (b - a) * part for a, b in zip(before, levels, strict=True)]
                yield Step(tuple(between), 1)
        if kind == "noise":
            for _ in range(rng.randint(3, 6)):
                yield Step(tuple(level * rng.uniform(0.85, 1.15) for level in levels), 1)
        yield Step(tuple(levels), rng.randint(2, 6))


def _pulses(rng: random.Random, shape: Shape) -> Iterator[Step]:
    def calm() -> list[float]:
        return [rng.uniform(0.95, 1.05) for _ in range(shape.metrics)]

    yield Step(tuple(calm()), 2)
    while True:
        if rng.random() < 0.2:
            yield Step(_with_missing(rng, calm()), rng.randint(1, 3))
        pulse = calm()
        pulse[rng.randrange(shape.metrics)] = rng.choice(
            [rng.uniform(1.06, 1.3), rng.uniform(1.3, 2.2)]
        )
        if rng.random() < 0.55:
            pulse = [rng.uniform(0.4, 0.94) for _ in pulse]
        yield Step(tuple(pulse), rng.randint(1, 2))
        yield Step(tuple(calm()), rng.randint(1, 4))


def _with_missing(rng: random.Random, values: list[float]) -> Values:
    missing = rng.randrange(len(values))
    everything = rng.random() < 0.3
    return tuple(
        None if everything or index == missing else value for index, value in enumerate(values)
    )


class Course:
    """Where a series is now.

    A value stays for a counted number of looks of the HPA and changes well between two of them, so
    how often the HPA sees it does not depend on how fast this machine is.

    Args:
        steps: The series.

    Attributes:
        looks: When the HPA looked, on the monotonic clock.
        done: Set once it has looked at the last value often enough.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self._index = 0
        self._seen = 0
        self.looks: list[float] = []
        self.done = asyncio.Event()

    @property
    def values(self) -> Values:
        """What both sides are told now."""
        return self._steps[self._index].values

    def looked(self) -> None:
        """Note that the HPA read the first metric."""
        self.looks.append(time.monotonic())
        self._seen += 1
        if self._seen != self._steps[self._index].looks:
            return
        if self._index + 1 == len(self._steps):
            self.done.set()
        else:
            asyncio.get_running_loop().call_later(CHANGE_AFTER_SECONDS, self._advance)

    def _advance(self) -> None:
        self._index += 1
        self._seen = 0
