"""The random specs: bounds, targets, behavior, and the series each is run on."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from tests.e2e.hpa.series import Shape, Step, random_series
from tests.e2e.hpa.timing import BETWEEN_LOOKS

SEED = 20260
LOOKS = 36
REQUEST_MILLI = 100
"""Requested cpu of every pod."""


class Metric(NamedTuple):
    """One metric of a spec.

    Attributes:
        target_type: ``AverageValue``, ``Value`` or ``Utilization``.
        target: Thousandths; percent for ``Utilization``.
        is_cpu: Usage of pods instead of a number from outside.
    """

    target_type: str
    target: int
    is_cpu: bool = False

    def amount_milli(self, ratio: float) -> int:
        """Return the total, or with cpu the usage of each pod, at a multiple of the target."""
        target = self.target
        if self.target_type == "Utilization":
            target = self.target * REQUEST_MILLI // 100
        return round(ratio * target)


class Case(NamedTuple):
    """One spec with its series.

    Attributes:
        number: Position.
        group: ``keda.sh`` or ``flyball.dev``: of our object.
        is_at_once: We look whenever something changes, as objects of ``flyball.dev`` are; else once
            per sync period.
        replicas: What the Deployments start with.
        behavior: As written; None = none.
    """

    number: int
    group: str
    is_at_once: bool
    metrics: tuple[Metric, ...]
    minimum: int
    maximum: int
    replicas: int
    behavior: dict[str, Any] | None
    series: tuple[Step, ...]

    @property
    def theirs(self) -> str:
        """Name of the HPA and of its Deployment."""
        return f"hpa-{self.number:02}"

    @property
    def ours(self) -> str:
        """Name of our object and of its Deployment."""
        return f"ours-{self.number:02}"


class _Kind(NamedTuple):
    count: int
    group: str
    targets: tuple[str, ...]
    has_behavior: bool
    is_cpu: bool = False
    is_at_once: bool = False


_KINDS = (
    _Kind(7, "keda.sh", ("AverageValue",), True),
    _Kind(4, "keda.sh", ("AverageValue",), False),
    _Kind(3, "keda.sh", ("Value",), True),
    _Kind(2, "keda.sh", ("Value",), False),
    _Kind(2, "keda.sh", ("AverageValue", "AverageValue"), True),
    _Kind(1, "keda.sh", ("AverageValue", "AverageValue"), False),
    _Kind(2, "keda.sh", ("Utilization",), True, is_cpu=True),
    _Kind(1, "keda.sh", ("Utilization",), False, is_cpu=True),
    _Kind(1, "keda.sh", ("AverageValue",), False, is_cpu=True),
    # Without behavior these jump, and at once the replicas of Value and cpu targets multiply faster
    # than the HPA's (docs/reference/differences.md).
    _Kind(3, "flyball.dev", ("AverageValue",), True),
    _Kind(3, "flyball.dev", ("AverageValue",), True, is_at_once=True),
    _Kind(1, "flyball.dev", ("AverageValue", "AverageValue"), True, is_at_once=True),
)
_FREE = {"type": "Pods", "value": 100, "periodSeconds": 3}
"""A policy that never bites."""


def random_cases(seed: int = SEED) -> tuple[Case, ...]:
    """Return the thirty cases of a seed."""
    rng = random.Random(seed)
    kinds = [kind for kind in _KINDS for _ in range(kind.count)]
    return tuple(_case(rng, number, kind) for number, kind in enumerate(kinds))


def _case(rng: random.Random, number: int, kind: _Kind) -> Case:
    minimum = rng.randint(1, 3)
    maximum = rng.randint(minimum + 4, 13)
    is_total = not kind.is_cpu and "Value" not in kind.targets
    shape = Shape(
        highest=maximum * 1.15 if is_total else None,
        metrics=len(kind.targets),
        # Whoever looks at once must not see two values where the HPA sees one.
        shortest_looks=3 if kind.is_at_once else 1,
    )
    return Case(
        number=number,
        group=kind.group,
        is_at_once=kind.is_at_once,
        metrics=tuple(_metric(rng, target, is_cpu=kind.is_cpu) for target in kind.targets),
        minimum=minimum,
        maximum=maximum,
        replicas=rng.randint(minimum, maximum),
        behavior=_behavior(rng, is_free=kind.is_at_once) if kind.has_behavior else None,
        series=random_series(rng, shape, LOOKS),
    )


def _metric(rng: random.Random, target_type: str, *, is_cpu: bool) -> Metric:
    if target_type == "Utilization":
        return Metric(target_type, rng.randint(40, 90), is_cpu)
    if is_cpu:
        return Metric(target_type, rng.randint(40, 90), is_cpu)
    return Metric(target_type, rng.choice([1000, 2500, 10000, 12345]))


def _behavior(rng: random.Random, *, is_free: bool) -> dict[str, Any]:
    """Return a block with anything left out that has a default.

    Args:
        rng: Source of randomness.
        is_free: No policy bites; the default ones might.
    """
    return {
        direction: _rules(rng, direction, is_free=is_free)
        for direction in ("scaleUp", "scaleDown")
        if is_free or rng.random() < 0.85
    }


def _rules(rng: random.Random, direction: str, *, is_free: bool) -> dict[str, Any]:
    is_up = direction == "scaleUp"
    rules: dict[str, Any] = {}
    if rng.random() < 0.8:
        windows = (0, 0, *BETWEEN_LOOKS[:2]) if is_up else (0, *BETWEEN_LOOKS)
        rules["stabilizationWindowSeconds"] = rng.choice(windows)
    if is_free:
        rules["policies"] = [_FREE]
    elif rng.random() < 0.8:
        rules["policies"] = [_policy(rng) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.7:
        # An object that can never go up has nothing more to show.
        selects = ["Max", "Max", "Min", "Min", "Min" if is_up else "Disabled"]
        rules["selectPolicy"] = rng.choice(selects)
    if rng.random() < 0.4:
        rules["tolerance"] = rng.choice(["0", "0.03", "0.2", "0.3"])
    return rules


def _policy(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(["Pods", "Percent"])
    value = rng.randint(1, 4) if kind == "Pods" else rng.choice([10, 25, 50, 100])
    return {"type": kind, "value": value, "periodSeconds": rng.choice(BETWEEN_LOOKS)}
