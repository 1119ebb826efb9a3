"""What may be changed about a ScaledObject, and the manifests that come of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import numpy as np

FLYBALL: Final = "flyball.dev/v1alpha1"

THRESHOLDS: Final[Mapping[str, str]] = {
    "prometheus": "threshold",
    "metrics-api": "targetValue",
    "redis": "listLength",
    "redis-streams": "pendingEntriesCount",
    "kafka": "lagThreshold",
    "cpu": "value",
    "memory": "value",
}
"""Parameter that holds the target, by trigger type."""

WHOLE: Final = frozenset({"cpu", "memory", "redis", "redis-streams", "kafka"})
"""Types whose target is a whole number."""

FACTORS: Final = (
    *(0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975),
    *(1.0, 1.025, 1.05, 1.075, 1.1, 1.125, 1.15, 1.175, 1.2, 1.225, 1.25, 1.3, 1.35, 1.5, 2.0, 4.0),
)
SPARE_FACTORS: Final = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2, 1.5, 2.0)
POLLING: Final = (5, 15, 30)
WINDOWS: Final = (0, 30, 60, 90, 120, 180, 300, 600)
UP_WINDOWS: Final = (0, 15, 30, 60)
DOWN_PERCENT: Final = (10, 25, 50, 100)
TOLERANCES: Final = ("0", "0.025", "0.05", "0.1", "0.15")
MORE_REPLICAS: Final = (1, 2, 3, 5, 8)

DEFAULT_MAX_REPLICAS: Final = 100
RESOURCES: Final = frozenset({"cpu", "memory"})
"""Types whose targets a formula does not replace."""
AVERAGE: Final = "AverageValue"

_HALF: Final = 0.5

AS_WRITTEN: Final = 0.25
"""How often a random choice leaves a setting alone."""

Apply = Callable[[dict[str, Any], Any], None]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that may be changed.

    Attributes:
        path: Field of the manifest.
        values: To choose from; None leaves the field as it is.
        apply: Writes a value into a manifest.
        meaning: What changing it does, for people.
    """

    path: str
    values: tuple[Any, ...]
    apply: Apply
    meaning: str


