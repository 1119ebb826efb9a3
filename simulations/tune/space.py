"""What may be changed about a ScaledObject, and the manifests that come of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
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

FACTORS: Final = (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35)
POLLING: Final = (5, 15, 30)
WINDOWS: Final = (0, 30, 60, 90, 120, 180, 300, 600)
DOWN_PERCENT: Final = (10, 25, 50, 100)
TOLERANCES: Final = ("0", "0.05", "0.1")

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

    def vary(self, choice: Choice, random: np.random.Generator) -> Choice:
        """Return a choice with one or two settings redrawn."""
        varied = list(choice)
        for _ in range(1 + int(random.integers(2))):
            index = int(random.integers(len(varied)))
            values = (None, *self.settings[index].values)
            varied[index] = values[random.integers(len(values))]
        return tuple(varied)


def space_of(raw: Mapping[str, Any], *, keep_group: bool = False) -> Space:
    """Return what may be changed about an object.

    Args:
        raw: The object.
        keep_group: Leave ``apiVersion`` alone, and with a keda.sh object what KEDA cannot do.
    """
    converts = not keep_group
    is_flyball = converts or str(raw.get("apiVersion", "")).startswith("flyball.dev/")
    settings = [
        _threshold(index, trigger)
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
    settings += [
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
    return Space(raw=raw, settings=tuple(settings), converts=converts)


_BEHAVIOR: Final = ("advanced", "horizontalPodAutoscalerConfig", "behavior")
_BEHAVIOR_PATH: Final = "spec." + ".".join(_BEHAVIOR)


def _threshold(index: int, trigger: Mapping[str, Any]) -> Setting:
    kind, parameter = trigger["type"], THRESHOLDS[trigger["type"]]
    written = float(trigger["metadata"][parameter])
    digits = 0 if kind in WHOLE else 3
    values = {f"{round(written * factor, digits):g}" for factor in FACTORS}

    def apply(made: dict[str, Any], value: Any) -> None:
        made["spec"]["triggers"][index]["metadata"][parameter] = value

    return Setting(
        path=f"spec.triggers[{index}].metadata.{parameter}",
        values=tuple(sorted(values - {"0"}, key=float)),
        apply=apply,
        meaning="target per replica: higher means fewer replicas",
    )


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
