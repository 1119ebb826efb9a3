"""``spec.behavior`` of ``autoscaling/v2``: API defaults, API validation and the core's form.

KEDA keeps the same block under ``spec.advanced.horizontalPodAutoscalerConfig.behavior``; it means
the same in both places. A present block, even an empty one, has both directions filled in; each
field is defaulted on its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from autoscaler.api.problems import Path, Problem, invalid, not_supported, required
from autoscaler.core.model import Behavior, PolicyType, ScalingPolicy, ScalingRules, SelectPolicy
from autoscaler.core.quantity import as_double, to_milli
from autoscaler.errors import QuantityError

MAX_STABILIZATION_SECONDS: Final = 3600
MAX_PERIOD_SECONDS: Final = 1800

_FULL_PERCENT: Final = {"type": "Percent", "value": 100, "periodSeconds": 15}
_FOUR_PODS: Final = {"type": "Pods", "value": 4, "periodSeconds": 15}


def default_behavior(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block with the API server's defaults in both directions.

    ``scaleDown.stabilizationWindowSeconds`` stays absent: the controller substitutes its own
    window, which may change without the object changing.
    """
    up = {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [dict(_FOUR_PODS), dict(_FULL_PERCENT)],
    }
    down = {"selectPolicy": "Max", "policies": [dict(_FULL_PERCENT)]}
    return {
        **raw,
        "scaleUp": {**up, **_present(raw.get("scaleUp"))},
        "scaleDown": {**down, **_present(raw.get("scaleDown"))},
    }


def to_behavior(raw: Mapping[str, Any] | None) -> Behavior | None:
    """Return the core's behavior, defaults applied; None when there is no block.

    The block must be valid (:func:`validate_behavior`).

    Raises:
        QuantityError: A tolerance is no quantity.
    """
    if raw is None:
        return None
    block = default_behavior(raw)
    return Behavior(scale_up=_to_rules(block["scaleUp"]), scale_down=_to_rules(block["scaleDown"]))


def validate_behavior(raw: Mapping[str, Any], path: Path) -> list[Problem]:
    """Return what the API server would refuse in a behavior block, defaulted or not."""
    block = default_behavior(raw)
    return [
        problem
        for direction in ("scaleUp", "scaleDown")
        for problem in _validate_rules(block[direction], path / direction)
    ]


def _present(raw: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (raw or {}).items() if value is not None}


def _to_rules(raw: Mapping[str, Any]) -> ScalingRules:
    window = raw.get("stabilizationWindowSeconds")
    tolerance = raw.get("tolerance")
    return ScalingRules(
        policies=tuple(
            ScalingPolicy(
                type=PolicyType(policy["type"]),
                value=policy["value"],
                period_seconds=policy["periodSeconds"],
            )
            for policy in raw["policies"]
        ),
        select_policy=SelectPolicy(raw["selectPolicy"]),
        stabilization_window_seconds=window,
        tolerance=None if tolerance is None else as_double(str(tolerance)),
    )


def _validate_rules(raw: Mapping[str, Any], path: Path) -> list[Problem]:
    problems = []
    window = raw.get("stabilizationWindowSeconds")
    if window is not None and not 0 <= window <= MAX_STABILIZATION_SECONDS:
        where = path / "stabilizationWindowSeconds"
        problems.append(invalid(where, f"must be 0 to {MAX_STABILIZATION_SECONDS} seconds", window))
    if raw["selectPolicy"] not in set(SelectPolicy):
        problems.append(not_supported(path / "selectPolicy", raw["selectPolicy"], SelectPolicy))
    if not raw["policies"]:
        what = "needs at least one policy (leave the field out for the default ones)"
        problems.append(required(path / "policies", what))
    problems += _validate_policies(raw["policies"], path / "policies")
    problems += _validate_tolerance(raw.get("tolerance"), path / "tolerance")
    return problems


def _validate_policies(policies: Sequence[Mapping[str, Any]], path: Path) -> list[Problem]:
    problems = []
    for index, policy in enumerate(policies):
        where = path / index
        kind, value = policy.get("type", ""), policy.get("value", 0)
        period = policy.get("periodSeconds", 0)
        if kind not in set(PolicyType):
            problems.append(not_supported(where / "type", kind, PolicyType))
        if value <= 0:
            problems.append(invalid(where / "value", "must be greater than 0", value))
        if not 1 <= period <= MAX_PERIOD_SECONDS:
            what = f"must be 1 to {MAX_PERIOD_SECONDS} seconds"
            problems.append(invalid(where / "periodSeconds", what, period))
    return problems


def _validate_tolerance(tolerance: object, path: Path) -> list[Problem]:
    if tolerance is None:
        return []
    try:
        negative = to_milli(str(tolerance)) < 0
    except QuantityError:
        return [invalid(path, 'must be a quantity such as "0.05" or "50m"', tolerance)]
    return [invalid(path, "must be at least 0", tolerance)] if negative else []