Choice = tuple[Any, ...]
"""A value per setting, None = as written."""


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of an object.

    Attributes:
        raw: The object as written.
        settings: What may be changed.
        converts: Candidates are flyball.dev objects, whatever the object is.
    """

    raw: Mapping[str, Any]
    settings: tuple[Setting, ...]
    converts: bool = True

    @property
    def unchanged(self) -> Choice:
        """The choice that changes nothing (but the group, if candidates are converted)."""
        return (None,) * len(self.settings)

    def manifest(self, choice: Choice) -> dict[str, Any]:
        """Return the object with a choice applied."""
        made = copy.deepcopy(dict(self.raw))
        if self.converts:
            made["apiVersion"] = FLYBALL
        for setting, value in zip(self.settings, choice, strict=True):
            if value is not None:
                setting.apply(made, value)
        return made

    def draw(self, random: np.random.Generator) -> Choice:
        """Return a random choice; every setting stays as written in one case of four."""
        return tuple(
            None
            if random.random() < AS_WRITTEN
            else setting.values[random.integers(len(setting.values))]
            for setting in self.settings
        )

    def vary(self, choice: Choice, random: np.random.Generator, *, near_ratio: float) -> Choice:
        """Return a choice with one to three settings changed.

        Args:
            choice: Any.
            random: Draws.
            near_ratio: Share of the changes that go to a value beside the present one.
        """
        varied = list(choice)
        for _ in range(1 + int(random.integers(3))):
            index = int(random.integers(len(varied)))
            values = self.settings[index].values
            if varied[index] is None or random.random() >= near_ratio:
                varied[index] = (None, *values)[random.integers(1 + len(values))]
            else:
                at = values.index(varied[index]) + (1 if random.random() < _HALF else -1)
                varied[index] = values[max(0, min(len(values) - 1, at))]
        return tuple(varied)


def space_of(
    raw: Mapping[str, Any],
    *,
    keep_group: bool = False,
    rates: Mapping[int, float] = MappingProxyType({}),
) -> Space:
    """Return what may be changed about an object.

    Args:
        raw: The object.
        keep_group: Leave ``apiVersion`` alone, and with a keda.sh object what KEDA cannot do.
        rates: Triggers that measure arriving requests, by position: what one replica can serve in
            their unit. Targets stay at or below it, as above it no load is served for long.
    """
    converts = not keep_group
    is_flyball = converts or str(raw.get("apiVersion", "")).startswith("flyball.dev/")
    settings = [
        _threshold(index, trigger, most=rates.get(index, math.inf))
        for index, trigger in enumerate(raw["spec"].get("triggers", []))
        if trigger.get("type") in THRESHOLDS
    ]
    if is_flyball:
        settings.append(
            Setting(
                path="spec.pollingInterval",
                values=POLLING,
                apply=_write(("pollingInterval",)),
                meaning="how often metrics are read and decided on, seconds",
            )
        )
    least = raw["spec"].get("minReplicaCount", 0)
    if least:
        most = raw["spec"].get("maxReplicaCount", DEFAULT_MAX_REPLICAS)
        settings.append(
            Setting(
                path="spec.minReplicaCount",
                values=tuple(least + more for more in MORE_REPLICAS if least + more <= most),
                apply=_write(("minReplicaCount",)),
                meaning="replicas there always are",
            )
        )
    settings += [
        _behavior(
            ("scaleUp", "stabilizationWindowSeconds"),
            UP_WINDOWS,
            "how long the lowest proposal holds before scaling up",
        ),
        _behavior(
            ("scaleDown", "stabilizationWindowSeconds"),
            WINDOWS,
            "how long the highest proposal holds before scaling down",
        ),
        Setting(
            path=f"{_BEHAVIOR_PATH}.scaleDown.policies",
            values=DOWN_PERCENT,
            apply=_down_percent,
            meaning="most percent of the replicas that go per minute",
        ),
        _behavior(("scaleUp", "tolerance"), TOLERANCES, "how far above its target a metric may be"),
        _behavior(
            ("scaleDown", "tolerance"), TOLERANCES, "how far below its target a metric may be"
        ),
    ]
    settings += _spare(raw, rates)
    return Space(raw=raw, settings=tuple(s for s in settings if s.values), converts=converts)


_BEHAVIOR: Final = ("advanced", "horizontalPodAutoscalerConfig", "behavior")
_MODIFIERS: Final = ("advanced", "scalingModifiers")
_BEHAVIOR_PATH: Final = "spec." + ".".join(_BEHAVIOR)


def _threshold(index: int, trigger: Mapping[str, Any], *, most: float) -> Setting:
    kind, parameter = trigger["type"], THRESHOLDS[trigger["type"]]
    written = float(trigger["metadata"][parameter])
    digits = 0 if kind in WHOLE else 3
    values = {f"{round(written * factor, digits):g}" for factor in FACTORS}

    def apply(made: dict[str, Any], value: Any) -> None:
        made["spec"]["triggers"][index]["metadata"][parameter] = value

    return Setting(
        path=f"spec.triggers[{index}].metadata.{parameter}",
        values=tuple(sorted((v for v in values if 0 < float(v) <= most), key=float)),
        apply=apply,
        meaning="target per replica: higher means fewer replicas",
    )


def _spare(raw: Mapping[str, Any], rates: Mapping[int, float]) -> list[Setting]:
    """Return the setting of spare capacity that grows with the square root of the load.

    How far load strays from its mean grows so, and with it what a service needs beside the mean
    (the square-root staffing rule: Halfin and Whitt 1981). A target alone keeps spare capacity in
    proportion to the load: too little for few replicas, or too much for many.
    """
    spec = raw["spec"]
    outer = {
        index: trigger
        for index, trigger in enumerate(spec.get("triggers", []))
        if trigger.get("type") not in RESOURCES
    }
    can = all(
        trigger.get("name")
        and trigger.get("type") in THRESHOLDS
        and trigger.get("metricType", AVERAGE) == AVERAGE
        for trigger in outer.values()
    )
    measured = [index for index in outer if index in rates]
    if not can or not measured or spec.get("fallback") or _written(spec, _MODIFIERS):
        return []

    def apply(made: dict[str, Any], value: Any) -> None:
        triggers = made["spec"]["triggers"]
        needs = [_need(triggers[index], value if index in measured else 0) for index in outer]
        formula = needs[0] if len(needs) == 1 else f"max({', '.join(needs)})"
        _write(_MODIFIERS)(made, {"formula": formula, "target": "1"})

    return [
        Setting(
            path="spec.advanced.scalingModifiers",
            values=SPARE_FACTORS,
            apply=apply,
            meaning="spare replicas per square root of the replicas that the load needs",
        )
    ]


def _need(trigger: Mapping[str, Any], spare: float) -> str:
    """Return the replicas a trigger asks for as a formula."""
    name, written = trigger["name"], trigger["metadata"][THRESHOLDS[trigger["type"]]]
    value = name if name.isidentifier() and name.isascii() else f'$env["{name}"]'
    if not spare:
        return f"{value} / {written}"
    per_root = round(spare * math.sqrt(float(written)), 3)
    return f"({value} + {per_root:g} * {value} ** 0.5) / {written}"


def _written(spec: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    at: Any = spec
    for name in path:
        at = (at or {}).get(name)
    return at


def _behavior(path: tuple[str, ...], values: Sequence[Any], meaning: str) -> Setting:
    return Setting(
        path=".".join((_BEHAVIOR_PATH, *path)),
        values=tuple(values),
        apply=_write((*_BEHAVIOR, *path)),
        meaning=meaning,
    )


def _write(path: tuple[str, ...]) -> Apply:
    def apply(made: dict[str, Any], value: Any) -> None:
        at = made["spec"]
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value

    return apply


def _down_percent(made: dict[str, Any], value: Any) -> None:
    policies = [{"type": "Percent", "value": value, "periodSeconds": 60}]
    _write((*_BEHAVIOR, "scaleDown", "policies"))(made, policies)
