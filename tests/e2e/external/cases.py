"""Twenty policies, each with a random series: steps, ramps, noise, missing values, and zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from tests.e2e.external.manifests import POLL, PUSH, read_from
from tests.e2e.keda.cases import Step, Values

SEED: Final = 5
SYNC_SECONDS: Final = 2
"""Of the HPA."""
DOWNSCALE_SECONDS: Final = 1
"""Controller-wide; the objects have windows of their own."""
TARGET: Final = 10
HIGHEST: Final = 18
"""Replicas that one trigger asks for at most."""
SEGMENTS: Final = ("step", "ramp", "noise", "missing", "zero")


class Case(NamedTuple):
    """One object of KEDA's and its series.

    Attributes:
        kind: Its trigger type.
        policy: The part that is not about triggers.
        smoothing: Of its triggers, if any.
        triggers: How many its policy has.
    """

    name: str
    kind: str
    policy: Mapping[str, Any]
    smoothing: Mapping[str, Any]
    triggers: int
    series: Sequence[Step]

    def spec(self, url: str) -> dict[str, Any]:
        """Return the whole policy, reading from the source at an address."""
        triggers = []
        for index in range(self.triggers):
            trigger: dict[str, Any] = {
                "type": "metrics-api",
                "name": "ab"[index],
                "metadata": read_from(f"{url}/{self.name}/{index}", TARGET),
            }
            if self.smoothing:
                trigger["smoothing"] = dict(self.smoothing)
            triggers.append(trigger)
        return {"pollingInterval": 1, "cooldownPeriod": 0, **self.policy, "triggers": triggers}


def _behavior(up: Mapping[str, Any], down: Mapping[str, Any]) -> dict[str, Any]:
    both = {"scaleUp": dict(up), "scaleDown": {"stabilizationWindowSeconds": 0, **down}}
    return {"horizontalPodAutoscalerConfig": {"behavior": both}}


def rate(kind: str, value: int, period_seconds: int) -> dict[str, Any]:
    """Return rules that allow so much per period."""
    return {"policies": [{"type": kind, "value": value, "periodSeconds": period_seconds}]}


FREE: Final = rate("Pods", 1000, 1)
EXACT: Final = {**FREE, "tolerance": "0"}
AT_ONCE: Final = {"advanced": _behavior(EXACT, EXACT)}
TOLERANT: Final = {"advanced": _behavior(FREE, FREE)}


def _formula(text: str) -> dict[str, Any]:
    modifiers = {"formula": text, "target": str(TARGET)}
    return {"advanced": {**_behavior(EXACT, EXACT), "scalingModifiers": modifiers}}


def moving(up: Mapping[str, Any], down: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a policy with rules that hold counts back."""
    return {"advanced": _behavior({**EXACT, **up}, {**EXACT, **down})}


_MEDIAN: Final = {"type": "median", "samples": 3}
_LONG_MEDIAN: Final = {"type": "median", "samples": 5}
_AVERAGE: Final = {"type": "ewma", "halfLifeSeconds": 2}
_FALLBACK: Final = {"fallback": {"failureThreshold": 2, "replicas": 6}}
_SHAPES: Final[Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any], int]]] = (
    ("plain-1", AT_ONCE, {}, 1),
    ("plain-2", AT_ONCE, {}, 1),
    ("plain-3", {**AT_ONCE, "cooldownPeriod": 4}, {}, 1),
    ("tolerant-1", TOLERANT, {}, 1),
    ("tolerant-2", TOLERANT, {}, 2),
    ("median-1", AT_ONCE, _MEDIAN, 1),
    ("median-2", AT_ONCE, _LONG_MEDIAN, 1),
    ("average-1", AT_ONCE, _AVERAGE, 1),
    ("average-2", AT_ONCE, {**_AVERAGE, "halfLifeSeconds": 4}, 2),
    ("highest-1", AT_ONCE, {}, 2),
    ("highest-2", {**AT_ONCE, "maxReplicaCount": 12}, {}, 2),
    ("sum", _formula("a + b"), {}, 2),
    ("mean", _formula("(a + b) / 2"), {}, 2),
    ("smooth-sum", _formula("a + b"), _MEDIAN, 2),
    ("slow-up", moving(rate("Pods", 2, 3), {}), {}, 1),
    ("slow-down", moving({}, rate("Pods", 1, 3)), {}, 1),
    ("windows", moving({"stabilizationWindowSeconds": 4}, {"stabilizationWindowSeconds": 6}),
     {}, 1),
    ("minimum", {**AT_ONCE, "minReplicaCount": 2}, {}, 1),
    ("fallback-1", {**AT_ONCE, **_FALLBACK}, {}, 1),
    ("fallback-2", {**AT_ONCE, **_FALLBACK}, _MEDIAN, 2),
)  # fmt: skip


def random_cases() -> list[Case]:
    """Return the cases of the seed."""
    cases = []
    for number, (name, policy, smoothing, triggers) in enumerate(_SHAPES):
        rng = Random(SEED * 1000 + number)
        series = tuple(_series(rng, triggers))
        kind = PUSH if number % 2 else POLL
        cases.append(Case(name, kind, policy, smoothing, triggers, series))
    return cases


def _series(rng: Random, triggers: int) -> Iterator[Step]:
    """Yield every kind of segment once, in any order; each ends with a level that stays.

    It begins with zero: a server that is asked about twenty new policies at once may decide later
    than it reads, and the first rates would count from then.
    """
    levels = _levels(rng, triggers)
    yield Step(4, (0.0,) * triggers)
    yield Step(6, levels)
    for segment in rng.sample(SEGMENTS, len(SEGMENTS)):
        before, levels = levels, _levels(rng, triggers)
        if segment == "ramp":
            yield from _ramp(before, levels)
        elif segment == "noise":
            for _ in range(5):
                yield Step(2, tuple(_near(rng, level) for level in levels))
        elif segment == "missing":
            yield Step(6, _missing(rng, before))
        elif segment == "zero":
            yield Step(8, (0.0,) * triggers)
        yield Step(7, levels)


def _levels(rng: Random, triggers: int) -> tuple[float, ...]:
    """Return values between two counts, so that no last digit decides."""
    counts = [rng.randint(1, HIGHEST) for _ in range(triggers)]
    return tuple(TARGET * (count - rng.uniform(0.2, 0.8)) for count in counts)


def _ramp(before: Sequence[float], after: Sequence[float]) -> Iterator[Step]:
    count = 4
    for number in range(1, count):
        part = number / count
        yield Step(3, tuple(a + (b - a) * part for a, b in zip(before, after, strict=True)))


def _near(rng: Random, level: float) -> float:
    return level * rng.uniform(0.8, 1.2)


def _missing(rng: Random, levels: Sequence[float]) -> Values:
    """Return the levels without those of one trigger, or of all."""
    missing = rng.randrange(len(levels))
    everything = rng.random() < 0.5
    return tuple(
        None if everything or index == missing else level for index, level in enumerate(levels)
    )
